import fc from 'fast-check';
import { expect, test } from 'vitest';
import { sortPairs } from '../../src/executor/sort.ts';
import { compareKeys } from '../../src/protocol/hash.ts';

test('numbers are sorted as a stable comparator sort would, both ways', () => {
  const key = fc.oneof(fc.integer({ min: -3, max: 3 }), fc.double({ noNaN: true }), fc.integer());
  fc.assert(
    fc.property(fc.array(key, { maxLength: 60 }), fc.boolean(), (keys, ascending) => {
      const values = keys.map((_, i) => i);
      const sorted = sortPairs([{ keys, values }], compareKeys, ascending);
      const order = [...values].sort((a, b) => compareKeys(keys[a], keys[b]));
      if (!ascending) order.reverse();
      expect(sorted.values.map((v) => keys[v as number])).toEqual(order.map((v) => keys[v]));
      if (ascending) expect(sorted.values).toEqual(order);
    }),
    { numRuns: 500 },
  );
});

test('columns of any keys are merged', () => {
  const sorted = sortPairs(
    [
      { keys: ['b', 'd'], values: [1, 2] },
      { keys: ['a', 'c'], values: [3, 4] },
    ],
    compareKeys,
    true,
  );
  expect(sorted).toEqual({ keys: ['a', 'b', 'c', 'd'], values: [3, 1, 4, 2] });
});
