interface Item {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

/** Things to do at times to come, earliest first; equal times in the order they were added. A binary heap. */
export class Agenda {
  readonly #heap: Item[] = [];
  #order = 0;
  now = 0;

  in(ms: number, run: () => void): void {
    const heap = this.#heap;
    heap.push({ at: this.now + Math.max(0, ms), order: this.#order++, run });
    let i = heap.length - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!this.#less(i, parent)) break;
      this.#swap(i, parent);
      i = parent;
    }
  }

  /** Does the next thing; false when there is none. */
  step(): boolean {
    const heap = this.#heap;
    const first = heap[0];
    if (first === undefined) return false;
    const last = heap.pop() as Item;
    if (heap.length > 0) {
      heap[0] = last;
      for (let i = 0; ;) {
        let least = i;
        for (const child of [2 * i + 1, 2 * i + 2]) if (child < heap.length && this.#less(child, least)) least = child;
        if (least === i) break;
        this.#swap(i, least);
        i = least;
      }
    }
    this.now = first.at;
    first.run();
    return true;
  }

  #less(a: number, b: number): boolean {
    const x = this.#heap[a] as Item;
    const y = this.#heap[b] as Item;
    return x.at < y.at || (x.at === y.at && x.order < y.order);
  }

  #swap(a: number, b: number): void {
    const x = this.#heap[a] as Item;
    this.#heap[a] = this.#heap[b] as Item;
    this.#heap[b] = x;
  }
}
