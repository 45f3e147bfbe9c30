import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { appendFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { SparkContext } from '../../src/scheduler/spark-context.ts';

const sc = new SparkContext({ 'spark.master': 'local[1]' });
const directory = mkdtempSync(join(tmpdir(), 'async-'));
afterAll(async () => {
  await sc.stop();
  rmSync(directory, { recursive: true });
});

test('an async function is called once with each record', async () => {
  const seen = { calls: 0 };
  const calls = async (): Promise<number> => Promise.resolve(++seen.calls);
  const three = sc.parallelize([1, 2, 3], 1);
  expect(await three.map(calls).collect()).toEqual([1, 2, 3]);
  await three.foreach(async (x) => {
    await appendFile(join(directory, 'all'), String(x));
  });
  expect(readFileSync(join(directory, 'all'), 'utf8')).toBe('123');
  expect(await three.reduce(async (a, b) => a + b + (await calls()))).toBe(9);
});

test('of a plain function that returns a promise the result is the same', async () => {
  const later = sc.parallelize([1, 2, 3], 1).map((x) => (x > 1 ? Promise.resolve(x * 2) : x));
  expect(await later.collect()).toEqual([1, 4, 6]);
});
