import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SparkContext } from '../../src/scheduler/spark-context.ts';

let sc: SparkContext;
const directory = mkdtempSync(join(tmpdir(), 'rdd-'));
beforeAll(() => {
  sc = new SparkContext({ 'spark.master': 'local[2]' });
});
afterAll(async () => {
  await sc.stop();
  rmSync(directory, { recursive: true });
});

const ten = () => sc.parallelize([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 4);
const pairs = () =>
  sc.parallelize(
    [
      ['a', 1],
      ['b', 2],
      ['a', 3],
      ['c', 4],
    ] as [string, number][],
    3,
  );
const sorted = <T>(values: T[]): T[] => values.sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));

describe('sources', () => {
  test('parallelize keeps order and cuts evenly', async () => {
    expect(await ten().glom().collect()).toEqual([
      [1, 2],
      [3, 4, 5],
      [6, 7],
      [8, 9, 10],
    ]);
    expect(await sc.parallelize([], 3).collect()).toEqual([]);
    expect(await sc.parallelize(new Set(['x', 'y']), 8).collect()).toEqual(['x', 'y']);
  });

  test('range counts up, down and by fractions', async () => {
    expect(await sc.range(5).collect()).toEqual([0, 1, 2, 3, 4]);
    expect(await sc.range(10, 0, -3, 2).collect()).toEqual([10, 7, 4, 1]);
    expect(await sc.range(0, 1, 0.25, 3).collect()).toEqual([0, 0.25, 0.5, 0.75]);
    expect(await sc.range(3, 3, 1).count()).toBe(0);
  });

  test('textFile reads files, directories and globs', async () => {
    writeFileSync(join(directory, 'a.txt'), 'one\ntwo\n');
    writeFileSync(join(directory, 'b.txt'), 'three\r\nfour');
    expect(await sc.textFile(join(directory, 'a.txt')).collect()).toEqual(['one', 'two']);
    expect(await sc.textFile(join(directory, '*.txt'), 3).collect()).toEqual(['one', 'two', 'three', 'four']);
    expect(await sc.textFile([join(directory, 'b.txt'), join(directory, 'a.txt')], 1).collect()).toEqual(['three', 'four', 'one', 'two']);
  });

  test('missing input is an error of the action, with the path', async () => {
    await expect(sc.textFile(join(directory, 'none*')).count()).rejects.toThrow(/nothing matches .*none\*/);
  });
});

describe('narrow transformations', () => {
  test('map, filter, flatMap in one chain', async () => {
    const factor = 3;
    const got = await ten()
      .map((x) => x * factor)
      .filter((x) => x % 2 === 0)
      .flatMap((x) => [x, -x])
      .collect();
    expect(got).toEqual([6, -6, 12, -12, 18, -18, 24, -24, 30, -30]);
  });

  test('async functions are awaited, in order, wherever they stand', async () => {
    const seen = await ten()
      .map(async (x) => {
        await Promise.resolve();
        return x + 1;
      })
      .filter(async (x) => Promise.resolve(x % 2 === 0))
      .flatMap(async (x) => Promise.resolve([x, x]))
      .mapPartitions(async (records) => Promise.resolve([...records].slice(0, 1)))
      .collect();
    expect(seen).toEqual([2, 4, 8, 10]);
  });

  test('async generators of mapPartitions and flatMap are read to their end', async () => {
    const got = await ten()
      .mapPartitions(async function* (records) {
        for (const x of records) yield await Promise.resolve(x * 2);
      })
      .collect();
    expect(got).toEqual([2, 4, 6, 8, 10, 12, 14, 16, 18, 20]);
  });

  test('a function that is asynchronous only now and then gives the same', async () => {
    expect(
      await ten()
        .map((x) => (x === 9 ? Promise.resolve(x) : x))
        .collect(),
    ).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });

  test('mapPartitions sees an iterator and reads no further than it asks', async () => {
    const read = sc.longAccumulator('read');
    const firsts = ten()
      .map((x) => {
        read.add(1);
        return x;
      })
      .mapPartitions((records) => [records.next().value as number]);
    expect(await firsts.collect()).toEqual([1, 3, 6, 8]);
    expect(read.value).toBe(4);
  });

  test('mapPartitionsWithIndex gets the partition, also below a union', async () => {
    const tagged = ten().mapPartitionsWithIndex((i, records) => [[i, [...records].length] as [number, number]]);
    expect(await tagged.union(tagged).collect()).toEqual([
      [0, 2],
      [1, 3],
      [2, 2],
      [3, 3],
      [0, 2],
      [1, 3],
      [2, 2],
      [3, 3],
    ]);
  });

  test('an operator that gives no iterable is a clear error', async () => {
    await expect(
      ten()
        .flatMap((x) => x as never)
        .collect(),
    ).rejects.toThrow(/flatMap must return an iterable, got number/);
  });
});

