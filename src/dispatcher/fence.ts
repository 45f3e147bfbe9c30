import { ByTask } from '../core/by-task.ts';

/**
 * What is remembered of tasks that have ended: the highest epoch each was leased under, so that late results can be told
 * from unknown ones and a task that is submitted again never re-uses an epoch.
 *
 * Bounded: two generations; when the young one is full, the old one is dropped. At least `limit` tasks that ended last
 * are known, at most twice as many.
 */
export class FenceMemory {
  readonly #limit: number;
  #young = new ByTask<number>();
  #old = new ByTask<number>();
  #count = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  remember(application: string, taskId: number, epoch: number): void {
    if (this.#count >= this.#limit) {
      this.#old = this.#young;
      this.#young = new ByTask();
      this.#count = 0;
    }
    this.#young.set(application, taskId, epoch);
    this.#count++;
  }

  /** 0 when nothing is known of the task. */
  lastEpoch(application: string, taskId: number): number {
    return this.#young.get(application, taskId) ?? this.#old.get(application, taskId) ?? 0;
  }
}
