import { Generations, type Kept } from '../core/generations.ts';
import { IdSlots } from '../core/id-slots.ts';

/** Epochs of one application's tasks. */
class Epochs implements Kept {
  readonly #slots = new IdSlots();
  #epochs = new Float64Array(8);
  /** No id above it was ever set: ids mostly rise, and most that are asked for are new. */
  #highest = -1;

  get size(): number {
    return this.#slots.size;
  }

  clear(): void {
    this.#slots.clear();
    this.#highest = -1;
  }

  get(taskId: number): number | undefined {
    if (taskId > this.#highest) return undefined;
    const slot = this.#slots.find(taskId);
    return slot < 0 ? undefined : this.#epochs[slot];
  }

  set(taskId: number, epoch: number): void {
    const slot = this.#slots.add(taskId);
    if (slot === this.#epochs.length) {
      const epochs = new Float64Array(slot * 2);
      epochs.set(this.#epochs);
      this.#epochs = epochs;
    }
    this.#epochs[slot] = epoch;
    if (taskId > this.#highest) this.#highest = taskId;
  }
}

/**
 * What is remembered of tasks that have ended: the highest epoch each was leased under, so that late results can be told
 * from unknown ones and a task that is submitted again never re-uses an epoch.
 *
 * Bounded: two generations; when the young one is full, the old one is dropped. At least `limit` tasks that ended last
 * are known, at most twice as many.
 */
export class FenceMemory {
  readonly #limit: number;
  readonly #epochs = new Generations(() => new Epochs());
  #count = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  remember(application: string, taskId: number, epoch: number): void {
    if (this.#count >= this.#limit) {
      this.#epochs.turn();
      this.#count = 0;
    }
    this.#epochs.open(application).set(taskId, epoch);
    this.#count++;
  }

  /** 0 when nothing is known of the task. */
  lastEpoch(application: string, taskId: number): number {
    return this.#epochs.young(application)?.get(taskId) ?? this.#epochs.old(application)?.get(taskId) ?? 0;
  }
}
