import { afterEach, expect, test } from 'vitest';
import { loadConfiguration } from '../../src/core/config.ts';
import { SparkContext } from '../../src/scheduler/spark-context.ts';
import { leakCheck } from '../support/leaks.ts';

let sc: SparkContext | undefined;
leakCheck();
afterEach(() => sc?.stop());

function context(conf: Record<string, string>): SparkContext {
  return (sc = new SparkContext({ 'spark.master': 'local[2]', 'spark.task.maxFailures': '1', 'log.level': 'silent', ...conf }));
}

/** The job fails with this code, at the latest so long after it began; then the context works on. */
async function fails(context: SparkContext, f: (x: number) => unknown, code: string, withinMs: number): Promise<void> {
  const began = performance.now();
  const error = await context
    .range(0, 2, 1, 2)
    .map(f)
    .count()
    .then(
      () => undefined,
      (reason: Error) => reason,
    );
  expect((error?.cause as { code?: string } | undefined)?.code).toBe(code);
  expect(performance.now() - began).toBeLessThan(withinMs);
  // What follows has all the time it needs on a busy machine.
  const unlimited = { 'task.timeout': '0', 'worker.task.cpu': '0' };
  context.configuration.take(loadConfiguration({ env: {}, conf: context.getConf().getAll(), flags: Object.entries(unlimited) }));
  expect(await context.range(0, 10, 1, 4).count()).toBe(10);
}

test('an endless loop ends at the deadline of its task, and the engine lives', async () => {
  // Deadline 500 ms; the rest is for a machine under load to start threads.
  await fails(
    context({ 'task.timeout': '500ms' }),
    (x) => {
      for (; x === 1;);
      return x;
    },
    'SP_TASK_TIMEOUT',
    15_000,
  );
});

test('a task may wait as long as it likes, but not use more CPU time than allowed', async () => {
  const sc = context({ 'worker.task.cpu': '300ms' });
  const waited = sc.range(0, 2, 1, 2).map(async (x) => {
    await new Promise((resolve) => setTimeout(resolve, 700));
    return x;
  });
  expect(await waited.count()).toBe(2);
  await fails(
    sc,
    (x) => {
      for (; x === 1;);
      return x;
    },
    'SP_TASK_CPU_LIMIT',
    30_000,
  );
});

test('a task that fills its heap ends alone with a coded error', async () => {
  await fails(
    context({ 'worker.thread.memory': '64m' }),
    (x) => {
      const all: string[][] = [];
      for (; x === 1;) all.push(Array.from({ length: 10_000 }, (_, i) => `${i} ${all.length}`));
      return x;
    },
    'SP_TASK_OUT_OF_MEMORY',
    25_000,
  );
});

test('the largest task ends when the process holds more than it may; limits change while it runs', async () => {
  const sc = context({});
  sc.configuration.take(loadConfiguration({ env: {}, flags: [['worker.process.memory', `${Math.round(process.memoryUsage.rss() / 1024 ** 2) + 300}m`]] }));
  await fails(
    sc,
    async (x) => {
      const all: Buffer[] = [];
      while (x === 1) {
        all.push(Buffer.alloc(4 << 20, 1));
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      return x;
    },
    'SP_TASK_PROCESS_MEMORY',
    25_000,
  );
});

test('a thread that is ended as soon as it has started leaves no file open: it does not look for its C library', async () => {
  const [loaded, variable] = await context({})
    .range(0, 1, 1, 1)
    .map((): [string[], string | undefined] => {
      const { createRequire } = process.getBuiltinModule('node:module');
      return [Object.keys(createRequire('/any').cache).filter((path) => path.includes('detect-libc')), process.env['LIBC']];
    })
    .first();
  expect(loaded).toEqual([]);
  expect(variable).toBe(process.env['LIBC']);
});