describe('by key', () => {
  test('reduceByKey, groupByKey, aggregateByKey, combineByKey, countByKey', async () => {
    expect(
      sorted(
        await pairs()
          .reduceByKey((a, b) => a + b)
          .collect(),
      ),
    ).toEqual([
      ['a', 4],
      ['b', 2],
      ['c', 4],
    ]);
    expect(
      sorted(
        await pairs()
          .groupByKey()
          .mapValues((v) => [...v].sort())
          .collect(),
      ),
    ).toEqual([
      ['a', [1, 3]],
      ['b', [2]],
      ['c', [4]],
    ]);
    const lists = await pairs()
      .aggregateByKey(
        [] as number[],
        (all, x) => [...all, x],
        (a, b) => [...a, ...b],
      )
      .mapValues((v) => v.sort())
      .collect();
    expect(sorted(lists)).toEqual([
      ['a', [1, 3]],
      ['b', [2]],
      ['c', [4]],
    ]);
    const means = await pairs()
      .combineByKey(
        (x) => [x, 1] as [number, number],
        ([s, n], x) => [s + x, n + 1] as [number, number],
        (a, b) => [a[0] + b[0], a[1] + b[1]] as [number, number],
      )
      .mapValues(([s, n]) => s / n)
      .collect();
    expect(sorted(means)).toEqual([
      ['a', 2],
      ['b', 2],
      ['c', 4],
    ]);
    expect(await pairs().countByKey()).toEqual(
      new Map([
        ['a', 2],
        ['b', 1],
        ['c', 1],
      ]),
    );
  });

  test('the zero of aggregateByKey is copied for each key', async () => {
    const got = await pairs()
      .aggregateByKey(
        { all: [] as number[] },
        (sum, x) => {
          sum.all.push(x);
          return sum;
        },
        (a, b) => {
          a.all.push(...b.all);
          return a;
        },
        1,
      )
      .mapValues((v) => v.all.length)
      .collect();
    expect(sorted(got)).toEqual([
      ['a', 2],
      ['b', 1],
      ['c', 1],
    ]);
  });

  test('keys are equal by value: tuples, objects, dates; 1 and "1" are not', async () => {
    const keyed = sc.parallelize(
      [
        [[1, 'x'], 1],
        [[1, 'x'], 2],
        [{ a: 1 }, 3],
        [{ a: 1 }, 4],
        [1, 5],
        ['1', 6],
        [NaN, 7],
        [NaN, 8],
        [null, 9],
        [undefined, 10],
      ] as [unknown, number][],
      4,
    );
    expect(
      (
        await keyed
          .reduceByKey((a, b) => a + b, 3)
          .values()
          .collect()
      ).sort((a, b) => a - b),
    ).toEqual([3, 5, 6, 7, 9, 10, 15]);
  });

  test('async merge functions are awaited', async () => {
    expect(
      sorted(
        await pairs()
          .reduceByKey(async (a, b) => Promise.resolve(a + b))
          .collect(),
      ),
    ).toEqual([
      ['a', 4],
      ['b', 2],
      ['c', 4],
    ]);
  });

  test('joins', async () => {
    const other = sc.parallelize(
      [
        ['a', 'x'],
        ['a', 'y'],
        ['d', 'z'],
      ] as [string, string][],
      2,
    );
    expect(sorted(await pairs().join(other).collect())).toEqual([
      ['a', [1, 'x']],
      ['a', [1, 'y']],
      ['a', [3, 'x']],
      ['a', [3, 'y']],
    ]);
    expect(
      (await pairs().leftOuterJoin(other).collect())
        .filter(([, [, w]]) => w === undefined)
        .map(([k]) => k)
        .sort(),
    ).toEqual(['b', 'c']);
    expect((await pairs().rightOuterJoin(other).collect()).filter(([, [v]]) => v === undefined)).toEqual([['d', [undefined, 'z']]]);
    expect(await pairs().fullOuterJoin(other).count()).toBe(7);
    const groups = new Map(await pairs().cogroup(other).collect());
    expect(groups.get('a')?.map((side) => [...side].sort())).toEqual([
      [1, 3],
      ['x', 'y'],
    ]);
    expect(groups.get('d')).toEqual([[], ['z']]);
  });

  test('records that are not pairs are refused at once', async () => {
    await expect((ten() as never as ReturnType<typeof pairs>).reduceByKey((a, b) => a + b).collect()).rejects.toThrow(/not a pair: \d+/);
  });

  test('partitionBy puts each key where the function says', async () => {
    const parts = await pairs()
      .partitionBy(3, (key) => key.charCodeAt(0) - 97)
      .keys()
      .glom()
      .collect();
    expect(parts).toEqual([['a', 'a'], ['b'], ['c']]);
  });
});

