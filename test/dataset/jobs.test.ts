/** Actions and their transactions, with tasks in two worker processes. */
import { mkdtempSync, readFileSync, writeFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SparkContext } from '../../src/scheduler/spark-context.ts';
import { attachDatasets, datasetsOf, openDatasets, struct } from '../../src/dataset/index.ts';
import type { Datasets } from '../../src/dataset/contract.ts';
import type { DriverDatasets } from '../../src/dataset/open.ts';
import { all, codeOf, describeEachStore } from './stores.ts';

type Pair = [string, number];

describeEachStore('jobs on two worker processes', (bed) => {
  let sc: SparkContext;
  let datasets: DriverDatasets;
  let outside: Datasets;
  let marks: string;
  let n = 0;

  beforeAll(async () => {
    const store = await bed.url();
    marks = mkdtempSync(join(tmpdir(), 'spark-proxy-marks-'));
    sc = new SparkContext({
      'spark.app.name': 'datasets',
      'spark.master': 'local[2]',
      'worker.instances': '2',
      'dataset.store': store,
      'dataset.files': join(bed.directory(), 'job-files'),
      'spark.default.parallelism': '4',
    });
    datasets = await datasetsOf(sc);
    outside = await openDatasets({ store }, sc.configuration);
    // Workers are there before the first test asks where it runs.
    await sc.range(4).count();
  }, 90_000);
  afterAll(async () => {
    await outside.close();
    await sc.stop();
    rmSync(marks, { recursive: true, force: true });
  }, 60_000);

  const fresh = (): string => `d${++n}`;
  const pairs = (count: number, value = 1): Pair[] => Array.from({ length: count }, (_, i): Pair => [String(i).padStart(5, '0'), value]);
  const table = async (rows: readonly Pair[] = []): Promise<string> => {
    const name = fresh();
    await datasets.admin.create(name, 'keyValue');
    if (rows.length > 0) await sc.parallelize(rows, 3).saveAsDataset(name);
    return name;
  };
  const read = (name: string): Promise<Pair[]> => all(outside.context.keyValue<string, number>(name).scan());
  const begun = (): number => datasets.transactions.begun;

  test('the tasks run in worker processes', async () => {
    const name = await table(pairs(100));
    const pids = await sc
      .fromDataset<Pair>(name, { numPartitions: 4 })
      .mapPartitions(() => [process.pid])
      .collect();
    expect(new Set(pids).has(process.pid)).toBe(false);
  });

  describe('reading and saving', () => {
    test('what is saved is read again, in as many partitions as are asked for', async () => {
      const rows = pairs(1000);
      const name = await table(rows);
      const rdd = sc.fromDataset<Pair>(name, { numPartitions: 4 });
      expect(rdd.getNumPartitions()).toBe(4);
      expect(await rdd.collect()).toEqual(rows);
      const sizes = (await rdd.glom().collect()).map((part) => part.length);
      expect(Math.max(...sizes)).toBeLessThan(600);
      expect(await sc.fromDataset<Pair>(name, { from: '00010', to: '00013' }).keys().collect()).toEqual(['00010', '00011', '00012']);
    });

    test('more partitions than rows are empty ones', async () => {
      const name = await table(pairs(2));
      expect(await sc.fromDataset(name, { numPartitions: 9 }).count()).toBe(2);
    });

    test('a save to a name that is new makes a key/value table; reading one is an error of the action', async () => {
      const name = fresh();
      const rdd = sc.fromDataset(name);
      expect(await codeOf(rdd.count())).toBe('SP_DATASET_NOT_FOUND');
      await sc.parallelize(pairs(3)).saveAsDataset(name);
      expect(await rdd.count()).toBe(3);
    });

    test('a read chain that ends in a save, through a shuffle, is one transaction', async () => {
      const source = await table(pairs(100, 2));
      const target = await table();
      const before = begun();
      await sc
        .fromDataset<Pair>(source)
        .map(([key, value]): Pair => [key.slice(-1), value])
        .reduceByKey((a, b) => a + b)
        .saveAsDataset(target);
      expect(begun() - before).toBe(1);
      expect(await read(target)).toEqual(Array.from({ length: 10 }, (_, i) => [String(i), 20]));
    });

    test('a dataset can be saved over itself', async () => {
      const name = await table(pairs(50));
      await sc
        .fromDataset<Pair>(name)
        .mapValues((value) => value + 1)
        .saveAsDataset(name);
      expect((await read(name)).every(([, value]) => value === 2)).toBe(true);
    });

    test('tables: rows and columns', async () => {
      const name = fresh();
      await datasets.admin.create(name, 'table', { schema: struct({ x: 'long', y: { type: 'string', nullable: true } }) });
      await sc
        .parallelize(
          [
            ['a', { x: 1, y: 'p' }],
            ['b', { x: 2 }],
          ] as [string, object][],
          2,
        )
        .saveAsDataset(name);
      await sc.parallelize([['a', { x: 5 }]]).saveAsDataset(name);
      expect(await sc.fromDataset(name).collect()).toEqual([
        ['a', { x: 5, y: 'p' }],
        ['b', { x: 2 }],
      ]);
      const failed = sc.parallelize([['c', { x: 'text' }]]).saveAsDataset(name);
      await expect(failed).rejects.toMatchObject({ cause: { code: 'SP_DATASET_SCHEMA' } });
    });

    test('streams are read by time', async () => {
      const name = fresh();
      await datasets.admin.create(name, 'stream');
      await sc
        .parallelize(
          Array.from({ length: 100 }, (_, i) => ({ time: i, body: { i } })),
          4,
        )
        .saveAsDataset(name);
      const events = await sc.fromStream<{ i: number }>(name, 10, 20).collect();
      expect(events.map(({ body }) => body.i)).toEqual([10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
      expect(await codeOf(sc.fromStream(await table(), 0, 1).count())).toBe('SP_DATASET_WRONG_KIND');
    });

    test('file sets, partitioned and by time', async () => {
      const [files, parts, hours] = [fresh(), fresh(), fresh()];
      await datasets.admin.create(files, 'fileSet', { format: 'text' });
      await datasets.admin.create(parts, 'partitionedFileSet', { partitioning: ['year'] });
      await datasets.admin.create(hours, 'timePartitionedFileSet');
      await sc.parallelize(['a', 'b', 'c'], 2).saveAsDataset(files, { path: 'out' });
      expect(await sc.fromDataset<string>(files).collect()).toEqual(['a', 'b', 'c']);
      expect((await outside.context.fileSet(files).list('out/')).map(({ path }) => path)).toEqual(['out/part-00000', 'out/part-00001']);
      await sc.parallelize([{ x: 1 }, { x: 2 }], 2).saveAsDataset(parts, { partition: { year: 1 }, metadata: { by: 'test' } });
      await sc.parallelize([{ x: 3 }]).saveAsDataset(parts, { partition: { year: 2 } });
      expect(await sc.fromDataset(parts, { filter: { year: 1 } }).collect()).toEqual([{ x: 1 }, { x: 2 }]);
      expect(await sc.fromDataset(parts).count()).toBe(3);
      expect(await codeOf(sc.parallelize([{ x: 3 }]).saveAsDataset(parts, { partition: { year: 2 } }))).toBe('SP_DATASET_PARTITION_EXISTS');
      expect(await codeOf(sc.parallelize([1]).saveAsDataset(parts))).toBe('SP_DATASET_NO_PARTITION');
      await sc.parallelize([1, 2]).saveAsDataset(hours, { time: 90_000 });
      expect(await outside.context.timePartitionedFileSet(hours).partitions(60_000, 60_001)).toHaveLength(1);
      expect((await sc.fromDataset<number>(hours).collect()).sort()).toEqual([1, 2]);
    });

    test('records that are no pairs, and keys that are none, fail the action with what is wrong', async () => {
      const name = await table();
      await expect(sc.parallelize([1]).saveAsDataset(name)).rejects.toMatchObject({ cause: { code: 'SP_DATASET_BAD_RECORD' } });
      await expect(sc.parallelize([[null, 1]]).saveAsDataset(name)).rejects.toMatchObject({ cause: { code: 'SP_DATASET_BAD_KEY' } });
      expect(await read(name)).toEqual([]);
    });
  });

  describe('implicit transactions', () => {
    test('a job that touches no dataset has none', async () => {
      const before = begun();
      expect(await sc.range(100).count()).toBe(100);
      await sc
        .parallelize([3, 1, 2])
        .sortBy((x) => x)
        .take(2);
      expect(begun()).toBe(before);
    });

    test('what an action saved is there when its promise resolves', async () => {
      for (let i = 0; i < 3; i++) {
        const name = await table();
        await sc.parallelize(pairs(20), 4).saveAsDataset(name);
        expect(await read(name)).toHaveLength(20);
      }
    });

    test('nothing of an action that fails is seen, although some of its tasks succeeded', async () => {
      const name = await table();
      const failed = sc
        .parallelize(pairs(40), 4)
        .map(([key, value]): Pair => {
          if (key === '00039') throw new Error('bad record');
          return [key, value];
        })
        .saveAsDataset(name);
      await expect(failed).rejects.toThrow('Job aborted');
      expect(await read(name)).toEqual([]);
    });

    test('each action has its own snapshot and sees what was committed before it', async () => {
      const name = await table(pairs(1));
      const rdd = sc.fromDataset<Pair>(name);
      expect(await rdd.count()).toBe(1);
      await outside.context.keyValue(name).put('zzz', 1);
      expect(await rdd.count()).toBe(2);
    });

    test('all tasks of a job see one snapshot, whatever is committed between them', async () => {
      const name = await table([
        ['a', 1],
        ['z', 1],
      ]);
      const gate = join(marks, `gate-${name}`);
      const sum = sc
        .fromDataset<Pair>(name, { numPartitions: 1 })
        .union(
          sc.parallelize([0], 1).mapPartitions(async () => {
            const { existsSync: exists } = await import('node:fs');
            while (!exists(gate)) await new Promise((resolve) => setTimeout(resolve, 5));
            return [] as Pair[];
          }),
          sc.fromDataset<Pair>(name, { numPartitions: 4 }),
        )
        .map(([, value]) => value)
        .collect();
      // The first partition may have been read by now; the others have not all begun.
      await outside.execute(async (ds) => {
        await ds.keyValue(name).put('a', 100);
        await ds.keyValue(name).put('z', 100);
      });
      writeFileSync(gate, '');
      const values = await sum;
      expect(new Set(values).size).toBe(1);
    });

    test('take and first are one transaction, however many jobs they run', async () => {
      const name = await table(pairs(40));
      const before = begun();
      expect(
        await sc
          .fromDataset(name, { numPartitions: 8 })
          .filter(() => true)
          .take(39),
      ).toHaveLength(39);
      expect(begun() - before).toBe(1);
    });

    test('a sort, which samples in a job before, is one transaction', async () => {
      const name = await table(pairs(100));
      const before = begun();
      expect(
        await sc
          .fromDataset<Pair>(name)
          .sortBy(([key]) => key, { ascending: false })
          .keys()
          .first(),
      ).toBe('00099');
      expect(begun() - before).toBe(1);
    });

    test('actions at the same time have each their own, and only the one that fails aborts', async () => {
      const names = [await table(), await table(), await table()] as const;
      const before = begun();
      const results = await Promise.allSettled([
        sc.parallelize(pairs(30), 3).saveAsDataset(names[0]),
        sc
          .parallelize(pairs(30), 3)
          .map((): Pair => {
            throw new Error('no');
          })
          .saveAsDataset(names[1]),
        sc.parallelize(pairs(30), 3).saveAsDataset(names[2]),
      ]);
      expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
      expect(begun() - before).toBeLessThanOrEqual(3);
      expect([(await read(names[0])).length, (await read(names[1])).length, (await read(names[2])).length]).toEqual([30, 0, 30]);
    });

    test('two actions that write the same rows conflict: the commit s error reaches the caller, and one wins whole', async () => {
      const name = await table();
      const gate = join(marks, `gate-${name}`);
      const slow = sc.parallelize(pairs(10, 1), 2).mapPartitions(async (rows) => {
        const { existsSync: exists } = await import('node:fs');
        while (!exists(gate)) await new Promise((resolve) => setTimeout(resolve, 5));
        return rows;
      });
      // It reads first, so that its snapshot is older than the other's commit.
      const saved = codeOf(sc.fromDataset<Pair>(name, { numPartitions: 1 }).union(slow).saveAsDataset(name));
      await expect.poll(() => datasets.transactions.active, { timeout: 20_000 }).toBeGreaterThan(0);
      await outside.execute(async (ds) => {
        for (const [key] of pairs(10)) await ds.keyValue(name).put(key, 2);
      });
      writeFileSync(gate, '');
      expect(await saved).toBe('SP_DATASET_CONFLICT');
      expect((await read(name)).map(([, value]) => value)).toEqual(new Array(10).fill(2));
    });

    test('cached partitions of a dataset are read once', async () => {
      const name = await table(pairs(20));
      const rdd = sc.fromDataset<Pair>(name).cache();
      expect(await rdd.count()).toBe(20);
      await outside.context.keyValue(name).put('zzz', 1);
      const before = begun();
      expect(await rdd.count()).toBeGreaterThanOrEqual(20);
      expect(begun() - before).toBeLessThanOrEqual(1);
      rdd.unpersist();
    });
  });

  describe('explicit transactions', () => {
    test('several actions and direct access are one transaction, and see each other', async () => {
      const [source, target] = [await table(pairs(10)), await table()];
      const before = begun();
      await datasets.execute(async (ds) => {
        await ds.keyValue(source).put('new', 5);
        await sc
          .fromDataset<Pair>(source)
          .mapValues((value) => value * 10)
          .saveAsDataset(target);
        expect(await ds.keyValue(target).get('new')).toBe(50);
        expect(await sc.fromDataset(target).count()).toBe(11);
        await ds.keyValue(target).put('00000', -1);
        await sc
          .fromDataset<Pair>(target)
          .mapValues((value) => value + 1)
          .saveAsDataset(target);
        expect(await ds.keyValue(target).get('00000')).toBe(0);
        expect(await read(target)).toEqual([]);
      });
      expect(begun() - before).toBeGreaterThanOrEqual(1);
      const rows = new Map(await read(target));
      expect([rows.size, rows.get('new'), rows.get('00000'), rows.get('00001')]).toEqual([11, 51, 0, 11]);
    });

    test('a failed action inside poisons it, also when the body catches its error', async () => {
      const [good, bad] = [await table(), await table()];
      const failed = datasets.execute(async (ds) => {
        await ds.keyValue(good).put('a', 1);
        await sc
          .parallelize(pairs(20), 4)
          .map(([key]): Pair => {
            if (key === '00019') throw new Error('no');
            return [key, 1];
          })
          .saveAsDataset(bad)
          .catch(() => undefined);
      });
      await expect(failed).rejects.toMatchObject({ code: 'SP_DATASET_POISONED', cause: { code: 'SP_SCHEDULER_JOB_ABORTED' } });
      expect([await read(good), await read(bad)]).toEqual([[], []]);
    });

    test('actions at the same time inside share it', async () => {
      const names = [await table(), await table()] as const;
      await datasets.execute(() => Promise.all([sc.parallelize(pairs(20), 2).saveAsDataset(names[0]), sc.parallelize(pairs(20), 2).saveAsDataset(names[1])]));
      expect([(await read(names[0])).length, (await read(names[1])).length]).toEqual([20, 20]);
    });

    test('when it times out its actions are seen no more than the rest', async () => {
      const name = await table();
      const late = datasets.execute(
        async () => {
          await sc.parallelize(pairs(10), 2).saveAsDataset(name);
          await new Promise((resolve) => setTimeout(resolve, 30_000).unref());
        },
        { timeoutMs: 3000 },
      );
      expect(await codeOf(late)).toBe('SP_DATASET_TRANSACTION_TIMEOUT');
      expect(await read(name)).toEqual([]);
    });

    test('a conflict with what others committed meanwhile aborts all of it, and a retry succeeds', async () => {
      const name = await table(pairs(10));
      let runs = 0;
      await datasets.execute(
        async () => {
          await sc
            .fromDataset<Pair>(name)
            .mapValues((value) => value + 1)
            .saveAsDataset(name);
          if (++runs === 1) await outside.context.keyValue(name).put('00005', 100);
        },
        { retries: 3 },
      );
      const rows = new Map(await read(name));
      expect([runs, rows.get('00005'), rows.get('00000')]).toEqual([2, 101, 2]);
    });
  });

  describe('datasets in closures', () => {
    test('reads see the job s snapshot, writes are seen with its commit', async () => {
      const [lookup, target] = [await table(pairs(10, 7)), await table()];
      const ds = sc.datasetContext;
      await sc.parallelize(pairs(10), 4).foreach(async ([key]) => {
        await ds.keyValue(target).put(key, await ds.keyValue(lookup).get(key));
      });
      expect(await read(target)).toEqual(pairs(10, 7));
    });

    test('a handle travels as well, in map tasks before a shuffle too', async () => {
      const target = await table();
      const handle = sc.datasetContext.keyValue<string, number>(target);
      const count = await sc
        .parallelize(pairs(12), 3)
        .map(async ([key, value]): Promise<Pair> => {
          await handle.put(key, value);
          return [key.slice(-1), 1];
        })
        .reduceByKey((a, b) => a + b)
        .count();
      expect([count, (await read(target)).length]).toEqual([10, 12]);
    });

    test('a task reads what its attempt wrote, others do not', async () => {
      const name = await table();
      const handle = sc.datasetContext.keyValue<string, number>(name);
      const seen = await sc
        .parallelize([0, 1, 2, 3], 4)
        .map(async (i) => {
          await handle.put(`k${i}`, i);
          const found: string[] = [];
          for await (const [key] of handle.scan()) found.push(key);
          return found;
        })
        .collect();
      expect(seen).toEqual([['k0'], ['k1'], ['k2'], ['k3']]);
      expect(await read(name)).toHaveLength(4);
    });

    test('the explicit transaction s context works in closures, and its writes are read after', async () => {
      const name = await table();
      await datasets.execute(async (ds) => {
        await ds.keyValue(name).put('base', 40);
        await sc.parallelize([1, 2], 2).foreach(async (i) => {
          await ds.keyValue<string, number>(name).put(`k${i}`, ((await ds.keyValue<string, number>(name).get('base')) ?? 0) + i);
        });
        expect(await ds.keyValue(name).get('k2')).toBe(42);
      });
      expect(await read(name)).toHaveLength(3);
    });

    test('writes of an action that fails are not seen', async () => {
      const name = await table();
      const handle = sc.datasetContext.keyValue<string, number>(name);
      const failed = sc.parallelize([0, 1, 2, 3], 4).foreach(async (i) => {
        await handle.put(`k${i}`, i);
        if (i === 3) throw new Error('no');
      });
      await expect(failed).rejects.toThrow('Job aborted');
      expect(await read(name)).toEqual([]);
    });

    test('tasks of a context without datasets are told so', async () => {
      const name = await table();
      const handle = datasets.context.keyValue(name);
      const other = new SparkContext({ 'spark.master': 'local[1]', 'worker.instances': '0' });
      try {
        await expect(other.parallelize([1]).foreach((i) => handle.put('a', i))).rejects.toMatchObject({ cause: { code: 'SP_DATASET_NOT_ATTACHED' } });
        attachDatasets(other, datasets);
        await other.parallelize([1]).foreach((i) => handle.put('a', i));
      } finally {
        await other.stop();
      }
      expect(await read(name)).toEqual([['a', 1]]);
    });

    test('counters and gauges count once for each task that won, failures or not', async () => {
      const metrics = sc.getMetrics();
      const marker = join(marks, `m-${fresh()}`);
      await sc.parallelize([0, 1, 2, 3], 4).foreach((i) => {
        metrics.count('records');
        metrics.count('weight', 2);
        metrics.gauge('last', 5);
        const { existsSync: exists, writeFileSync: write } = process.getBuiltinModule('node:fs');
        if (i === 2 && !exists(marker)) {
          write(marker, '');
          throw new Error('first attempt');
        }
      });
      metrics.count('records', 10);
      expect(metrics.values()).toEqual({ records: 14, weight: 8, last: 5 });
      expect(sc.getMetrics()).toBe(metrics);
    });
  });

  describe('attempts', () => {
    test('rows of an attempt that failed after it wrote are not committed with those of its successor', async () => {
      const name = await table();
      const handle = sc.datasetContext.keyValue<string, number>(name);
      const marker = join(marks, `a-${name}`);
      await sc.parallelize([0, 1, 2], 3).foreach(async (i) => {
        const { existsSync: exists, appendFileSync: append, readFileSync: readText } = process.getBuiltinModule('node:fs');
        await handle.put(`${i}`, i);
        await handle.put(`${i} run ${process.hrtime.bigint()}`, 1);
        // Twice: the executor may run a function a second time within an attempt, when it finds out that it is asynchronous.
        if (i === 1 && (!exists(marker) || readText(marker, 'utf8').length < 2)) {
          append(marker, 'x');
          throw new Error('after its writes');
        }
      });
      expect(readFileSync(marker, 'utf8')).toBe('xx');
      expect((await read(name)).map(([key]) => key.slice(0, 5))).toEqual(['0', '0 run', '1', '1 run', '2', '2 run']);
    });

    test('a worker that dies in the middle of a save leaves nothing, and the save succeeds', async () => {
      const name = await table();
      const marker = join(marks, `kill-${name}`);
      await sc
        .parallelize(pairs(4000), 4)
        .mapPartitionsWithIndex(async (index, rows) => {
          const { existsSync: exists, writeFileSync: write } = process.getBuiltinModule('node:fs');
          if (index === 2 && !exists(marker)) {
            write(marker, String(process.pid));
            process.kill(process.pid, 'SIGKILL');
            await new Promise(() => undefined);
          }
          return [...rows];
        })
        .saveAsDataset(name);
      expect(Number(readFileSync(marker, 'utf8'))).not.toBe(process.pid);
      expect(await read(name)).toEqual(pairs(4000));
    }, 60_000);
  });
});
