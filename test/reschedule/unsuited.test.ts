import { afterEach, expect, test } from 'vitest';
import { capture } from '../../src/reschedule/index.ts';
import { SparkContext } from '../../src/scheduler/spark-context.ts';
import { startWorker, workersOf } from '../e2e/worker-process.ts';
import { leakCheck } from '../support/leaks.ts';

const ends: (() => Promise<unknown>)[] = [];
leakCheck();
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

test('tasks that no worker takes run inside, until one comes that does', async () => {
  const sc = new SparkContext({ 'spark.master': 'local[2]', 'transport.url': 'tcp://127.0.0.1:0' });
  ends.push(() => sc.stop());
  const session = capture(sc);
  const url = await session.url();
  const forSpark = await startWorker(url, { 'worker.allow': 'kind:spark' });
  ends.push(() => forSpark.close());
  await workersOf(session, 1);
  const where = new Set<string>();
  sc.addSparkListener({ onTaskEnd: ({ task, state }) => void (state === 'FINISHED' && where.add(task.executorId)) });
  const numbers = sc.range(0, 1000, 1, 8);
  expect(await numbers.count()).toBe(1000);
  expect([...where]).toEqual(['driver']);
  const forAll = await startWorker(url);
  ends.push(() => forAll.close());
  await workersOf(session, 2);
  where.clear();
  expect(await numbers.count()).toBe(1000);
  expect([...where]).toEqual([forAll.id]);
});
