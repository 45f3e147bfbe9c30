import { compareKeys } from '../protocol/hash.ts';
import type { Compare } from '../shuffle/partitioner.ts';

interface Pairs {
  readonly keys: ArrayLike<unknown>;
  readonly values: ArrayLike<unknown>;
}

/** Pairs of all columns in key order; stable. Numeric keys take a path without a comparator. */
export function sortPairs(columns: readonly Pairs[], compare: Compare, ascending: boolean): { keys: unknown[]; values: unknown[] } {
  const keys: unknown[] = [];
  const values: unknown[] = [];
  for (const column of columns) {
    for (let i = 0; i < column.keys.length; i++) {
      keys.push(column.keys[i]);
      values.push(column.values[i]);
    }
  }
  const order =
    compare === compareKeys && keys.every((k) => typeof k === 'number' && !Number.isNaN(k)) ? numericOrder(keys as number[]) : genericOrder(keys, compare);
  const n = keys.length;
  const sortedKeys: unknown[] = new Array(n);
  const sortedValues: unknown[] = new Array(n);
  for (let i = 0; i < n; i++) {
    const from = order[ascending ? i : n - 1 - i] as number;
    sortedKeys[i] = keys[from];
    sortedValues[i] = values[from];
  }
  return { keys: sortedKeys, values: sortedValues };
}

function genericOrder(keys: readonly unknown[], compare: Compare): Uint32Array {
  const order = Array.from({ length: keys.length }, (_, i) => i);
  order.sort((a, b) => compare(keys[a], keys[b]));
  return Uint32Array.from(order);
}

/**
 * Stable order of numbers by least-significant-digit radix sort over the order-preserving bits of a double
 * (sign flipped; all bits flipped when negative). Source: Terdiman, "Radix Sort Revisited", 2000.
 */
function numericOrder(keys: readonly number[]): Uint32Array {
  const n = keys.length;
  const doubles = new Float64Array(n);
  for (let i = 0; i < n; i++) doubles[i] = (keys[i] as number) + 0;
  const halves = new Uint32Array(doubles.buffer);
  for (let i = 0; i < n; i++) {
    const high = halves[2 * i + 1] as number;
    const mask = high >>> 31 === 1 ? 0xffffffff : 0;
    halves[2 * i] = (halves[2 * i] as number) ^ mask;
    halves[2 * i + 1] = high ^ (mask | 0x80000000);
  }
  let order = new Uint32Array(n);
  for (let i = 0; i < n; i++) order[i] = i;
  let scratch = new Uint32Array(n);
  for (let digit = 0; digit < 4; digit++) {
    const word = digit >> 1;
    const shift = (digit & 1) * 16;
    const counts = new Uint32Array(65537);
    for (let i = 0; i < n; i++) counts[(((halves[2 * i + word] as number) >>> shift) & 0xffff) + 1]!++;
    if (counts.includes(n)) continue;
    for (let b = 1; b <= 65536; b++) counts[b]! += counts[b - 1] as number;
    for (let i = 0; i < n; i++) {
      const at = order[i] as number;
      const bucket = ((halves[2 * at + word] as number) >>> shift) & 0xffff;
      scratch[counts[bucket]!++] = at;
    }
    [order, scratch] = [scratch, order];
  }
  return order;
}