describe('order, sets, sharing', () => {
  test('sortBy and sortByKey over several partitions, both ways, and by a comparator', async () => {
    const values = Array.from({ length: 2000 }, (_, i) => (i * 7919) % 2003);
    const ascending = [...values].sort((a, b) => a - b);
    const rdd = sc.parallelize(values, 5);
    expect(await rdd.sortBy((x) => x, { numPartitions: 4 }).collect()).toEqual(ascending);
    expect(await rdd.sortBy((x) => x, { ascending: false, numPartitions: 3 }).collect()).toEqual([...ascending].reverse());
    const sizes = await rdd
      .sortBy((x) => x, { numPartitions: 4 })
      .glom()
      .map((part) => part.length)
      .collect();
    expect(Math.min(...sizes)).toBeGreaterThan(300);
    const words = sc.parallelize(['bb', 'a', 'ccc'], 2).keyBy((w) => w);
    expect(
      await words
        .sortByKey({ compare: (a, b) => b.length - a.length })
        .values()
        .collect(),
    ).toEqual(['ccc', 'bb', 'a']);
  });

  test('distinct and union', async () => {
    expect(
      sorted(
        await sc
          .parallelize([1, 2, 1, [1], [1], { a: 1 }, { a: 1 }] as unknown[], 3)
          .distinct()
          .collect(),
      ).length,
    ).toBe(4);
    expect(
      await ten()
        .union(sc.parallelize([11]))
        .count(),
    ).toBe(11);
  });

  test('a cached RDD is computed once a partition', async () => {
    const calls = sc.longAccumulator('calls');
    const cached = ten()
      .map((x) => {
        calls.add(1);
        return x * 2;
      })
      .cache();
    expect(await cached.count()).toBe(10);
    expect(await cached.reduce((a, b) => a + b)).toBe(110);
    expect(calls.value).toBe(10);
    cached.unpersist();
    await cached.count();
    expect(calls.value).toBe(20);
  });

  test('broadcasts are read, accumulators of every kind are summed', async () => {
    const table = sc.broadcast(
      new Map([
        ['a', 10],
        ['b', 20],
      ]),
    );
    const sum = sc.doubleAccumulator('sum');
    const seen = sc.collectionAccumulator<string>('seen');
    const longest = sc.accumulator<string, string>({
      zero: () => '',
      add: (s, v) => (v.length > s.length ? v : s),
      merge: (a, b) => (a.length > b.length ? a : b),
    });
    await pairs().foreach(([k]) => {
      sum.add((table.value.get(k) ?? 0.5) / 2);
      seen.add(k);
      longest.add(k.repeat(k.charCodeAt(0) - 96));
    });
    expect(sum.value).toBe(20.25);
    expect([...seen.value].sort()).toEqual(['a', 'a', 'b', 'c']);
    expect(longest.value).toBe('ccc');
    table.destroy();
    expect(() => table.value).toThrow(/was destroyed/);
  });
});

