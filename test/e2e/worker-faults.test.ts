import { existsSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { capture, type RescheduleSession } from '../../src/reschedule/index.ts';
import { SparkContext } from '../../src/scheduler/spark-context.ts';
import { leakCheck } from '../support/leaks.ts';
import { startWorker, workersOf, type WorkerProcess } from './worker-process.ts';

const ends: (() => Promise<unknown>)[] = [];
leakCheck();
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

interface Cluster {
  readonly sc: SparkContext;
  readonly session: RescheduleSession;
  readonly workers: WorkerProcess[];
  /** Executors that the scheduler was told are gone. */
  readonly removed: string[];
}

/** Silence of 20 s counts as loss, as long as a test says nothing else: on a busy machine only what dies is lost. */
async function cluster(count: number, conf: Record<string, string> = {}, workerConf: Record<string, string> = {}): Promise<Cluster> {
  const beats = { 'registry.beat': '200ms', 'registry.ttl': '20s' };
  const sc = new SparkContext({ 'spark.master': 'local[1]', 'transport.url': 'tcp://127.0.0.1:0', 'log.level': 'silent', ...beats, ...conf });
  ends.push(() => sc.stop());
  const session = capture(sc);
  const url = await session.url();
  const workers = await Promise.all(
    Array.from({ length: count }, (_, i) => startWorker(url, { 'worker.host': `127.0.0.${i + 2}`, ...beats, ...conf, ...workerConf, 'log.level': 'info' })),
  );
  for (const worker of workers) ends.push(() => worker.close());
  await workersOf(session, count);
  const removed: string[] = [];
  sc.addSparkListener({ onExecutorRemoved: ({ executorId }) => void removed.push(executorId) });
  return { sc, session, workers, removed };
}

const failure = (job: Promise<unknown>): Promise<{ message: string; cause?: { code?: string; message: string } }> =>
  job.then(
    () => {
      throw new Error('the job did not fail');
    },
    (error: { message: string }) => error,
  );
const dispatcherOf = (session: RescheduleSession) => {
  const { dispatcher } = session.stats();
  if (dispatcher === undefined) throw new Error('no dispatcher');
  return dispatcher;
};
/** Resolves when so many workers hold tasks, or when the job has ended on a machine that was too slow to look in time. */
async function busy(session: RescheduleSession, count: number, job: Promise<unknown>): Promise<void> {
  let over = false;
  const end = (): void => void (over = true);
  job.then(end, end);
  while (!over && dispatcherOf(session).workers.filter(({ outstanding }) => outstanding > 0).length < count)
    await new Promise((resolve) => setTimeout(resolve, 5));
}

test('a task that throws, exits its thread, never ends or fills its heap fails alone; one that aborts takes its process along; a worker that ends is no loss', async () => {
  const conf = { 'spark.task.maxFailures': '1', 'dispatch.max.leases': '1' };
  const { sc, session, workers, removed } = await cluster(2, conf, { 'worker.thread.memory': '60m', 'worker.task.cpu': '2s' });
  const how = (mode: string): Promise<unknown> =>
    sc
      .parallelize([mode], 1)
      .map((x) => {
        if (x === 'throw') throw new RangeError('mine');
        if (x === 'exit') process.exit(0);
        if (x === 'loop') for (;;);
        if (x === 'abort') process.kill(process.pid, 'SIGABRT');
        const all: number[][] = [];
        if (x === 'heap') for (;;) all.push(new Array<number>(10_000).fill(1));
        return new Promise((resolve) => setTimeout(resolve, 60_000));
      })
      .collect();
  expect((await failure(how('throw'))).cause).toMatchObject({ name: 'RangeError', message: 'mine' });
  expect((await failure(how('exit'))).cause?.code).toBe('SP_TASK_THREAD_DIED');
  expect((await failure(how('loop'))).cause?.code).toBe('SP_TASK_CPU_LIMIT');
  expect((await failure(how('heap'))).cause?.code).toBe('SP_TASK_OUT_OF_MEMORY');
  // None of these was the worker's fault, and none of them ended one.
  expect(removed).toEqual([]);
  expect(dispatcherOf(session).workers.map(({ alive, excluded }) => [alive, excluded])).toEqual([
    [true, false],
    [true, false],
  ]);
  expect((await failure(how('abort'))).cause?.code).toBe('SP_DISPATCHER_LEASES_EXHAUSTED');
  await workersOf(session, 1);
  expect(removed.length).toBe(1);
  const left = workers.find(({ id }) => !removed.includes(id)) as WorkerProcess;
  expect(await left.kill('SIGTERM')).toBe(0);
  await workersOf(session, 0);
  expect(await sc.range(0, 10, 1, 2).count()).toBe(10);
}, 120_000);

test('7 of 10 workers are killed at once: the job ends with the right answer, each record once', async () => {
  const { sc, session, workers } = await cluster(10);
  const seen = sc.longAccumulator('seen');
  const job = sc
    .range(0, 4000, 1, 40)
    .map(async (x): Promise<[number, number]> => {
      if (x % 50 === 0) await new Promise((resolve) => setTimeout(resolve, 20));
      return [x % 10, 1];
    })
    .reduceByKey((a, b) => a + b, 5)
    .collect();
  await busy(session, 7, job);
  const killed = workers.slice(0, 7).map((worker) => worker.kill('SIGKILL'));
  expect((await job).sort((a, b) => a[0] - b[0])).toEqual(Array.from({ length: 10 }, (_, key) => [key, 400]));
  await Promise.all(killed);
  await workersOf(session, 3);
  await sc.range(0, 100, 1, 10).foreach(() => seen.add(1));
  expect(Number(seen.value)).toBe(100);
}, 180_000);

test('SIGTERM under load: the worker finishes or gives back what it has, ends with 0, and nothing is lost or run again for nothing', async () => {
  const { sc, session, workers, removed } = await cluster(2);
  const runs = sc.longAccumulator('runs');
  const job = sc.range(0, 60, 1, 60).foreach(async () => {
    await new Promise((resolve) => setTimeout(resolve, 25));
    runs.add(1);
  });
  await busy(session, 2, job);
  const [first, second] = workers as [WorkerProcess, WorkerProcess];
  expect(await first.kill('SIGTERM')).toBe(0);
  await job;
  expect(Number(runs.value)).toBe(60);
  const { failed, fenced, parked } = dispatcherOf(session);
  expect({ failed, fenced, parked }).toEqual({ failed: 0, fenced: 0, parked: 0 });
  await workersOf(session, 1);
  expect(removed).not.toContain(second.id);
  expect(existsSync(second.localDir)).toBe(true);
}, 120_000);

test('the clock of the machine jumps an hour ahead and back: no lease ends, no worker is lost', async () => {
  const { sc, session, removed } = await cluster(2, { 'registry.ttl': '5s' });
  const { now } = Date;
  try {
    for (const hours of [1, 0, -1]) {
      Date.now = () => now() + hours * 3_600_000;
      expect(
        await sc
          .range(0, 40, 1, 8)
          .map(async (x) => {
            await new Promise((resolve) => setTimeout(resolve, 10));
            return x;
          })
          .count(),
      ).toBe(40);
    }
  } finally {
    Date.now = now;
  }
  expect(removed).toEqual([]);
  expect(dispatcherOf(session)).toMatchObject({ retried: 0, fenced: 0, failed: 0 });
}, 60_000);

test('a driver whose event loop is blocked for longer than a beat may be late loses nobody, nor does a worker that stands still for less', async () => {
  const { sc, session, workers, removed } = await cluster(2, { 'registry.beat': '500ms', 'registry.ttl': '2500ms' });
  // Longer than the time to live: what the workers said meanwhile is read before anybody is taken for dead.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3500);
  expect(await sc.range(0, 20, 1, 4).count()).toBe(20);
  // Less than two beats.
  const [first] = workers as [WorkerProcess];
  first.child.kill('SIGSTOP');
  await new Promise((resolve) => setTimeout(resolve, 800));
  first.child.kill('SIGCONT');
  expect(await sc.range(0, 20, 1, 4).count()).toBe(20);
  expect(removed).toEqual([]);
  expect(dispatcherOf(session).workers.filter(({ alive }) => alive).length).toBe(2);
}, 60_000);
