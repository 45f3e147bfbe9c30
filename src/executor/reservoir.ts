import type { Random } from '../core/ids.ts';

/** Uniform sample of bounded size. Source: algorithm R, J. Vitter, "Random Sampling with a Reservoir", 1985. */
export class Reservoir {
  readonly items: unknown[] = [];
  count = 0;
  readonly #size: number;
  readonly #random: Random;

  constructor(size: number, random: Random) {
    this.#size = size;
    this.#random = random;
  }

  add(item: unknown): void {
    this.count += 1;
    if (this.items.length < this.#size) {
      this.items.push(item);
      return;
    }
    const at = Math.floor(this.#random() * this.count);
    if (at < this.#size) this.items[at] = item;
  }
}
