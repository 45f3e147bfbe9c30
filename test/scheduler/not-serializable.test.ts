import { Socket } from 'node:net';
import { afterAll, expect, test } from 'vitest';
import { SparkProxyError } from '../../src/core/errors.ts';
import type { RDD } from '../../src/rdd/rdd.ts';
import { SparkContext } from '../../src/scheduler/spark-context.ts';
import { beside, twice } from './fixtures/beside.ts';
import { count, shared, words } from './fixtures/context.ts';

const sc = new SparkContext({ 'spark.master': 'local[1]' });
afterAll(() => sc.stop());

const cfg = { db: { conn: new Socket() } };
const uses = (x: number): number => x + cfg.db.conn.bytesRead;
const numbers = (): RDD<number> => sc.parallelize([1, 2], 2);
const pairs = (): RDD<[number, number]> => numbers().map((x) => [x, x]);

async function refusal(job: Promise<unknown>): Promise<SparkProxyError> {
  const error: unknown = await job.catch((e: unknown) => e);
  if (!SparkProxyError.is(error)) throw new Error(`expected a coded error, got ${String(error)}`);
  expect(error.code).toBe('SP_CLOSURE_NOT_SERIALIZABLE');
  return error;
}

/** The whole message, line numbers as `<line>`. */
async function refusalMessage(job: Promise<unknown>): Promise<string> {
  const error = await refusal(job);
  return error.message.replace(/(?<=\.test\.ts:)\d+/g, '<line>');
}

const message = (path: string): string =>
  `Task not serializable: instance of Socket (native handle)\n  captured through: ${path}\n  hint: open it inside mapPartitions, once per partition`;

test('a refusal names the operator and its line, and the path from its function', async () => {
  const job = numbers()
    .filter((x) => x > 0)
    .map((x) => x + cfg.db.conn.bytesRead)
    .collect();
  expect(await refusalMessage(job)).toBe(message('function f of map at not-serializable.test.ts:<line> -> cfg -> .db -> .conn'));
});

test.each<[string, () => Promise<unknown>, string]>([
  ['an action', () => numbers().foreach((x) => void uses(x)), 'function f of the action -> uses'],
  ['an action with several', () => numbers().aggregate(0, (sum, x) => sum + uses(x), Math.max), 'function seqOp of the action -> uses'],
  [
    'a combiner',
    () =>
      pairs()
        .reduceByKey((a, b) => a + uses(b))
        .collect(),
    'function mergeValue of the shuffle after map at not-serializable.test.ts:<line> -> uses',
  ],
  [
    'a partitioner',
    () =>
      pairs()
        .partitionBy(2, (key) => uses(key) % 2)
        .collect(),
    'function partition of the shuffle after map at not-serializable.test.ts:<line> -> uses',
  ],
])('the function of %s is named by its parameter', async (_name, run, start) => {
  expect(await refusalMessage(run())).toBe(message(`${start} -> cfg -> .db -> .conn`));
});

test('the cause and the fields of the refusal are kept', async () => {
  let early = (): unknown => undefined;
  class Early extends Socket {
    constructor() {
      // Reads this before super() has made it.
      early = () => this.destroyed;
      if (numbers().id >= 0) throw new Error('super() is never called');
      super();
    }
  }
  expect(() => new Early()).toThrow('never called');
  const error = await refusal(numbers().map(early).collect());
  expect(error.fields).toEqual({
    what: 'a function created before super() returned, which uses this',
    hint: 'create it after super()',
    path: expect.stringMatching(/^function f of map at not-serializable\.test\.ts:\d+$/),
  });
  expect(error.cause).toBeInstanceOf(ReferenceError);
});

test('a context that was imported is refused as any other; what it has made travels, and its module is not imported for it', async () => {
  try {
    const job = numbers().map(() => shared.defaultParallelism);
    expect((await refusal(job.collect())).message).toMatch(/a SparkContext cannot be used inside a task\n.*map at .* -> shared\n/);
    const named = shared.parallelize([0, 1], 1).map((x) => {
      count.add(1);
      return words.value[x];
    });
    expect(await named.collect()).toEqual(['one', 'two']);
    expect(count.value).toBe(2);
    // In the task, importing this one makes a context that does nothing.
    expect(
      await numbers()
        .map((x) => twice(x))
        .collect(),
    ).toEqual([2, 4]);
    const made = numbers().map(() => new SparkContext().appName);
    await expect(made.collect()).rejects.toThrow('a task uses a SparkContext that was made in it');
  } finally {
    await Promise.all([shared.stop(), beside.stop()]);
  }
});
