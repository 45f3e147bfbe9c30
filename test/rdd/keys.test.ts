import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeTemporaryDirectory } from '../../src/core/temporary.ts';
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

describe('what cannot be meant is refused', () => {
  const bad = expect.objectContaining({ code: 'SP_RDD_BAD_ARGUMENT' }) as Error;
  const pairs = () => sc.parallelize<[number, number]>([[1, 1]], 1);

  test('where an RDD, a path or options are asked for', () => {
    for (const other of [[[1, 1]], null, 5]) {
      expect(() => pairs().join(other as never)).toThrow(bad);
      expect(() => pairs().cogroup(other as never)).toThrow(bad);
      expect(() => pairs().union(other as never)).toThrow(bad);
    }
    expect(() => sc.textFile(null as never)).toThrow(bad);
    expect(() => sc.textFile(new URL('file:///tmp') as never)).toThrow(bad);
    expect(() => pairs().sortByKey(false as never)).toThrow(bad);
  });

  test('in records: what would arrive as something else', async () => {
    const lost = { code: 'SP_COLUMN_NOT_DATA' };
    const withProto = JSON.parse('{"__proto__":1}') as unknown;
    for (const record of [withProto, { inside: [withProto] }, new Number(1), [new String('a')]]) {
      await expect((async () => sc.parallelize<unknown>([record], 1).collect())()).rejects.toMatchObject(lost);
    }
  });

  test('an output below a file, told by what failed and not by what was tidied up', async () => {
    const error = await pairs()
      .saveAsTextFile(`${import.meta.filename}/out`)
      .then(
        () => undefined,
        (cause: Error) => cause,
      );
    expect(error).toMatchObject({ code: 'SP_SCHEDULER_JOB_ABORTED' });
  });

  test('a directory for temporary files that is none', () => {
    expect(() => makeTemporaryDirectory(import.meta.filename, 'x')).toThrow(expect.objectContaining({ code: 'SP_TEMPORARY_CANNOT_MAKE' }) as Error);
  });
});
