/** What is kept of one application. */
export interface Kept {
  readonly size: number;
  clear(): void;
}

/**
 * What was learned lately, by application, in two generations: when the young one is full the old one is dropped, so that
 * memory is bounded and nothing is looked for to be thrown away. Keeps what the dropped one had allocated.
 */
export class Generations<T extends Kept> {
  #young = new Map<string, T>();
  #old = new Map<string, T>();
  readonly #make: () => T;

  constructor(make: () => T) {
    this.#make = make;
  }

  /** What the young generation has of an application, for more to be added. */
  open(application: string): T {
    let kept = this.#young.get(application);
    if (kept === undefined) this.#young.set(application, (kept = this.#make()));
    return kept;
  }

  young(application: string): T | undefined {
    return this.#young.get(application);
  }

  old(application: string): T | undefined {
    return this.#old.get(application);
  }

  /** The young generation is full. */
  turn(): void {
    const dropped = this.#old;
    this.#old = this.#young;
    this.#young = dropped;
    for (const [application, kept] of dropped) {
      if (kept.size === 0) dropped.delete(application);
      else kept.clear();
    }
  }
}
