import { expect, test } from 'vitest';
import { partitionFunction, rangeBounds, samePartitioner } from '../../src/shuffle/partitioner.ts';

test('range bounds cut weighted samples into parts of about equal weight', () => {
  const samples = Array.from({ length: 1000 }, (_, i) => [i, 1] as [number, number]);
  expect(rangeBounds(samples, 4)).toEqual([249, 499, 749]);
});

test('a heavy key gives fewer partitions, not equal bounds', () => {
  const bounds = rangeBounds([...Array.from({ length: 100 }, () => [5, 1] as [number, number]), [6, 1], [7, 1]], 4);
  expect(new Set(bounds).size).toBe(bounds.length);
});

test('a range partitioner puts keys in order, ascending or not', () => {
  for (const ascending of [true, false]) {
    const partition = partitionFunction({ kind: 'range', numPartitions: 3, bounds: [10, 20], ascending });
    const order = [5, 10, 11, 20, 21].map(partition);
    expect(order).toEqual(ascending ? [0, 0, 1, 1, 2] : [2, 2, 1, 1, 0]);
  }
});

test('a custom partitioner outside its range is a clear error', () => {
  const partition = partitionFunction({ kind: 'custom', numPartitions: 2, partition: () => 2 });
  expect(() => partition('k')).toThrow(/gave partition 2 for k, outside 0\.\.1/);
});

test('partitioners are the same by kind and size, custom ones by function', () => {
  const f = (): number => 0;
  expect(samePartitioner({ kind: 'hash', numPartitions: 2 }, { kind: 'hash', numPartitions: 2 })).toBe(true);
  expect(samePartitioner({ kind: 'hash', numPartitions: 2 }, { kind: 'hash', numPartitions: 3 })).toBe(false);
  expect(samePartitioner({ kind: 'custom', numPartitions: 2, partition: f }, { kind: 'custom', numPartitions: 2, partition: () => 0 })).toBe(false);
});