describe('actions', () => {
  test('reduce, fold, aggregate, take, first, isEmpty, countByValue, collectAsMap', async () => {
    expect(await ten().reduce((a, b) => Math.max(a, b))).toBe(10);
    expect(await ten().fold(0, (a, b) => a + b)).toBe(55);
    expect(
      await ten().aggregate(
        { n: 0 },
        (s, x) => ({ n: s.n + x }),
        (a, b) => ({ n: a.n + b.n }),
      ),
    ).toEqual({ n: 55 });
    expect(await ten().take(0)).toEqual([]);
    expect(await ten().take(7)).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(await ten().take(99)).toHaveLength(10);
    expect(
      await ten()
        .filter((x) => x > 9)
        .first(),
    ).toBe(10);
    expect(await ten().isEmpty()).toBe(false);
    expect(await sc.parallelize(['x', 'y', 'x']).countByValue()).toEqual(
      new Map([
        ['x', 2],
        ['y', 1],
      ]),
    );
    expect(await pairs().collectAsMap()).toEqual(
      new Map([
        ['a', 3],
        ['b', 2],
        ['c', 4],
      ]),
    );
  });

  test('take runs no more partitions than it needs', async () => {
    const ran = sc.longAccumulator();
    const rdd = sc.range(0, 1000, 1, 100).mapPartitions((records) => {
      ran.add(1);
      return records;
    });
    expect(await rdd.take(3)).toEqual([0, 1, 2]);
    expect(ran.value).toBe(1);
  });

  test('take stops an endless partition', async () => {
    const endless = sc.parallelize([0], 1).flatMap(function* () {
      for (let i = 0; ; i++) yield i;
    });
    expect(await endless.map((x) => x * 2).take(3)).toEqual([0, 2, 4]);
  });

  test('reduce begins with the first record that is left, in each partition, and takes each of the others once, in order', async () => {
    const concat = (a: string, b: string): string => a + b;
    const all = 'abcdefghij';
    const letters = sc.parallelize(all.split(''), 2);
    for (const from of ['a', 'c', 'e', 'f', 'g', 'j']) expect(await letters.filter((c) => c >= from).reduce(concat)).toBe(all.slice(all.indexOf(from)));
    expect(await letters.filter((c): boolean => c === 'b').reduce(concat)).toBe('b');
    await expect(letters.filter(() => false).reduce(concat)).rejects.toThrow(/reduce of an empty RDD/);
    expect(await letters.flatMap((c) => [c, c.toUpperCase()]).reduce(concat)).toBe('aAbBcCdDeEfFgGhHiIjJ');
    expect(await letters.union(letters.filter((c) => c < 'c')).reduce(concat)).toBe('abcdefghijab');
    const falling = sc.range(10, 0, -3, 1).map(String);
    expect(await falling.reduce((a, b) => `${a} ${b}`)).toBe('10 7 4 1');
    // Waited for: in a later record, in all, and in the function that reduces.
    expect(await letters.map((c) => (c === 'c' ? (Promise.resolve('C') as never) : c)).reduce(concat)).toBe('abCdefghij');
    expect(await letters.map(async (c) => Promise.resolve(c)).reduce(concat)).toBe('abcdefghij');
    expect(await letters.reduce(async (a, b) => Promise.resolve(a + b))).toBe('abcdefghij');
  });

  test('an empty RDD has nothing to reduce', async () => {
    await expect(sc.parallelize([] as number[]).reduce((a, b) => a + b)).rejects.toThrow(/reduce of an empty RDD/);
    await expect(sc.parallelize([]).first()).rejects.toThrow(/first of an empty RDD/);
  });

  test('saveAsTextFile writes part files and _SUCCESS, once', async () => {
    const path = join(directory, 'out');
    await pairs().saveAsTextFile(path);
    expect(readdirSync(path).sort()).toEqual(['_SUCCESS', 'part-00000', 'part-00001', 'part-00002']);
    expect(readFileSync(join(path, 'part-00001'), 'utf8')).toBe('["b",2]\n');
    await expect(pairs().saveAsTextFile(path)).rejects.toThrow(/exists already/);
  });

  test('a failed saveAsTextFile leaves nothing', async () => {
    const path = join(directory, 'failed');
    await expect(
      ten()
        .map((x) => {
          if (x === 10) throw new Error('no');
          return x;
        })
        .saveAsTextFile(path),
    ).rejects.toThrow(/no/);
    expect(readdirSync(directory)).not.toContain('failed');
  });

  test('wrong arguments are named', () => {
    expect(() => ten().map(5 as never)).toThrow(/map: f must be a function, got number/);
    expect(() => sc.parallelize(5 as never)).toThrow(/parallelize: data must be an iterable/);
    expect(() => sc.range(0, 10, 0)).toThrow(/step must be a finite number other than 0/);
    expect(() => pairs().reduceByKey((a) => a, 0)).toThrow(/numPartitions must be a whole number of at least 1/);
  });

  test('records that are no data are refused, with the reason', async () => {
    await expect(
      ten()
        .map(() => () => 1)
        .collect(),
    ).rejects.toThrow(/a function is not data/);
  });
});
