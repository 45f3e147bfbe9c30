import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { compareResults, loadCompareResults, type CompareResults } from '../../src/executor/compare-results.ts';
import { encodeTaskResult } from '../../src/executor/task-codec.ts';
import { encodeRecords } from '../../src/protocol/columns.ts';

const metrics = (runMs: number) => ({ runMs, bytesRead: 0, shuffleBytesWritten: 0, shuffleRecordsWritten: 0, remoteBytesRead: 0 });
const result = (value: unknown, { runMs = 1, accumulators = [] as [number, unknown][] } = {}) =>
  encodeTaskResult({ value, accumulators, blocks: [], metrics: metrics(runMs) });
const records = (...values: unknown[]) => encodeRecords(values);
const comparator = (name: string): CompareResults => compareResults(name) as CompareResults;

test('where a task ran and how long it took makes no difference; what it says does', () => {
  const same = comparator('bytes');
  expect(same(result(records(1, 2), { runMs: 5 }), result(records(1, 2), { runMs: 9 }))).toBe(true);
  expect(same(result(records(1, 2)), result(records(1, 3)))).toBe(false);
  expect(same(result(1, { accumulators: [[0, 1]] }), result(1, { accumulators: [[0, 2]] }))).toBe(false);
  expect(same(Uint8Array.of(1, 2), Uint8Array.of(1, 2))).toBe(true);
  expect(same(Uint8Array.of(0xc1), result(1))).toBe(false);
});

test('shuffle output is compared by its digests, wherever it lies', () => {
  const same = comparator('bytes');
  const status = (executorId: string, digest: number, offsets = [0, 4]) => ({
    ...{ executorId, path: `/tmp/${executorId}`, offsets, checksums: [digest] },
    digests: new Uint8Array(32).fill(digest),
  });
  expect(same(result(status('a', 1)), result(status('b', 1)))).toBe(true);
  expect(same(result(status('a', 1)), result(status('b', 2)))).toBe(false);
  expect(same(result(status('a', 1)), result(status('b', 1, [0, 5])))).toBe(false);
});

test('float allows for a relative error of numbers, at any depth, and for nothing else', () => {
  const same = comparator('float:1e-9');
  const near = (a: unknown, b: unknown): boolean => same(result(records(a)), result(records(b)));
  expect(near(0.1 + 0.2, 0.3)).toBe(true);
  expect(near({ a: [1, { b: 1e9 }] }, { a: [1, { b: 1e9 + 0.1 }] })).toBe(true);
  expect(near(1, 1.001)).toBe(false);
  expect(near(NaN, NaN)).toBe(true);
  expect(near('1', 1)).toBe(false);
  expect(near({ a: 1 }, { b: 1 })).toBe(false);
  expect(same(result(records(1)), result(records(1, 1)))).toBe(false);
  expect(comparator('bytes')(result(records(0.1 + 0.2)), result(records(0.3)))).toBe(false);
});

test('a module of one own decides; what is no comparator is refused', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'comparator-'));
  try {
    writeFileSync(join(directory, 'lengths.mjs'), 'export default (a, b) => a.length === b.length;');
    writeFileSync(join(directory, 'nothing.mjs'), 'export const x = 1;');
    const same = await loadCompareResults('./lengths.mjs', directory);
    expect(same(result(records(1, 2)), result(records(3, 4)))).toBe(true);
    expect(same(result(records(1, 2)), result(records(3)))).toBe(false);
    for (const name of ['./nothing.mjs', './missing.mjs', 'float:', 'roughly']) {
      await expect(loadCompareResults(name, directory)).rejects.toThrow(expect.objectContaining({ code: 'SP_TASK_BAD_COMPARATOR' }));
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
