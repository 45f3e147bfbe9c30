/** Datasets used in closures, and what becomes of attempts that fail, with tasks in two worker processes. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { attachDatasets } from '../../src/dataset/index.ts';
import { SparkContext } from '../../src/scheduler/spark-context.ts';
import { jobBed, type Pair } from './job-bed.ts';
import { describeEachStore } from './stores.ts';

describeEachStore('tasks in two worker processes', (stores) => {
  const bed = jobBed(stores);

  describe('datasets in closures', () => {
    test('reads see the job s snapshot, writes are seen with its commit', async () => {
      const [lookup, target] = [await bed.table(bed.pairs(10, 7)), await bed.table()];
      const ds = bed.sc.datasetContext;
      await bed.sc.parallelize(bed.pairs(10), 4).foreach(async ([key]) => {
        await ds.keyValue(target).put(key, await ds.keyValue(lookup).get(key));
      });
      expect(await bed.read(target)).toEqual(bed.pairs(10, 7));
    });

    test('a handle travels as well, in map tasks before a shuffle too', async () => {
      const target = await bed.table();
      const handle = bed.sc.datasetContext.keyValue<string, number>(target);
      const count = await bed.sc
        .parallelize(bed.pairs(12), 3)
        .map(async ([key, value]): Promise<Pair> => {
          await handle.put(key, value);
          return [key.slice(-1), 1];
        })
        .reduceByKey((a, b) => a + b)
        .count();
      expect([count, (await bed.read(target)).length]).toEqual([10, 12]);
    });

    test('a task reads what its attempt wrote, others do not', async () => {
      const name = await bed.table();
      const handle = bed.sc.datasetContext.keyValue<string, number>(name);
      const seen = await bed.sc
        .parallelize([0, 1, 2, 3], 4)
        .map(async (i) => {
          await handle.put(`k${i}`, i);
          const found: string[] = [];
          for await (const [key] of handle.scan()) found.push(key);
          return found;
        })
        .collect();
      expect(seen).toEqual([['k0'], ['k1'], ['k2'], ['k3']]);
      expect(await bed.read(name)).toHaveLength(4);
    });

    test('the explicit transaction s context works in closures, and its writes are read after', async () => {
      const name = await bed.table();
      await bed.datasets.execute(async (ds) => {
        await ds.keyValue(name).put('base', 40);
        await bed.sc.parallelize([1, 2], 2).foreach(async (i) => {
          await ds.keyValue<string, number>(name).put(`k${i}`, ((await ds.keyValue<string, number>(name).get('base')) ?? 0) + i);
        });
        expect(await ds.keyValue(name).get('k2')).toBe(42);
      });
      expect(await bed.read(name)).toHaveLength(3);
    });

    test('writes of an action that fails are not seen', async () => {
      const name = await bed.table();
      const handle = bed.sc.datasetContext.keyValue<string, number>(name);
      const failed = bed.sc.parallelize([0, 1, 2, 3], 4).foreach(async (i) => {
        await handle.put(`k${i}`, i);
        if (i === 3) throw new Error('no');
      });
      await expect(failed).rejects.toThrow('Job aborted');
      expect(await bed.read(name)).toEqual([]);
    });

    test('tasks of a context without datasets are told so', async () => {
      const name = await bed.table();
      const handle = bed.datasets.context.keyValue(name);
      const other = new SparkContext({ 'spark.master': 'local[1]', 'worker.instances': '0' });
      try {
        await expect(other.parallelize([1]).foreach((i) => handle.put('a', i))).rejects.toMatchObject({ cause: { code: 'SP_DATASET_NOT_ATTACHED' } });
        attachDatasets(other, bed.datasets);
        await other.parallelize([1]).foreach((i) => handle.put('a', i));
      } finally {
        await other.stop();
      }
      expect(await bed.read(name)).toEqual([['a', 1]]);
    });

    test('counters and gauges count once for each task that won, failures or not', async () => {
      const metrics = bed.sc.getMetrics();
      const marker = join(bed.marks, `m-${bed.fresh()}`);
      await bed.sc.parallelize([0, 1, 2, 3], 4).foreach((i) => {
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
      expect(bed.sc.getMetrics()).toBe(metrics);
    });
  });

  describe('attempts', () => {
    test('rows of an attempt that failed after it wrote are not committed with those of its successor', async () => {
      const name = await bed.table();
      const handle = bed.sc.datasetContext.keyValue<string, number>(name);
      const marker = join(bed.marks, `a-${name}`);
      await bed.sc.parallelize([0, 1, 2], 3).foreach(async (i) => {
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
      expect((await bed.read(name)).map(([key]) => key.slice(0, 5))).toEqual(['0', '0 run', '1', '1 run', '2', '2 run']);
    });

    test('a worker that dies in the middle of a save leaves nothing, and the save succeeds', async () => {
      const name = await bed.table();
      const marker = join(bed.marks, `kill-${name}`);
      await bed.sc
        .parallelize(bed.pairs(4000), 4)
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
      expect(await bed.read(name)).toEqual(bed.pairs(4000));
    }, 60_000);
  });
});
