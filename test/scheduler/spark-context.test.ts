import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { loadConfiguration } from '../../src/core/config.ts';
import { SparkProxyError } from '../../src/core/errors.ts';
import { SparkConf } from '../../src/scheduler/spark-conf.ts';
import { SparkContext } from '../../src/scheduler/spark-context.ts';
import { TaskContext } from '../../src/storage/task-context.ts';

const contexts: SparkContext[] = [];
function context(conf: Record<string, string> = {}): SparkContext {
  const sc = new SparkContext({ 'spark.master': 'local[2]', ...conf });
  contexts.push(sc);
  return sc;
}
afterEach(async () => {
  await Promise.all(contexts.splice(0).map((sc) => sc.stop()));
});

/** Rejection as a coded error. */
async function failure(promise: Promise<unknown>): Promise<SparkProxyError> {
  const error: unknown = await promise.then(
    () => undefined,
    (e: unknown) => e,
  );
  if (!SparkProxyError.is(error)) throw new Error(`expected a coded error, got ${String(error)}`);
  return error;
}

test('a task that throws is tried four times, then the job fails with the user own error and stack as cause', async () => {
  const sc = context();
  const attempts: number[] = [];
  sc.addSparkListener({ onTaskEnd: ({ task, state }) => void (state === 'FAILED' && attempts.push(task.attemptNumber)) });
  const error = await failure(
    sc
      .parallelize([1, 2, 3, 4], 2)
      .map((x) => {
        if (x === 4) throw new TypeError('four is bad');
        return x;
      })
      .collect(),
  );
  expect(error.code).toBe('SP_SCHEDULER_JOB_ABORTED');
  expect(error.message).toMatch(/Task 1 in stage 0\.0 failed 4 times.*four is bad/s);
  expect((error.cause as Error).message).toBe('four is bad');
  expect((error.cause as Error).stack).toMatch(/spark-context\.test\.ts/);
  expect(attempts).toEqual([0, 1, 2, 3]);
});

test('a task that fails at first succeeds when tried again, and its accumulator counts once', async () => {
  const sc = context();
  const acc = sc.longAccumulator('records');
  const got = await sc
    .parallelize([1, 2, 3, 4], 4)
    .map((x) => {
      acc.add(1);
      if (x === 3 && (TaskContext.get()?.attemptNumber ?? 0) < 2) throw new Error('not yet');
      return x;
    })
    .collect();
  expect(got).toEqual([1, 2, 3, 4]);
  expect(acc.value).toBe(4);
});

test('spark.task.maxFailures says how often', async () => {
  const sc = context({ 'spark.task.maxFailures': '1' });
  const error = await failure(
    sc.parallelize([1], 1).foreach(() => {
      throw new Error('x');
    }),
  );
  expect(error.message).toMatch(/failed 1 times/);
});

test('lost shuffle files are computed again', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'local-'));
  const sc = context({ 'spark.local.dir': directory });
  const counts = sc
    .parallelize([1, 2, 3, 4, 5, 6], 3)
    .map((x) => [x % 2, x] as [number, number])
    .reduceByKey((a, b) => a + b, 2);
  const first = (await counts.collect()).sort();
  const failed: string[] = [];
  sc.addSparkListener({ onStageCompleted: ({ failureReason }) => void (failureReason !== undefined && failed.push(failureReason)) });
  // What a lost disk does: every shuffle file is gone while the driver believes in them.
  for (const name of readdirSync(directory, { recursive: true, encoding: 'utf8' })) if (name.endsWith('.data')) rmSync(join(directory, name));
  expect((await counts.collect()).sort()).toEqual(first);
  expect(failed[0]).toMatch(/cannot be read/);
  await sc.stop();
  rmSync(directory, { recursive: true });
});

test('map outputs are reused by a second job on the same shuffle', async () => {
  const sc = context();
  const counts = sc
    .parallelize([1, 2, 3], 3)
    .map((x) => [x, 1] as [number, number])
    .reduceByKey((a, b) => a + b, 2);
  await counts.count();
  let tasks = 0;
  sc.addSparkListener({ onTaskEnd: () => void tasks++ });
  await counts.count();
  expect(tasks).toBe(2);
});

test('a task over its time limit ends with a coded error and its thread is replaced', async () => {
  const sc = context({ 'task.timeout': '150ms', 'spark.task.maxFailures': '1' });
  const error = await failure(
    sc.parallelize([1], 1).foreach(() => {
      for (;;);
    }),
  );
  expect((error.cause as SparkProxyError).code).toBe('SP_TASK_TIMEOUT');
  // What follows has all the time it needs on a busy machine.
  sc.configuration.take(loadConfiguration({ env: {}, conf: sc.getConf().getAll(), flags: [['task.timeout', '0']] }));
  expect(await sc.parallelize([1, 2, 3]).count()).toBe(3);
});

test('a task that fills its heap fails with a coded error, and the program goes on', async () => {
  const sc = context({ 'worker.thread.memory': '40m', 'spark.task.maxFailures': '1' });
  const error = await failure(
    sc.parallelize([1], 1).foreach(() => {
      const all: number[][] = [];
      for (;;) all.push(new Array<number>(10_000).fill(1));
    }),
  );
  expect((error.cause as SparkProxyError).code).toBe('SP_TASK_OUT_OF_MEMORY');
  expect(await sc.parallelize([1, 2, 3]).count()).toBe(3);
});

