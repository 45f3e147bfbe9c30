import { median } from './row.ts';

/** What was measured under each name, a value a round; the median counts. */
export class Figures {
  readonly #values = new Map<string, number[]>();

  add(name: string, value: number): void {
    const values = this.#values.get(name);
    if (values === undefined) this.#values.set(name, [value]);
    else values.push(value);
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  get(name: string): number {
    return median(this.#values.get(name) ?? []);
  }
}
