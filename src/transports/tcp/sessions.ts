import type { Clock } from '../../core/clock.ts';

/** Who serves a session now. */
export interface SessionOwner {
  confirm(seq: number): void;
}

/** What the hub remembers of one client across its connections, so that a send repeated after a lost connection is done once. */
export interface Session {
  readonly id: string;
  owner: SessionOwner | undefined;
  /** Sends taken over that wait for room in their queue. */
  readonly waiting: Set<number>;
  /** What was refused, in case it is sent again because the answer was lost. The latest only. */
  readonly refused: Map<number, unknown>;
  /** True the first time; numbers only grow, within a connection and when they are sent again. */
  isNew(seq: number): boolean;
}

export interface Sessions {
  /** The session of that id, made on first use; whoever had it is evicted first. */
  take(id: string, owner: SessionOwner, evict: () => void): Session;
  release(session: Session, owner: SessionOwner): void;
}

/** A client that comes back within this time finds its session. */
const KEEP_MS = 600_000;
const MAX_ABANDONED = 10_000;

interface Kept extends Session {
  evict: () => void;
  abandonedAt: number;
}

export function createSessions(clock: Clock): Sessions {
  const live = new Map<string, Kept>();
  /** Oldest first. */
  const abandoned = new Map<string, Kept>();

  const forget = (): void => {
    for (const [id, session] of abandoned) {
      if (abandoned.size <= MAX_ABANDONED && clock.now() - session.abandonedAt < KEEP_MS) return;
      abandoned.delete(id);
    }
  };

  return {
    take(id, owner, evict) {
      live.get(id)?.evict();
      forget();
      const session = abandoned.get(id) ?? create(id);
      abandoned.delete(id);
      session.owner = owner;
      session.evict = evict;
      live.set(id, session);
      return session;
    },
    release(session, owner) {
      if (session.owner !== owner) return;
      const kept = session as Kept;
      kept.owner = undefined;
      kept.abandonedAt = clock.now();
      live.delete(session.id);
      abandoned.set(session.id, kept);
      forget();
    },
  };
}

function create(id: string): Kept {
  let last = 0;
  return {
    id,
    owner: undefined,
    waiting: new Set(),
    refused: new Map(),
    evict: () => undefined,
    abandonedAt: 0,
    isNew(seq) {
      if (seq <= last) return false;
      last = seq;
      return true;
    },
  };
}
