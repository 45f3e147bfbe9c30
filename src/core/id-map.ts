/** 2^32 / golden ratio: ids in a row come to lie far apart (Knuth, TAOCP 3, 6.4), so that runs stay short. */
const GOLDEN = 0x9e3779b1;
const SMALLEST = 16;

/**
 * A map by whole numbers from 0 to 2^53 - 1, for what comes and goes all the time.
 *
 * Why not a Map? When a Map has seen as many deletions as it has room it moves to a new table, and V8 leaves in the old one
 * a reference to the new. Once a table has grown old, each later one is kept alive by the dead one before it, with all that
 * was in it: every young collection copies what long has ended, until a full one comes. Here what is deleted is gone.
 *
 * Open addressing, linear probing, deletion without marks (algorithm R). No value may be undefined.
 */
export class IdMap<T> {
  #ids: number[] = new Array<number>(SMALLEST).fill(0);
  #values: (T | undefined)[] = new Array<T | undefined>(SMALLEST).fill(undefined);
  #mask = SMALLEST - 1;
  #shift = 28;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  has(id: number): boolean {
    return this.get(id) !== undefined;
  }

  get(id: number): T | undefined {
    const values = this.#values;
    const ids = this.#ids;
    const mask = this.#mask;
    for (let at = this.#home(id); ; at = (at + 1) & mask) {
      const value = values[at];
      if (value === undefined || ids[at] === id) return value;
    }
  }

  set(id: number, value: T): void {
    if (this.#size * 2 > this.#mask) this.#resize((this.#mask + 1) * 2);
    const values = this.#values;
    const ids = this.#ids;
    const mask = this.#mask;
    let at = this.#home(id);
    for (let known = values[at]; known !== undefined; known = values[at]) {
      if (ids[at] === id) {
        values[at] = value;
        return;
      }
      at = (at + 1) & mask;
    }
    ids[at] = id;
    values[at] = value;
    this.#size++;
  }

  /** Gives what it was; undefined: it was not there. */
  delete(id: number): T | undefined {
    const values = this.#values;
    const ids = this.#ids;
    const mask = this.#mask;
    let at = this.#home(id);
    for (; values[at] !== undefined; at = (at + 1) & mask) if (ids[at] === id) break;
    const found = values[at];
    if (found === undefined) return undefined;
    this.#size--;
    // What stands behind it in the run moves up, unless that is before its home.
    for (let next = (at + 1) & mask; values[next] !== undefined; next = (next + 1) & mask) {
      const home = this.#home(ids[next] as number);
      if (((next - home) & mask) < ((next - at) & mask)) continue;
      values[at] = values[next];
      ids[at] = ids[next] as number;
      at = next;
    }
    values[at] = undefined;
    if (mask >= SMALLEST * 64 && this.#size * 16 < mask) this.#resize((mask + 1) / 4);
    return found;
  }

  clear(): void {
    this.#size = 0;
    this.#resize(SMALLEST);
  }

  /** What it has now, rising; it may be changed meanwhile. */
  ids(): number[] {
    return this.#size === 0 ? [] : this.#ids.filter((_, at) => this.#values[at] !== undefined).sort((a, b) => a - b);
  }

  /** In the order of their ids, as it is now. */
  values(): T[] {
    return this.ids().map((id) => this.get(id) as T);
  }

  #home(id: number): number {
    return id < 0x8000_0000 ? Math.imul(id, GOLDEN) >>> this.#shift : Math.imul((id >>> 0) ^ Math.imul(id / 0x1_0000_0000, 0x85ebca6b), GOLDEN) >>> this.#shift;
  }

  #resize(length: number): void {
    const ids = this.#ids;
    const values = this.#values;
    this.#ids = new Array<number>(length).fill(0);
    this.#values = new Array<T | undefined>(length).fill(undefined);
    this.#mask = length - 1;
    this.#shift = Math.clz32(length - 1);
    if (this.#size === 0) return;
    this.#size = 0;
    for (let at = 0; at < values.length; at++) {
      const value = values[at];
      if (value !== undefined) this.set(ids[at] as number, value);
    }
  }
}
