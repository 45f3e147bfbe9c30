import type { TaskEntry } from './task-entry.ts';

/** Tasks that wait for a time, earliest first: a binary heap. One that is cancelled meanwhile stays until its turn and is passed over. */
export class Backoff {
  readonly #heap: { readonly due: number; readonly entry: TaskEntry }[] = [];

  get size(): number {
    return this.#heap.length;
  }

  add(entry: TaskEntry, due: number): void {
    entry.due = due;
    const heap = this.#heap;
    const item = { due, entry };
    let i = heap.push(item) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      const above = heap[parent] as typeof item;
      if (above.due <= due) break;
      heap[i] = above;
      i = parent;
    }
    heap[i] = item;
  }

  /** The next one whose time has come. */
  take(now: number): TaskEntry | undefined {
    for (let first = this.#heap[0]; first !== undefined && first.due <= now; first = this.#heap[0]) {
      this.#pop();
      if (first.entry.due === first.due) {
        first.entry.due = 0;
        return first.entry;
      }
    }
    return undefined;
  }

  /** All that wait and are as asked, whenever their time would come. */
  takeWhere(wanted: (entry: TaskEntry) => boolean): TaskEntry[] {
    const taken: TaskEntry[] = [];
    const kept: TaskEntry[] = [];
    for (const { due, entry } of this.#heap) {
      if (entry.due !== due) continue;
      if (wanted(entry)) taken.push(entry);
      else kept.push(entry);
    }
    this.#heap.length = 0;
    for (const entry of kept) this.add(entry, entry.due);
    for (const entry of taken) entry.due = 0;
    return taken;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as (typeof heap)[number];
    if (heap.length === 0) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && (heap[child + 1] as typeof last).due < (heap[child] as typeof last).due) child++;
      const below = heap[child] as typeof last;
      if (below.due >= last.due) break;
      heap[i] = below;
      i = child;
    }
    heap[i] = last;
  }
}

/** Spark leases a lost task again at once; one that was lost before waits, twice as long each time. */
export function backoffMs(losses: number, base: number, most: number): number {
  return losses < 2 ? 0 : Math.min(most, base * 2 ** (losses - 2));
}
