import type { StatusUpdate } from '../protocol/task.ts';

/** A lease from an earlier leader, whose task its application has not submitted again yet. */
export interface Orphan {
  readonly application: string;
  readonly taskId: number;
  readonly epoch: number;
  readonly workerId: string;
  readonly since: number;
  /** How it ended, if it has meanwhile. */
  result: StatusUpdate | undefined;
}

const MAX_ORPHANS = 1_000_000;
/** Results kept for applications that have not asked yet. */
const MAX_RESULT_BYTES = 256 * 1024 * 1024;

const keyOf = (application: string, taskId: number): string => `${taskId} ${application}`;

/**
 * Leases that workers still hold when a new leader begins. They are taken over when their applications submit the tasks
 * again, so that nothing is run twice for a change of leader; those that nobody asks for are cancelled. Bounded: what does
 * not fit is run again.
 */
export class Adoption {
  readonly #orphans = new Map<string, Orphan>();
  #resultBytes = 0;

  get size(): number {
    return this.#orphans.size;
  }

  /** The orphan as it is known now; undefined: there is no room. A higher epoch takes the place of a lower one. */
  note(application: string, taskId: number, epoch: number, workerId: string, now: number): Orphan | undefined {
    const key = keyOf(application, taskId);
    const known = this.#orphans.get(key);
    if (known !== undefined && known.epoch >= epoch) return known;
    if (known === undefined && this.#orphans.size >= MAX_ORPHANS) return undefined;
    this.#forget(key, known);
    const orphan: Orphan = { application, taskId, epoch, workerId, since: now, result: undefined };
    this.#orphans.set(key, orphan);
    return orphan;
  }

  keepResult(orphan: Orphan, result: StatusUpdate): void {
    if (orphan.result !== undefined) return;
    if (this.#resultBytes + result.data.length > MAX_RESULT_BYTES) {
      this.#forget(keyOf(orphan.application, orphan.taskId), orphan);
      return;
    }
    this.#resultBytes += result.data.length;
    // Copied: it outlives the frame that it is a view of.
    orphan.result = { ...result, data: result.data.slice() };
  }

  take(application: string, taskId: number): Orphan | undefined {
    const key = keyOf(application, taskId);
    const orphan = this.#orphans.get(key);
    this.#forget(key, orphan);
    return orphan;
  }

  /** Removes and returns those that are `wanted`. */
  *takeWhere(wanted: (orphan: Orphan) => boolean): Iterable<Orphan> {
    for (const [key, orphan] of this.#orphans) {
      if (!wanted(orphan)) continue;
      this.#forget(key, orphan);
      yield orphan;
    }
  }

  #forget(key: string, orphan: Orphan | undefined): void {
    if (orphan === undefined) return;
    this.#orphans.delete(key);
    this.#resultBytes -= orphan.result?.data.length ?? 0;
  }
}
