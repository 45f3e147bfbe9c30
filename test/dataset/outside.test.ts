/** With tasks that travel over each transport all of it holds: snapshots, transactions, closures, attempts, metrics. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { datasetsOf } from '../../src/dataset/index.ts';
import type { DriverDatasets } from '../../src/dataset/open.ts';
import { SparkContext } from '../../src/scheduler/spark-context.ts';
import { sharedRabbitmq } from '../support/rabbitmq.ts';
import { describeWith } from '../support/requires.ts';
import { startRedis, type RedisServer } from '../support/redis.ts';
import type { Pair } from './job-bed.ts';
import { startObserver, type Observer } from './observer.ts';

let directory: string;
let redis: RedisServer | undefined;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'spark-proxy-dataset-outside-'));
});
afterAll(async () => {
  await redis?.stop();
  rmSync(directory, { recursive: true, force: true });
});

const pairs = Array.from({ length: 2000 }, (_, i): Pair => [String(i).padStart(5, '0'), i]);

async function scenario(transport: string, name: string): Promise<void> {
  const store = `sqlite:${join(directory, `${name}.db`)}`;
  const sc = new SparkContext({
    'spark.app.name': `datasets over ${name}`,
    'spark.master': 'local[2]',
    'worker.instances': '2',
    'transport.url': transport,
    'dataset.store': store,
    'spark.speculation': 'true',
    'spark.speculation.quantile': '0.5',
    'spark.speculation.multiplier': '1',
    'spark.speculation.minTaskRuntime': '200ms',
  });
  let observer: Observer | undefined;
  try {
    const datasets: DriverDatasets = await datasetsOf(sc);
    for (const table of ['source', 'target', 'marks', 'copies']) await datasets.admin.create(table, 'keyValue');
    const { datasetContext } = sc;
    observer = await startObserver(store);

    // A task that hangs after it has written is copied: the rows of the copy are the ones that count.
    const hung = join(directory, `${name}-hung`);
    await sc.parallelize([0, 1, 2, 3], 4).foreach(async (i) => {
      const { writeFileSync: write } = process.getBuiltinModule('node:fs');
      await datasetContext.keyValue<string, number>('copies').put(`${i} ${process.pid} ${process.hrtime.bigint()}`, i);
      if (i !== 3) return;
      try {
        write(hung, '', { flag: 'wx' });
      } catch {
        return;
      }
      await new Promise(() => undefined);
    });
    expect((await observer.read<Pair>('copies')).map(([, i]) => i)).toEqual([0, 1, 2, 3]);

    const stop = await observer.watch('source', 'target', 'marks');

    // A worker dies in the middle.
    const marker = join(directory, `${name}-killed`);
    await sc
      .parallelize(pairs, 4)
      .mapPartitionsWithIndex(async (index, rows) => {
        const { existsSync: exists, writeFileSync: write } = process.getBuiltinModule('node:fs');
        if (index === 2 && !exists(marker)) {
          write(marker, '');
          process.kill(process.pid, 'SIGKILL');
          await new Promise(() => undefined);
        }
        return [...rows];
      })
      .saveAsDataset('source');
    expect(existsSync(marker)).toBe(true);

    // One explicit transaction: an action that writes, one that reads what it wrote and writes from a closure, a put.
    const metrics = sc.getMetrics();
    const sum = await datasets.execute(async (ds) => {
      await sc
        .fromDataset<Pair>('source')
        .mapValues((value) => value * 2)
        .saveAsDataset('target');
      const doubled = sc.fromDataset<Pair>('target', { numPartitions: 4 });
      await doubled.foreachPartition(async (rows) => {
        let seen = 0;
        for (const [key] of rows) {
          seen += 1;
          if (key.endsWith('500')) await datasetContext.keyValue<string, number>('marks').put(key, process.pid);
        }
        metrics.count('rows', seen);
      });
      await ds.keyValue('marks').put('driver', process.pid);
      return doubled.map(([, value]) => value).reduce((a, b) => a + b);
    });
    expect(sum).toBe(2000 * 1999);
    expect(metrics.values()).toEqual({ rows: 2000 });
    expect(await stop()).toEqual(['0 0 0', '2000 0 0', '2000 2000 3']);
    const pids = (await observer.read<Pair>('marks')).map(([, pid]) => pid);
    expect(pids.filter((pid) => pid === process.pid)).toHaveLength(1);
  } finally {
    await observer?.close();
    await sc.stop();
  }
}

test('over tcp', () => scenario('tcp://127.0.0.1:0', 'tcp'), 240_000);

describeWith(['redis'], 'on a server', () => {
  test('over Redis', async () => {
    redis = await startRedis();
    await scenario(redis.url, 'redis');
  }, 240_000);
});

describeWith(['rabbitmq'], 'on a server', () => {
  test('over RabbitMQ', async () => scenario(await sharedRabbitmq(), 'rabbitmq'), 240_000);
});