test('process.exit in a task ends its thread only', async () => {
  const sc = context({ 'spark.task.maxFailures': '1' });
  const error = await failure(
    sc.parallelize([1], 1).foreach(() => {
      process.exit(3);
    }),
  );
  expect((error.cause as SparkProxyError).code).toBe('SP_TASK_THREAD_DIED');
  expect(await sc.range(10).count()).toBe(10);
});

test('contexts and RDDs in closures are refused, with the path', async () => {
  const sc = context();
  const other = sc.parallelize([1]);
  const error = await failure(
    sc
      .parallelize([1])
      .map(() => other.id)
      .collect(),
  );
  expect(error.code).toBe('SP_CLOSURE_NOT_SERIALIZABLE');
  expect(error.message).toMatch(/an RDD cannot be used inside a task\n  captured through: function f of map at spark-context\.test\.ts:\d+ -> other/);
  // The error of a job ends with the line of the action.
  expect(error.stack).toMatch(/spark-context\.test\.ts/);
  expect(
    (
      await failure(
        sc
          .parallelize([1])
          .map(() => sc.appName)
          .collect(),
      )
    ).message,
  ).toMatch(/a SparkContext cannot be used inside a task/);
});

test('a stopped context refuses work, its running jobs end, and its directory is gone', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'local-'));
  const sc = context({ 'spark.local.dir': directory });
  const endless = failure(
    sc.parallelize([1], 1).foreach(() => {
      for (;;);
    }),
  );
  await new Promise<void>((resolve) => sc.addSparkListener({ onTaskStart: () => resolve() }));
  await sc.stop();
  expect((await endless).code).toBe('SP_SCHEDULER_JOB_CANCELLED');
  expect(() => sc.parallelize([1])).toThrow(/was stopped/);
  expect(existsSync(directory) ? readdirSync(directory) : []).toEqual([]);
  rmSync(directory, { recursive: true, force: true });
});

test('results beyond spark.driver.maxResultSize fail the job', async () => {
  const sc = context({ 'spark.driver.maxResultSize': '10k' });
  expect(
    (
      await failure(
        sc
          .parallelize([1, 2], 2)
          .map(() => 'x'.repeat(8000))
          .collect(),
      )
    ).code,
  ).toBe('SP_SCHEDULER_RESULT_TOO_LARGE');
});

test('listeners hear of jobs, stages and tasks in order', async () => {
  const sc = context();
  const heard: string[] = [];
  sc.addSparkListener({
    onJobStart: ({ jobId, stageInfos }) => void heard.push(`job ${jobId} of ${stageInfos.length}`),
    onStageSubmitted: ({ stage }) => void heard.push(`stage ${stage.stageId} ${stage.name.replace(/:\d+$/, '')} ${stage.numTasks}`),
    onStageCompleted: ({ stage }) => void heard.push(`done ${stage.stageId}`),
    onJobEnd: ({ jobId, error }) => void heard.push(`end ${jobId} ${error === undefined}`),
  });
  await sc
    .parallelize([1, 2], 2)
    .map((x) => [x, x] as [number, number])
    .groupByKey(1)
    .count();
  expect(heard).toEqual([
    'job 0 of 2',
    'stage 0 map at spark-context.test.ts 2',
    'done 0',
    'stage 1 groupByKey at spark-context.test.ts 1',
    'done 1',
    'end 0 true',
  ]);
});

test('local properties reach the tasks of their own asynchronous flow only', async () => {
  const sc = context();
  const ask = async (value: string): Promise<(string | undefined)[]> => {
    sc.setLocalProperty('who', value);
    await Promise.resolve();
    return sc
      .parallelize([1], 1)
      .map(() => TaskContext.get()?.localProperties['who'])
      .collect();
  };
  expect(await Promise.all([ask('a'), ask('b')])).toEqual([['a'], ['b']]);
});

test('jobs run side by side', async () => {
  const sc = context();
  const sums = await Promise.all(
    Array.from({ length: 20 }, (_, i) =>
      sc
        .range(0, 100, 1, 3)
        .map((x) => x * i)
        .reduce((a, b) => a + b),
    ),
  );
  expect(sums).toEqual(Array.from({ length: 20 }, (_, i) => 4950 * i));
});

test('a lineage of 2,000 transformations runs', async () => {
  const sc = context();
  let rdd = sc.parallelize([0], 1);
  for (let i = 0; i < 2000; i++) rdd = rdd.map((x) => x + 1);
  expect(await rdd.collect()).toEqual([2000]);
});

test('10,000 tasks in one stage', async () => {
  const sc = context();
  expect(await sc.range(0, 10_000, 1, 10_000).count()).toBe(10_000);
});

test('bad configuration is refused where it is given', () => {
  expect(() => context({ 'worker.slots': 'x' })).toThrow(/worker\.slots = x is not valid.*SparkConf/s);
  expect(() => context({ 'reschedule.dst': 'x' })).toThrow(/unknown configuration key reschedule\.dst/);
  expect(new SparkConf().setAppName('a').setIfMissing('spark.app.name', 'b').get('spark.app.name')).toBe('a');
});
