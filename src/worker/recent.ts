import type { TaskState } from '../protocol/task.ts';
import { Generations, type Kept } from '../core/generations.ts';
import { IdSlots } from '../core/id-slots.ts';

export interface Answer {
  readonly epoch: number;
  readonly state: TaskState;
  readonly data: Uint8Array;
}

/** Answers for one application's tasks. */
class Answers implements Kept {
  readonly #slots = new IdSlots();
  readonly #answers: (Answer | undefined)[] = [];

  get size(): number {
    return this.#slots.size;
  }

  clear(): void {
    this.#slots.clear();
    this.#answers.length = 0;
  }

  get(taskId: number): Answer | undefined {
    const slot = this.#slots.find(taskId);
    return slot < 0 ? undefined : this.#answers[slot];
  }

  set(taskId: number, answer: Answer): void {
    this.#answers[this.#slots.add(taskId)] = answer;
  }

  forget(taskId: number): void {
    const slot = this.#slots.find(taskId);
    if (slot >= 0) this.#answers[slot] = undefined;
  }
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
  readonly #answers = new Generations(() => new Answers());
  /** Of the young ones, with those that were forgotten since. */
  #count = 0;
  #bytes = 0;

  constructor(limit: number, limitBytes: number) {
    this.#limit = limit;
    this.#limitBytes = limitBytes;
  }

  get(application: string, taskId: number): Answer | undefined {
    return this.#answers.young(application)?.get(taskId) ?? this.#answers.old(application)?.get(taskId);
  }

  add(application: string, taskId: number, answer: Answer): void {
    const young = this.#answers.young(application);
    const old = this.#answers.old(application);
    const said = young?.get(taskId);
    const known = said ?? old?.get(taskId);
    if (known !== undefined) {
      // An attempt that was ended late says nothing about the lease that came after it.
      if (known.epoch > answer.epoch) return;
      this.#bytes -= said?.data.length ?? 0;
      young?.forget(taskId);
      old?.forget(taskId);
    }
    const { length } = answer.data;
    if (length > this.#limitBytes) return;
    if (this.#count >= this.#limit || this.#bytes + length > this.#limitBytes) {
      this.#answers.turn();
      this.#count = 0;
      this.#bytes = 0;
    }
    const answers = this.#answers.open(application);
    const { size } = answers;
    answers.set(taskId, answer);
    this.#count += answers.size - size;
    this.#bytes += length;
  }
}
