/** Cached partitions of one process, in shared memory that all its threads read. Least recently added go first when full. */
export class BlockManager {
  readonly #blocks = new Map<string, Uint8Array>();
  #capacity: number;
  readonly #dropped: (id: string) => void;
  #bytes = 0;

  constructor(capacity: number, dropped: (id: string) => void) {
    this.#capacity = capacity;
    this.#dropped = dropped;
  }

  /** False when the block is already here, or is larger than the whole store. */
  put(id: string, bytes: Uint8Array): boolean {
    if (this.#blocks.has(id)) return false;
    if (bytes.byteLength > this.#capacity) {
      this.#dropped(id);
      return false;
    }
    for (const old of this.#blocks.keys()) {
      if (this.#bytes + bytes.byteLength <= this.#capacity) break;
      this.#remove(old);
    }
    this.#blocks.set(id, bytes);
    this.#bytes += bytes.byteLength;
    return true;
  }

  setCapacity(capacity: number): void {
    this.#capacity = capacity;
    for (const old of this.#blocks.keys()) {
      if (this.#bytes <= capacity) return;
      this.#remove(old);
    }
  }

  /** Drops the blocks whose id begins with `prefix` (`rdd_7_`: all partitions of RDD 7). */
  drop(prefix: string): void {
    for (const id of this.#blocks.keys()) if (id.startsWith(prefix)) this.#remove(id);
  }

  entries(): IterableIterator<[string, Uint8Array]> {
    return this.#blocks.entries();
  }

  #remove(id: string): void {
    const bytes = this.#blocks.get(id);
    if (bytes === undefined) return;
    this.#blocks.delete(id);
    this.#bytes -= bytes.byteLength;
    this.#dropped(id);
  }
}
