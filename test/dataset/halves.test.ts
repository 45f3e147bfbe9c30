/** Nobody ever sees half a transaction: a process of its own looks all the time, while two worker processes write. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { jobBed, type Pair } from './job-bed.ts';
import { describeEachStore } from './stores.ts';

describeEachStore('seen from outside while it happens', (stores) => {
  const bed = jobBed(stores);

  test('an action: nothing, then all of it', async () => {
    const name = await bed.table();
    const stop = await bed.observer.watch(name);
    await bed.sc.parallelize(bed.pairs(4000), 4).saveAsDataset(name);
    expect(await stop()).toEqual(['0', '4000']);
  });

  test('actions one after the other: each whole', async () => {
    const name = await bed.table();
    const stop = await bed.observer.watch(name);
    for (const rows of [500, 1000, 1500]) await bed.sc.parallelize(bed.pairs(rows), 4).saveAsDataset(name);
    const seen = await stop();
    expect(seen.at(-1)).toBe('1500');
    expect(['0', '500', '1000', '1500']).toEqual(expect.arrayContaining(seen));
  });

  test('execute with two actions and a put: three datasets change at once', async () => {
    const [first, second, third] = [await bed.table(), await bed.table(), await bed.table()] as const;
    const stop = await bed.observer.watch(first, second, third);
    await bed.datasets.execute(async (ds) => {
      await bed.sc.parallelize(bed.pairs(1000), 4).saveAsDataset(first);
      await bed.sc.fromDataset<Pair>(first).saveAsDataset(second);
      await ds.keyValue(third).put('done', true);
    });
    expect(await stop()).toEqual(['0 0 0', '1000 1000 1']);
  });

  test('an action that fails after most of its tasks have written: nothing', async () => {
    const name = await bed.table();
    const stop = await bed.observer.watch(name);
    const failed = bed.sc
      .parallelize(bed.pairs(4000), 4)
      .mapPartitionsWithIndex((index, rows) => {
        if (index === 3) throw new Error('no');
        return rows;
      })
      .saveAsDataset(name);
    await expect(failed).rejects.toThrow('Job aborted');
    expect(await stop()).toEqual(['0']);
  });

  test('a delete of all rows and their replacement: one at the same time', async () => {
    const [from, to] = [await bed.table(bed.pairs(500)), await bed.table()];
    const stop = await bed.observer.watch(from, to);
    await bed.datasets.execute(async (ds) => {
      await bed.sc.fromDataset<Pair>(from).saveAsDataset(to);
      for (const [key] of bed.pairs(500)) await ds.keyValue(from).delete(key);
    });
    expect(await stop()).toEqual(['500 0', '0 500']);
  });

  test('a worker killed in the middle of writing: the action ends whole all the same', async () => {
    const name = await bed.table();
    const marker = join(bed.marks, `halves-${name}`);
    const handle = bed.sc.datasetContext.keyValue<string, number>(name);
    const stop = await bed.observer.watch(name);
    await bed.sc.parallelize(bed.pairs(40), 4).foreachPartition(async (rows) => {
      const { existsSync: exists, writeFileSync: write } = process.getBuiltinModule('node:fs');
      for (const [key, value] of rows) {
        await handle.put(key, value);
        // After rows of its own were written to the store.
        if (key === '00025' && !exists(marker)) {
          write(marker, '');
          process.kill(process.pid, 'SIGKILL');
          await new Promise(() => undefined);
        }
      }
    });
    expect(await stop()).toEqual(['0', '40']);
  }, 60_000);
});
