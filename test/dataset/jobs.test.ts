/** Actions and their transactions, with tasks in two worker processes. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { struct } from '../../src/dataset/index.ts';
import { jobBed, type Pair } from './job-bed.ts';
import { codeOf, describeEachStore } from './stores.ts';

describeEachStore('jobs on two worker processes', (stores) => {
  const bed = jobBed(stores);

  test('the tasks run in worker processes', async () => {
    const name = await bed.table(bed.pairs(100));
    const pids = await bed.sc
      .fromDataset<Pair>(name, { numPartitions: 4 })
      .mapPartitions(() => [process.pid])
      .collect();
    expect(new Set(pids).has(process.pid)).toBe(false);
  });

  describe('reading and saving', () => {
    test('what is saved is read again, in as many partitions as are asked for', async () => {
      const rows = bed.pairs(1000);
      const name = await bed.table(rows);
      const rdd = bed.sc.fromDataset<Pair>(name, { numPartitions: 4 });
      expect(rdd.getNumPartitions()).toBe(4);
      expect(await rdd.collect()).toEqual(rows);
      const sizes = (await rdd.glom().collect()).map((part) => part.length);
      expect(Math.max(...sizes)).toBeLessThan(600);
      expect(await bed.sc.fromDataset<Pair>(name, { from: '00010', to: '00013' }).keys().collect()).toEqual(['00010', '00011', '00012']);
    });

    test('more partitions than rows are empty ones', async () => {
      const name = await bed.table(bed.pairs(2));
      expect(await bed.sc.fromDataset(name, { numPartitions: 9 }).count()).toBe(2);
    });

    test('a save to a name that is new makes a key/value table; reading one is an error of the action', async () => {
      const name = bed.fresh();
      const rdd = bed.sc.fromDataset(name);
      expect(await codeOf(rdd.count())).toBe('SP_DATASET_NOT_FOUND');
      await bed.sc.parallelize(bed.pairs(3)).saveAsDataset(name);
      expect(await rdd.count()).toBe(3);
    });

    test('a read chain that ends in a save, through a shuffle, is one transaction', async () => {
      const source = await bed.table(bed.pairs(100, 2));
      const target = await bed.table();
      const before = bed.begun();
      await bed.sc
        .fromDataset<Pair>(source)
        .map(([key, value]): Pair => [key.slice(-1), value])
        .reduceByKey((a, b) => a + b)
        .saveAsDataset(target);
      expect(bed.begun() - before).toBe(1);
      expect(await bed.read(target)).toEqual(Array.from({ length: 10 }, (_, i) => [String(i), 20]));
    });

    test('a dataset can be saved over itself', async () => {
      const name = await bed.table(bed.pairs(50));
      await bed.sc
        .fromDataset<Pair>(name)
        .mapValues((value) => value + 1)
        .saveAsDataset(name);
      expect((await bed.read(name)).every(([, value]) => value === 2)).toBe(true);
    });

    test('tables: rows and columns', async () => {
      const name = bed.fresh();
      await bed.datasets.admin.create(name, 'table', { schema: struct({ x: 'long', y: { type: 'string', nullable: true } }) });
      await bed.sc
        .parallelize(
          [
            ['a', { x: 1, y: 'p' }],
            ['b', { x: 2 }],
          ] as [string, object][],
          2,
        )
        .saveAsDataset(name);
      await bed.sc.parallelize([['a', { x: 5 }]]).saveAsDataset(name);
      expect(await bed.sc.fromDataset(name).collect()).toEqual([
        ['a', { x: 5, y: 'p' }],
        ['b', { x: 2 }],
      ]);
      const failed = bed.sc.parallelize([['c', { x: 'text' }]]).saveAsDataset(name);
      await expect(failed).rejects.toMatchObject({ cause: { code: 'SP_DATASET_SCHEMA' } });
    });

    test('streams are read by time', async () => {
      const name = bed.fresh();
      await bed.datasets.admin.create(name, 'stream');
      await bed.sc
        .parallelize(
          Array.from({ length: 100 }, (_, i) => ({ time: i, body: { i } })),
          4,
        )
        .saveAsDataset(name);
      const events = await bed.sc.fromStream<{ i: number }>(name, 10, 20).collect();
      expect(events.map(({ body }) => body.i)).toEqual([10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
      expect(await codeOf(bed.sc.fromStream(await bed.table(), 0, 1).count())).toBe('SP_DATASET_WRONG_KIND');
    });

    test('file sets, partitioned and by time', async () => {
      const [files, parts, hours] = [bed.fresh(), bed.fresh(), bed.fresh()];
      await bed.datasets.admin.create(files, 'fileSet', { format: 'text' });
      await bed.datasets.admin.create(parts, 'partitionedFileSet', { partitioning: ['year'] });
      await bed.datasets.admin.create(hours, 'timePartitionedFileSet');
      await bed.sc.parallelize(['a', 'b', 'c'], 2).saveAsDataset(files, { path: 'out' });
      expect(await bed.sc.fromDataset<string>(files).collect()).toEqual(['a', 'b', 'c']);
      expect((await bed.outside.context.fileSet(files).list('out/')).map(({ path }) => path)).toEqual(['out/part-00000', 'out/part-00001']);
      await bed.sc.parallelize([{ x: 1 }, { x: 2 }], 2).saveAsDataset(parts, { partition: { year: 1 }, metadata: { by: 'test' } });
      await bed.sc.parallelize([{ x: 3 }]).saveAsDataset(parts, { partition: { year: 2 } });
      expect(await bed.sc.fromDataset(parts, { filter: { year: 1 } }).collect()).toEqual([{ x: 1 }, { x: 2 }]);
      expect(await bed.sc.fromDataset(parts).count()).toBe(3);
      expect(await codeOf(bed.sc.parallelize([{ x: 3 }]).saveAsDataset(parts, { partition: { year: 2 } }))).toBe('SP_DATASET_PARTITION_EXISTS');
      expect(await codeOf(bed.sc.parallelize([1]).saveAsDataset(parts))).toBe('SP_DATASET_NO_PARTITION');
      await bed.sc.parallelize([1, 2]).saveAsDataset(hours, { time: 90_000 });
      expect(await bed.outside.context.timePartitionedFileSet(hours).partitions(60_000, 60_001)).toHaveLength(1);
      expect((await bed.sc.fromDataset<number>(hours).collect()).sort()).toEqual([1, 2]);
    });

    test('records that are no pairs, and keys that are none, fail the action with what is wrong', async () => {
      const name = await bed.table();
      await expect(bed.sc.parallelize([1]).saveAsDataset(name)).rejects.toMatchObject({ cause: { code: 'SP_DATASET_BAD_RECORD' } });
      await expect(bed.sc.parallelize([[null, 1]]).saveAsDataset(name)).rejects.toMatchObject({ cause: { code: 'SP_DATASET_BAD_KEY' } });
      expect(await bed.read(name)).toEqual([]);
    });
  });

  describe('implicit transactions', () => {
    test('a job that touches no dataset has none', async () => {
      const before = bed.begun();
      expect(await bed.sc.range(100).count()).toBe(100);
      await bed.sc
        .parallelize([3, 1, 2])
        .sortBy((x) => x)
        .take(2);
      expect(bed.begun()).toBe(before);
    });

    test('what an action saved is there when its promise resolves', async () => {
      for (let i = 0; i < 3; i++) {
        const name = await bed.table();
        await bed.sc.parallelize(bed.pairs(20), 4).saveAsDataset(name);
        expect(await bed.read(name)).toHaveLength(20);
      }
    });

    test('nothing of an action that fails is seen, although some of its tasks succeeded', async () => {
      const name = await bed.table();
      const failed = bed.sc
        .parallelize(bed.pairs(40), 4)
        .map(([key, value]): Pair => {
          if (key === '00039') throw new Error('bad record');
          return [key, value];
        })
        .saveAsDataset(name);
      await expect(failed).rejects.toThrow('Job aborted');
      expect(await bed.read(name)).toEqual([]);
    });

    test('each action has its own snapshot and sees what was committed before it', async () => {
      const name = await bed.table(bed.pairs(1));
      const rdd = bed.sc.fromDataset<Pair>(name);
      expect(await rdd.count()).toBe(1);
      await bed.outside.context.keyValue(name).put('zzz', 1);
      expect(await rdd.count()).toBe(2);
    });

    test('all tasks of a job see one snapshot, whatever is committed between them', async () => {
      const name = await bed.table([
        ['a', 1],
        ['z', 1],
      ]);
      const gate = join(bed.marks, `gate-${name}`);
      const sum = bed.sc
        .fromDataset<Pair>(name, { numPartitions: 1 })
        .union(
          bed.sc.parallelize([0], 1).mapPartitions(async () => {
            const { existsSync: exists } = await import('node:fs');
            while (!exists(gate)) await new Promise((resolve) => setTimeout(resolve, 5));
            return [] as Pair[];
          }),
          bed.sc.fromDataset<Pair>(name, { numPartitions: 4 }),
        )
        .map(([, value]) => value)
        .collect();
      // The first partition may have been read by now; the others have not all begun.
      await bed.outside.execute(async (ds) => {
        await ds.keyValue(name).put('a', 100);
        await ds.keyValue(name).put('z', 100);
      });
      writeFileSync(gate, '');
      const values = await sum;
      expect(new Set(values).size).toBe(1);
    });

    test('take and first are one transaction, however many jobs they run', async () => {
      const name = await bed.table(bed.pairs(40));
      const before = bed.begun();
      expect(
        await bed.sc
          .fromDataset(name, { numPartitions: 8 })
          .filter(() => true)
          .take(39),
      ).toHaveLength(39);
      expect(bed.begun() - before).toBe(1);
    });

    test('a sort, which samples in a job before, is one transaction', async () => {
      const name = await bed.table(bed.pairs(100));
      const before = bed.begun();
      expect(
        await bed.sc
          .fromDataset<Pair>(name)
          .sortBy(([key]) => key, { ascending: false })
          .keys()
          .first(),
      ).toBe('00099');
      expect(bed.begun() - before).toBe(1);
    });

    test('actions at the same time have each their own, and only the one that fails aborts', async () => {
      const names = [await bed.table(), await bed.table(), await bed.table()] as const;
      const before = bed.begun();
      const results = await Promise.allSettled([
        bed.sc.parallelize(bed.pairs(30), 3).saveAsDataset(names[0]),
        bed.sc
          .parallelize(bed.pairs(30), 3)
          .map((): Pair => {
            throw new Error('no');
          })
          .saveAsDataset(names[1]),
        bed.sc.parallelize(bed.pairs(30), 3).saveAsDataset(names[2]),
      ]);
      expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
      expect(bed.begun() - before).toBeLessThanOrEqual(3);
      expect([(await bed.read(names[0])).length, (await bed.read(names[1])).length, (await bed.read(names[2])).length]).toEqual([30, 0, 30]);
    });

    test('two actions that write the same rows conflict: the commit s error reaches the caller, and one wins whole', async () => {
      const name = await bed.table();
      const gate = join(bed.marks, `gate-${name}`);
      const slow = bed.sc.parallelize(bed.pairs(10, 1), 2).mapPartitions(async (rows) => {
        const { existsSync: exists } = await import('node:fs');
        while (!exists(gate)) await new Promise((resolve) => setTimeout(resolve, 5));
        return rows;
      });
      // It reads first, so that its snapshot is older than the other's commit.
      const saved = codeOf(bed.sc.fromDataset<Pair>(name, { numPartitions: 1 }).union(slow).saveAsDataset(name));
      await expect.poll(() => bed.datasets.transactions.active, { timeout: 20_000 }).toBeGreaterThan(0);
      await bed.outside.execute(async (ds) => {
        for (const [key] of bed.pairs(10)) await ds.keyValue(name).put(key, 2);
      });
      writeFileSync(gate, '');
      expect(await saved).toBe('SP_DATASET_CONFLICT');
      expect((await bed.read(name)).map(([, value]) => value)).toEqual(new Array(10).fill(2));
    });

    test('cached partitions of a dataset are read once', async () => {
      const name = await bed.table(bed.pairs(20));
      const rdd = bed.sc.fromDataset<Pair>(name).cache();
      expect(await rdd.count()).toBe(20);
      await bed.outside.context.keyValue(name).put('zzz', 1);
      const before = bed.begun();
      expect(await rdd.count()).toBeGreaterThanOrEqual(20);
      expect(bed.begun() - before).toBeLessThanOrEqual(1);
      rdd.unpersist();
    });
  });

  describe('explicit transactions', () => {
    test('several actions and direct access are one transaction, and see each other', async () => {
      const [source, target] = [await bed.table(bed.pairs(10)), await bed.table()];
      const before = bed.begun();
      await bed.datasets.execute(async (ds) => {
        await ds.keyValue(source).put('new', 5);
        await bed.sc
          .fromDataset<Pair>(source)
          .mapValues((value) => value * 10)
          .saveAsDataset(target);
        expect(await ds.keyValue(target).get('new')).toBe(50);
        expect(await bed.sc.fromDataset(target).count()).toBe(11);
        await ds.keyValue(target).put('00000', -1);
        await bed.sc
          .fromDataset<Pair>(target)
          .mapValues((value) => value + 1)
          .saveAsDataset(target);
        expect(await ds.keyValue(target).get('00000')).toBe(0);
        expect(await bed.read(target)).toEqual([]);
      });
      expect(bed.begun() - before).toBeGreaterThanOrEqual(1);
      const rows = new Map(await bed.read(target));
      expect([rows.size, rows.get('new'), rows.get('00000'), rows.get('00001')]).toEqual([11, 51, 0, 11]);
    });

    test('a failed action inside poisons it, also when the body catches its error', async () => {
      const [good, bad] = [await bed.table(), await bed.table()];
      const failed = bed.datasets.execute(async (ds) => {
        await ds.keyValue(good).put('a', 1);
        await bed.sc
          .parallelize(bed.pairs(20), 4)
          .map(([key]): Pair => {
            if (key === '00019') throw new Error('no');
            return [key, 1];
          })
          .saveAsDataset(bad)
          .catch(() => undefined);
      });
      await expect(failed).rejects.toMatchObject({ code: 'SP_DATASET_POISONED', cause: { code: 'SP_SCHEDULER_JOB_ABORTED' } });
      expect([await bed.read(good), await bed.read(bad)]).toEqual([[], []]);
    });

    test('actions at the same time inside share it', async () => {
      const names = [await bed.table(), await bed.table()] as const;
      await bed.datasets.execute(() =>
        Promise.all([bed.sc.parallelize(bed.pairs(20), 2).saveAsDataset(names[0]), bed.sc.parallelize(bed.pairs(20), 2).saveAsDataset(names[1])]),
      );
      expect([(await bed.read(names[0])).length, (await bed.read(names[1])).length]).toEqual([20, 20]);
    });

    test('when it times out its actions are seen no more than the rest', async () => {
      const name = await bed.table();
      const late = bed.datasets.execute(
        async () => {
          await bed.sc.parallelize(bed.pairs(10), 2).saveAsDataset(name);
          await new Promise((resolve) => setTimeout(resolve, 30_000).unref());
        },
        { timeoutMs: 3000 },
      );
      expect(await codeOf(late)).toBe('SP_DATASET_TRANSACTION_TIMEOUT');
      expect(await bed.read(name)).toEqual([]);
    });

    test('a conflict with what others committed meanwhile aborts all of it, and a retry succeeds', async () => {
      const name = await bed.table(bed.pairs(10));
      let runs = 0;
      await bed.datasets.execute(
        async () => {
          await bed.sc
            .fromDataset<Pair>(name)
            .mapValues((value) => value + 1)
            .saveAsDataset(name);
          if (++runs === 1) await bed.outside.context.keyValue(name).put('00005', 100);
        },
        { retries: 3 },
      );
      const rows = new Map(await bed.read(name));
      expect([runs, rows.get('00005'), rows.get('00000')]).toEqual([2, 101, 2]);
    });
  });
});
