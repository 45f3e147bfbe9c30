import type { Random } from '../core/ids.ts';
import { decodeFailure } from '../protocol/failure.ts';
import type { StatusUpdate } from '../protocol/task.ts';
import type { TaskEntry, Vote } from './task-entry.ts';

/** True when two results of one task say the same. Must not throw; what it cannot read differs. */
export type ResultComparator = (a: Uint8Array, b: Uint8Array) => boolean;
/** Comparators by name; one named `bytes` takes the place of comparing bytes. */
export type Comparators = Pick<ReadonlyMap<string, ResultComparator>, 'get'>;

/** Workers whose record is kept. */
const MAX_WORKERS = 65_536;

export interface Verdict {
  /** The result that stands; undefined: another run is needed, or `failed`. */
  readonly accepted: StatusUpdate | undefined;
  /** No quorum was reached with the runs that are allowed. */
  readonly failed: boolean;
  /** True: it was compared with others. False: its worker is trusted, and the lot did not fall on it. */
  readonly checked: boolean;
  /** Workers whose results differ from the one that stands. */
  readonly wrong: readonly string[];
  /** Set when results differ: all who voted. */
  readonly disagreed: readonly string[] | undefined;
}

const bytesAgree: ResultComparator = (a, b) => Buffer.compare(a, b) === 0;

/**
 * Is this result right? Adaptive replication as in BOINC (Anderson, "BOINC: A Platform for Volunteer Computing", 2020, 4.1): a worker is
 * trusted after `trustAfter` valid results in a row; then it is checked with probability 1/n, n being that row; one bad result
 * ends the row. A result counts when `quorum` different workers agree on it.
 */
export class Verification {
  readonly #comparators: Comparators;
  readonly #random: Random;
  /** Worker -> valid results in a row. */
  readonly #valid = new Map<string, number>();

  constructor(comparators: Comparators, random: Random) {
    this.#comparators = comparators;
    this.#random = random;
  }

  knows(comparator: string): boolean {
    return comparator === 'bytes' || this.#comparators.get(comparator) !== undefined;
  }

  /** Valid results in a row. */
  record(workerId: string): number {
    return this.#valid.get(workerId) ?? 0;
  }

  /** Takes one more result of a task into account, and says what is to be done. */
  judge(entry: TaskEntry, workerId: string, update: StatusUpdate): Verdict {
    const policy = entry.owner.profile.verify as NonNullable<TaskEntry['owner']['profile']['verify']>;
    const row = this.record(workerId);
    if (entry.votes === undefined && row >= policy.trustAfter && row > 0 && this.#random() >= 1 / row) {
      return { accepted: update, failed: false, checked: false, wrong: [], disagreed: undefined };
    }
    const agree = this.#comparators.get(policy.comparator) ?? bytesAgree;
    const votes: Vote[] = (entry.votes ??= []);
    // Copied: it outlives the frame that it is a view of.
    votes.push({ workerId, update: { ...update, data: update.data.slice() } });
    const same = votes.filter((vote) => agree(vote.update.data, update.data));
    const disagreed = same.length === votes.length ? undefined : votes.map((vote) => vote.workerId);
    if (same.length < policy.quorum) return { accepted: undefined, failed: votes.length >= policy.maxReplicas, checked: true, wrong: [], disagreed };
    for (const vote of same) this.#set(vote.workerId, this.record(vote.workerId) + 1);
    const wrong = votes.filter((vote) => !same.includes(vote)).map((vote) => vote.workerId);
    for (const liar of wrong) this.#set(liar, 0);
    // The latest of those that agree: its worker is there, and holds what the result refers to.
    return { accepted: update, failed: false, checked: true, wrong, disagreed };
  }

  /** A worker was caught otherwise: its results are checked again. */
  doubt(workerId: string): void {
    this.#valid.delete(workerId);
  }

  #set(workerId: string, row: number): void {
    if (this.#valid.size >= MAX_WORKERS && !this.#valid.has(workerId)) this.#valid.delete(this.#valid.keys().next().value as string);
    this.#valid.set(workerId, row);
  }
}

/** Who wrote the shuffle output that a task found to be other than what was verified, by the data of its FAILED update. */
export function forgerOf(data: Uint8Array): string | undefined {
  const { code, fields } = decodeFailure(data) as { code?: unknown; fields?: Readonly<Record<string, unknown>> };
  return code === 'SP_SHUFFLE_FETCH_FAILED' && fields?.['forged'] === true ? String(fields['executorId']) : undefined;
}
