import { readdirSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { loadConfiguration } from '../../src/core/config.ts';
import { capture, type RescheduleSession } from '../../src/reschedule/index.ts';
import { SparkContext } from '../../src/scheduler/spark-context.ts';
import { startWorker, workersOf, type WorkerProcess } from './worker-process.ts';
import { leakCheck } from '../support/leaks.ts';

const ends: (() => Promise<unknown>)[] = [];
leakCheck();
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function cluster(...hosts: string[]): Promise<{ sc: SparkContext; session: RescheduleSession; workers: WorkerProcess[] }> {
  const sc = new SparkContext({ 'spark.master': 'local[2]', 'registry.beat': '100ms', 'registry.ttl': '1s', 'transport.url': 'tcp://127.0.0.1:0' });
  ends.push(() => sc.stop());
  const session = capture(sc);
  const url = await session.url();
  const workers = await Promise.all(hosts.map((host) => startWorker(url, { 'worker.host': host })));
  for (const worker of workers) ends.push(() => worker.close());
  await workersOf(session, hosts.length);
  return { sc, session, workers };
}

/** Bytes each executor fetched from others. */
function fetchedBytes(sc: SparkContext): Map<string, number> {
  const bytes = new Map<string, number>();
  sc.addSparkListener({
    onTaskEnd: ({ task, metrics }) => void bytes.set(task.executorId, (bytes.get(task.executorId) ?? 0) + (metrics?.remoteBytesRead ?? 0)),
  });
  return bytes;
}

const filesOf = (worker: WorkerProcess): string[] =>
  readdirSync(worker.localDir, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.data'));

test('reducers fetch the shuffle files of other hosts, also of the driver, and the driver fetches those of workers', async () => {
  const { sc, session, workers } = await cluster('127.0.0.2', '127.0.0.3');
  const bytes = fetchedBytes(sc);
  const pairs = sc.range(0, 40_000, 1, 8).map((x): [number, string] => [x % 100, `value ${x}`]);
  const grouped = pairs.groupByKey(8).mapValues((values) => values.length);
  const expected = Array.from({ length: 100 }, (_, key) => [key, 400]);
  const sorted = (rows: [number, number][]): [number, number][] => rows.sort((a, b) => a[0] - b[0]);
  expect(sorted(await grouped.collect())).toEqual(expected);
  expect(workers.map((worker) => filesOf(worker).length > 0)).toEqual([true, true]);
  for (const { id } of workers) expect(bytes.get(id)).toBeGreaterThan(0);
  // The map outputs stay on the workers; now the reducers run inside.
  bytes.clear();
  sc.configuration.take(loadConfiguration({ env: {}, flags: [['reschedule.dst.executor', 'internal']] }));
  expect(sorted(await grouped.collect())).toEqual(expected);
  expect([...bytes.keys()]).toEqual(['driver']);
  expect(bytes.get('driver')).toBeGreaterThan(0);
  expect(session.stats().dispatcher?.failed).toBe(0);
});

test('outputs of a host that is gone are computed again, though its files are still there', async () => {
  const { sc, session, workers } = await cluster('127.0.0.2', '127.0.0.3');
  const removed: string[] = [];
  sc.addSparkListener({ onExecutorRemoved: ({ executorId }) => void removed.push(executorId) });
  const calls = sc.longAccumulator('calls');
  const grouped = sc
    .range(0, 8000, 1, 8)
    .map((x): [number, number] => {
      calls.add(1);
      return [x % 10, x];
    })
    .groupByKey(4);
  expect(await grouped.count()).toBe(10);
  const [victim, other] = workers as [WorkerProcess, WorkerProcess];
  const files = filesOf(victim).length;
  expect(files).toBeGreaterThan(0);
  await victim.kill('SIGKILL');
  expect(filesOf(victim).length).toBe(files);
  // At once, before anybody has missed its beats: fetches fail, or its lease ends; both ways its outputs are made again.
  expect(await grouped.count()).toBe(10);
  expect(filesOf(other).length).toBe(8);
  await workersOf(session, 1);
});
