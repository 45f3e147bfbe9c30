import type { TaskState } from '../protocol/task.ts';
import { ByTask } from '../core/by-task.ts';

export interface Answer {
  readonly epoch: number;
  readonly state: TaskState;
  readonly data: Uint8Array;
}

/**
 * Answers given lately, so that a lease that is delivered or sent again is answered, not run again; what is forgotten is
 * run again, which is allowed (at least once).
 *
 * Bounded: two generations; when the young one has `limit` answers, or more than `limitBytes` of data in them, the old one
 * is dropped. So the last `limit` answers are known while they take no more than that, and at most twice as much.
 */
export class RecentAnswers {
  readonly #limit: number;
  readonly #limitBytes: number;
  #young = new ByTask<Answer>();
  #old = new ByTask<Answer>();
  /** Of the young ones. */
  #bytes = 0;

  constructor(limit: number, limitBytes: number) {
    this.#limit = limit;
    this.#limitBytes = limitBytes;
  }

  get(application: string, taskId: number): Answer | undefined {
    return this.#young.get(application, taskId) ?? this.#old.get(application, taskId);
  }

  add(application: string, taskId: number, answer: Answer): void {
    const known = this.get(application, taskId);
    if (known !== undefined) {
      // An attempt that was ended late says nothing about the lease that came after it.
      if (known.epoch > answer.epoch) return;
      if (this.#young.get(application, taskId) !== undefined) this.#bytes -= known.data.length;
      this.#young.delete(application, taskId);
      this.#old.delete(application, taskId);
    }
    const { length } = answer.data;
    if (length > this.#limitBytes) return;
    if (this.#young.size >= this.#limit || this.#bytes + length > this.#limitBytes) {
      this.#old = this.#young;
      this.#young = new ByTask();
      this.#bytes = 0;
    }
    this.#young.set(application, taskId, answer);
    this.#bytes += length;
  }
}
