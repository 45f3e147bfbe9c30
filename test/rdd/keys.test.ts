import { afterAll, beforeAll, expect, test } from 'vitest';
import { SparkContext } from '../../src/scheduler/spark-context.ts';

let sc: SparkContext;
beforeAll(() => {
  sc = new SparkContext({ 'spark.master': 'local[2]' });
});
afterAll(() => sc.stop());

test('keys without a natural order have their place, in one partition and in many', async () => {
  const later = new Date(5);
  const sooner = new Date(1);
  for (const [given, expected] of [
    [
      [5, 3, undefined, 4, 1, 2],
      [undefined, 1, 2, 3, 4, 5],
    ],
    [
      ['b', null, 'a'],
      [null, 'a', 'b'],
    ],
    [
      [later, new Date(NaN), sooner],
      [sooner, later, new Date(NaN)],
    ],
    [
      [
        [2, 1],
        [undefined, 1],
        [1, 1],
      ],
      [
        [undefined, 1],
        [1, 1],
        [2, 1],
      ],
    ],
  ] as const) {
    for (const numPartitions of [1, 2]) {
      const sorted = sc.parallelize<unknown>(given, 2).sortBy((x) => x, { numPartitions });
      expect(await sorted.collect()).toEqual(expected);
    }
  }
});

test('a string that reads like another key is a key of its own', async () => {
  const keys = ['[1]', [1], '{"a":1}', { a: 1 }, [1], 'D0', new Date(0)];
  const pairs = sc.parallelize(
    keys.map((key): [unknown, number] => [key, 1]),
    2,
  );
  const counts = await pairs.countByKey();
  expect([...counts].sort(([a], [b]) => String(JSON.stringify(a)).localeCompare(JSON.stringify(b)))).toHaveLength(6);
  expect(counts.get('[1]')).toBe(1);
  expect([...counts].find(([key]) => Array.isArray(key))?.[1]).toBe(2);
  expect((await sc.parallelize(keys, 2).countByValue()).size).toBe(6);
  expect((await pairs.collectAsMap()).size).toBe(6);
});

test('bytes are keys by what they are bytes of', async () => {
  const bytes = [new Int8Array([-1]), new Uint8Array([255]), new Uint8Array([255])];
  expect(await sc.parallelize<unknown>(bytes, 2).distinct().count()).toBe(2);
});
