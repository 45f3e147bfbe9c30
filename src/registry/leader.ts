import type { Registration, RegistryEvent } from './contract.ts';

/** A dispatcher of a cluster that leads, or says so. */
export interface Leader {
  readonly id: string;
  readonly queue: string;
  readonly term: number;
}

/** Labels of a dispatcher's entry. */
export const LEADER_LABELS = { role: 'role', term: 'term' } as const;

/** Terms go into the high part of an epoch; see src/dispatcher. */
export const MAX_TERM = 2 ** 20;

/** Undefined: this entry does not claim to lead (it stands by, or serves one application). */
export function leaderOf({ kind, id, queue, labels }: Registration): Leader | undefined {
  if (kind !== 'dispatcher' || labels[LEADER_LABELS.role] !== 'leader') return undefined;
  const term = Number(labels[LEADER_LABELS.term]);
  return Number.isSafeInteger(term) && term > 0 && term <= MAX_TERM ? { id, queue, term } : undefined;
}

/** Former leaders remembered, so that their late frames are known. */
const MAX_DEPOSED = 256;

export interface LeaderChanges {
  /** There is a new leader, or none (yet). */
  onChange(leader: Leader | undefined): void;
  /** One that claims to lead under a term that is not above `highest` must be told. */
  onOutranked?(stale: Leader, highest: number): void;
  /**
   * Of two that claim the same term: followers refuse both but the one they saw first, so each of the two is told, steps
   * down, and whoever leads next has a term of its own. Dispatchers among themselves go by id, and one goes on. @defaultValue false
   */
  readonly tiesById?: boolean;
}

/**
 * Whom to follow, by what the register center says: the highest leader ever seen. Terms never go back: a leader that was
 * stopped and comes back is refused by everyone who has seen the one after it, so no two are followed at once for long, and
 * never by the same process.
 */
export class LeaderTracker {
  readonly #changes: LeaderChanges;
  readonly #deposed = new Set<string>();
  #highest: Leader | undefined;
  #current: Leader | undefined;

  constructor(changes: LeaderChanges) {
    this.#changes = changes;
  }

  get current(): Leader | undefined {
    return this.#current;
  }

  /** 0: none was ever seen. */
  get highestTerm(): number {
    return this.#highest?.term ?? 0;
  }

  /** True: this dispatcher led once, and another does now or will. */
  isDeposed(id: string): boolean {
    return this.#deposed.has(id);
  }

  /** True: it leads, or led once. */
  hasLed(id: string): boolean {
    return id === this.#highest?.id || this.#deposed.has(id);
  }

  handle(event: RegistryEvent): void {
    if (event.type === 'joined') {
      const leader = leaderOf(event.entry);
      if (leader !== undefined) this.#claimed(leader);
    } else if (event.type === 'left' && event.id === this.#current?.id) {
      this.#current = undefined;
      this.#changes.onChange(undefined);
    }
  }

  #claimed(leader: Leader): void {
    const highest = this.#highest;
    if (highest !== undefined && highest.id !== leader.id && !this.#outranks(leader, highest)) {
      this.#depose(leader.id);
      this.#changes.onOutranked?.(leader, highest.term);
      return;
    }
    if (highest !== undefined && highest.id !== leader.id) this.#depose(highest.id);
    this.#deposed.delete(leader.id);
    this.#highest = leader;
    this.#current = leader;
    this.#changes.onChange(leader);
  }

  #outranks(a: Leader, b: Leader): boolean {
    return a.term > b.term || (a.term === b.term && this.#changes.tiesById === true && a.id > b.id);
  }

  #depose(id: string): void {
    this.#deposed.add(id);
    if (this.#deposed.size > MAX_DEPOSED) this.#deposed.delete(this.#deposed.values().next().value as string);
  }
}
