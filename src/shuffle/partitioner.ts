import { printable } from '../core/errors.ts';
import { compareKeys, hashKey } from '../protocol/hash.ts';
import { SHUFFLE_ERRORS } from './errors.ts';

export type Compare = (a: unknown, b: unknown) => number;

/** How keys map to partitions; plain data but for user functions, so that it travels in a stage binary. */
export type Partitioner =
  | { readonly kind: 'hash'; readonly numPartitions: number }
  | { readonly kind: 'range'; readonly numPartitions: number; readonly bounds: readonly unknown[]; readonly ascending: boolean; readonly compare?: Compare }
  | { readonly kind: 'custom'; readonly numPartitions: number; readonly partition: (key: unknown) => number };

/** True when both send every key to the same partition (custom ones: the same function). */
export function samePartitioner(a: Partitioner | undefined, b: Partitioner | undefined): boolean {
  if (a === undefined || b === undefined) return false;
  if (a === b) return true;
  if (a.numPartitions !== b.numPartitions) return false;
  if (a.kind === 'hash') return b.kind === 'hash';
  return a.kind === 'custom' && b.kind === 'custom' && a.partition === b.partition;
}

/** key -> partition in [0, numPartitions). @throws SP_SHUFFLE_BAD_PARTITION when a custom partitioner answers outside it */
export function partitionFunction(partitioner: Partitioner): (key: unknown) => number {
  const n = partitioner.numPartitions;
  switch (partitioner.kind) {
    case 'hash':
      return n === 1 ? () => 0 : (key) => hashKey(key) % n;
    case 'range': {
      const { bounds, ascending } = partitioner;
      const compare = partitioner.compare ?? compareKeys;
      return (key) => {
        let low = 0;
        let high = bounds.length;
        while (low < high) {
          const middle = (low + high) >>> 1;
          if (compare(key, bounds[middle]) > 0) low = middle + 1;
          else high = middle;
        }
        return ascending ? low : n - 1 - low;
      };
    }
    case 'custom':
      return (key) => {
        const p = partitioner.partition(key);
        if (!Number.isInteger(p) || p < 0 || p >= n) throw SHUFFLE_ERRORS.BAD_PARTITION({ partition: p, key: printable(key), last: n - 1 });
        return p;
      };
  }
}

/**
 * Upper bounds of `numPartitions` ranges with about equal weight, from samples that each stand for `weight` records.
 * Source: Spark's RangePartitioner.determineBounds.
 */
export function rangeBounds(samples: readonly (readonly [key: unknown, weight: number])[], numPartitions: number, compare: Compare = compareKeys): unknown[] {
  const ordered = [...samples].sort((a, b) => compare(a[0], b[0]));
  const total = ordered.reduce((sum, [, w]) => sum + w, 0);
  const step = total / numPartitions;
  const bounds: unknown[] = [];
  let cumulative = 0;
  let target = step;
  for (const [key, weight] of ordered) {
    if (bounds.length >= numPartitions - 1) break;
    cumulative += weight;
    if (cumulative >= target && (bounds.length === 0 || compare(key, bounds.at(-1)) > 0)) {
      bounds.push(key);
      target += step;
    }
  }
  return bounds;
}
