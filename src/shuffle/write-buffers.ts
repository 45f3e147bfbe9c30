import { appendPairs } from '../protocol/columns.ts';
import type { Block } from './files.ts';

/** Pairs held as objects before they are encoded; bounds the object memory of a map task. */
const FLUSH_RECORDS = 1 << 16;

/** Collects pairs per reduce partition and encodes them in column batches as they grow. */
export class WriteBuffers {
  readonly #keys: unknown[][];
  readonly #values: unknown[][];
  readonly #chunks: Uint8Array[][];
  #held = 0;
  /** Records written so far. */
  records = 0;

  constructor(numPartitions: number) {
    this.#keys = Array.from({ length: numPartitions }, () => []);
    this.#values = Array.from({ length: numPartitions }, () => []);
    this.#chunks = Array.from({ length: numPartitions }, () => []);
  }

  add(partition: number, key: unknown, value: unknown): void {
    (this.#keys[partition] as unknown[]).push(key);
    (this.#values[partition] as unknown[]).push(value);
    if (++this.#held >= FLUSH_RECORDS) this.#flush();
  }

  #flush(): void {
    this.records += this.#held;
    this.#held = 0;
    for (let p = 0; p < this.#keys.length; p++) {
      appendPairs(this.#chunks[p] as Uint8Array[], this.#keys[p] as unknown[], this.#values[p] as unknown[]);
      this.#keys[p] = [];
      this.#values[p] = [];
    }
  }

  finish(): readonly Block[] {
    this.#flush();
    return this.#chunks;
  }
}

/** Blocks of pairs that are all there: counted first, so that each partition's columns are filled at their size. */
export function splitByPartition(
  keys: readonly unknown[],
  values: readonly unknown[],
  numPartitions: number,
  partitionOf: (key: unknown) => number,
): readonly Block[] {
  const n = keys.length;
  const target = new Uint32Array(n);
  const sizes = new Uint32Array(numPartitions);
  for (let i = 0; i < n; i++) {
    const p = partitionOf(keys[i]);
    target[i] = p;
    sizes[p]! += 1;
  }
  const keysOf = Array.from(sizes, (size) => new Array<unknown>(size));
  const valuesOf = Array.from(sizes, (size) => new Array<unknown>(size));
  const filled = new Uint32Array(numPartitions);
  for (let i = 0; i < n; i++) {
    const p = target[i] as number;
    const at = filled[p]!++;
    (keysOf[p] as unknown[])[at] = keys[i];
    (valuesOf[p] as unknown[])[at] = values[i];
  }
  return keysOf.map((partition, p) => {
    const chunks: Uint8Array[] = [];
    appendPairs(chunks, partition, valuesOf[p] as unknown[]);
    return chunks;
  });
}
