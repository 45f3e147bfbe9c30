/** Spreads ids; those of sixteen in a row stay side by side, so that ids that rise find warm memory. */
function spread(id: number): number {
  const low = id >>> 0;
  const block = Math.imul((low >>> 4) ^ Math.imul((id / 0x1_0000_0000) | 0, 0x85ebca6b), 0x9e3779b1);
  return ((block ^ (block >>> 15)) << 4) | (low & 15);
}

/**
 * Numbers ids from 0 in the order they are added, for values kept in columns: open addressing over typed arrays (Knuth, TAOCP 3,
 * 6.4, algorithm L). A Map of the same size costs twice the time, and the garbage collector walks through it.
 * Ids are whole numbers from 0 to 2^53 - 1. Nothing is taken out but all at once.
 */
export class IdSlots {
  #ids = new Float64Array(8);
  /** Slot + 1 where an id hashes to, or next to there; 0: free. At most half of it is taken. */
  #index = new Int32Array(16);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** -1 when it was not added. */
  find(id: number): number {
    const index = this.#index;
    const ids = this.#ids;
    const mask = index.length - 1;
    for (let at = spread(id) & mask; ; at = (at + 1) & mask) {
      const slot = (index[at] as number) - 1;
      if (slot < 0 || ids[slot] === id) return slot;
    }
  }

  /** Its slot, `size` before the call when it is new. */
  add(id: number): number {
    const known = this.find(id);
    if (known >= 0) return known;
    if (this.#size === this.#ids.length) this.#grow();
    const slot = this.#size++;
    this.#ids[slot] = id;
    this.#enter(id, slot);
    return slot;
  }

  /** Keeps its memory for as many again. */
  clear(): void {
    this.#index.fill(0);
    this.#size = 0;
  }

  #enter(id: number, slot: number): void {
    const index = this.#index;
    const mask = index.length - 1;
    let at = spread(id) & mask;
    while (index[at] !== 0) at = (at + 1) & mask;
    index[at] = slot + 1;
  }

  #grow(): void {
    const ids = new Float64Array(this.#ids.length * 2);
    ids.set(this.#ids);
    this.#ids = ids;
    this.#index = new Int32Array(this.#index.length * 2);
    for (let slot = 0; slot < this.#size; slot++) this.#enter(ids[slot] as number, slot);
  }
}
