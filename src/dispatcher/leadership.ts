import { hostname } from 'node:os';
import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/logger.ts';
import type { Announcement, RegisterCenter, Registration } from '../registry/contract.ts';
import { LEADER_LABELS, LeaderTracker, MAX_TERM, type Leader } from '../registry/leader.ts';
import { dispatcherErrors } from './errors.ts';

export interface LeadershipOptions {
  readonly registry: RegisterCenter;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Of this process, and of its start. */
  readonly id: string;
  readonly version: string;
  readonly beatMs: number;
  /**
   * `broker`: the queues live elsewhere, so whoever stands by longest leads when nobody does. `hub`: they live in this
   * process, so it leads at once. `guest`: they live in another process, which leads for as long as it lives.
   */
  readonly seat: 'broker' | 'hub' | 'guest';
  /** Highest term seen by this process before. */
  readonly knownTerm: number;
  /** Lead under this term; resolves when leading has begun. */
  lead(term: number): Promise<void>;
  /** Somebody else leads: leave, and leave leases where they are. */
  stepDown(): Promise<void>;
}

const SINCE = 'since';

/**
 * Who leads? Nobody votes: the register center keeps no state that could be compared and set. Instead terms only grow, and
 * everyone (workers, applications, dispatchers) follows the leader of the highest term they have ever seen, and refuses the
 * others. A leader that sees or is told of one steps down; one that was stopped and wakes up finds that nobody listens. Two
 * that take the same term are told so by those who saw the other first, and the next term is had by one. Effects are committed by the
 * application that owns the task, once, so even while two believe that they lead nothing is done twice.
 *
 * When nobody leads, the one that has stood by for longest takes the lead at once, each other one two beats later than the
 * one before it.
 */
export class Leadership {
  readonly #options: LeadershipOptions;
  readonly #leaders: LeaderTracker;
  readonly #since: number;
  /** Standbys that are announced, by id: since when. */
  readonly #standbys = new Map<string, number>();
  #standing: Announcement | undefined;
  #leading: string | undefined;
  #leadingTerm = 0;
  #term: number;
  #vacantAt: number;
  #moving: Promise<void> = Promise.resolve();
  #ends: (() => unknown)[] = [];
  #closed = false;

  constructor(options: LeadershipOptions) {
    this.#options = options;
    this.#since = options.clock.wallTime();
    this.#term = options.knownTerm;
    // Somebody may lead already: that is known within a beat.
    this.#vacantAt = options.clock.now() + 2 * options.beatMs;
    this.#leaders = new LeaderTracker({
      onChange: (leader) => this.#leaderChanged(leader),
      tiesById: true,
      onOutranked: (_stale, highest) => (this.#term = Math.max(this.#term, highest)),
    });
  }

  get term(): number {
    return Math.max(this.#term, this.#leaders.highestTerm);
  }

  get isLeading(): boolean {
    return this.#leading !== undefined;
  }

  get leader(): Leader | undefined {
    return this.#leaders.current;
  }

  /** Others that would take over. */
  get standbys(): number {
    return [...this.#standbys.keys()].filter((id) => id !== this.#options.id).length;
  }

  async open(): Promise<void> {
    const { registry, clock, beatMs, seat } = this.#options;
    const off = await registry.watch('dispatcher', (event) => {
      if (event.type === 'joined') {
        const since = Number(event.entry.labels[SINCE]);
        if (event.entry.labels[LEADER_LABELS.role] === 'standby' && Number.isFinite(since)) this.#standbys.set(event.entry.id, since);
      } else if (event.type === 'left') this.#standbys.delete(event.id);
      this.#leaders.handle(event);
    });
    this.#ends.push(off);
    if (seat === 'hub') {
      // Nobody else will lead in its place: what keeps it from that is its caller's to know.
      const leading = this.#lead();
      this.#moving = leading.catch(() => undefined);
      await leading;
      if (!this.isLeading) throw dispatcherErrors.CLOSED();
      return;
    }
    await this.#stand();
    const ticking = clock.every(beatMs / 2, () => this.#tick());
    this.#ends.push(() => ticking.cancel());
  }

  /** Told by a worker or application that has seen a leader of a higher term. */
  higherTerm(term: number): void {
    if (term < this.#term || term > MAX_TERM) return;
    this.#term = term;
    // The same term: another had it before.
    if (this.#leading === undefined || term < this.#leadingTerm) return;
    this.#leadingTerm = Number.POSITIVE_INFINITY;
    this.#options.logger.warn('a higher term is known: this dispatcher steps down', { term });
    this.#move(() => this.#retire());
    // With the queues in this process nobody else can lead.
    if (this.#options.seat === 'hub') this.#move(() => this.#lead());
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const end of this.#ends.splice(0)) end();
    await this.#moving;
    await this.#standing?.leave();
  }

  async #stand(): Promise<void> {
    const { registry, id, version } = this.#options;
    const labels = { [LEADER_LABELS.role]: 'standby', [SINCE]: String(this.#since) };
    const entry: Registration = { kind: 'dispatcher', id, host: hostname(), pid: process.pid, version, slots: 0, kinds: [], labels, queue: '' };
    this.#standing = await registry.announce(entry);
  }

  #leaderChanged(leader: Leader | undefined): void {
    const { clock } = this.#options;
    if (leader === undefined) {
      this.#vacantAt = clock.now();
      return;
    }
    this.#term = Math.max(this.#term, leader.term);
    if (this.#leading === undefined || leader.id === this.#leading) return;
    this.#options.logger.warn('another dispatcher leads under a higher term: this one steps down', { leader: leader.id, term: leader.term });
    this.#move(() => this.#retire());
  }

  #tick(): void {
    const { seat, clock, beatMs, id } = this.#options;
    if (seat !== 'broker' || this.#leading !== undefined || this.#leaders.current !== undefined) return;
    const queue = [...this.#standbys.entries(), ...(this.#standbys.has(id) ? [] : [[id, this.#since] as const])].sort(
      ([a, since], [b, then]) => since - then || (a < b ? -1 : 1),
    );
    const place = queue.findIndex(([one]) => one === id);
    if (clock.now() < this.#vacantAt + 2 * beatMs * place) return;
    this.#move(() => this.#lead());
  }

  /** Changes of role, one after the other. */
  #move(act: () => Promise<void>): void {
    this.#moving = this.#moving.then(act).catch((error: unknown) => {
      this.#options.logger.error('a change of leadership failed', { error: (error as Error).stack });
    });
  }

  async #lead(): Promise<void> {
    if (this.#closed || this.#leading !== undefined || (this.#options.seat === 'broker' && this.#leaders.current !== undefined)) return;
    const term = this.term + 1;
    this.#term = term;
    this.#leading = leaderId(this.#options.id, term);
    this.#leadingTerm = term;
    try {
      await this.#options.lead(term);
    } catch (error) {
      this.#leading = undefined;
      this.#vacantAt = this.#options.clock.now() + 2 * this.#options.beatMs;
      throw error;
    }
    await this.#standing?.leave();
    this.#standing = undefined;
    this.#options.logger.info('leading', { term });
  }

  async #retire(): Promise<void> {
    if (this.#leading === undefined) return;
    this.#leading = undefined;
    this.#vacantAt = this.#options.clock.now();
    await this.#options.stepDown();
    if (!this.#closed && this.#options.seat !== 'hub') await this.#stand();
  }
}

/** Each term has a dispatcher of its own, so nothing of one term is ever taken for another's. */
export function leaderId(process: string, term: number): string {
  return `${process}.${term}`;
}
