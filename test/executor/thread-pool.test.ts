import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { expect, test, vi } from 'vitest';
import { serializeGraph } from '../../src/closure/index.ts';
import { contentHash } from '../../src/core/ids.ts';
import { encodeCall, type CallPlan } from '../../src/executor/call.ts';
import { withHeader } from '../../src/executor/stage-header.ts';
import { decodeTaskResult } from '../../src/executor/task-codec.ts';
import { ThreadPool } from '../../src/executor/thread-pool.ts';
import { EMPTY_BYTES, type TaskDescription } from '../../src/protocol/task.ts';

const task = (taskId: number): TaskDescription => ({
  taskId,
  attemptNumber: 0,
  executorId: 'driver',
  name: `task ${taskId}`,
  index: 0,
  stageId: 0,
  stageAttemptNumber: 0,
  kind: 'js',
  commons: ['gone'],
  payload: EMPTY_BYTES,
  preferredLocations: [],
  timeoutMs: 0,
});

test('a task whose blob was released while it waited fails alone, and so does the next one that names it', async () => {
  const localDir = mkdtempSync(join(tmpdir(), 'pool-'));
  const pool = new ThreadPool({ executorId: 'driver', localDir, threads: 1 });
  const released = (): never => {
    throw new Error('released');
  };
  await expect(pool.run(task(1), released)).rejects.toThrow('released');
  await expect(pool.run(task(2), released)).rejects.toThrow('released');
  await pool.close();
  await expect(pool.run(task(3), released)).rejects.toMatchObject({ code: 'SP_TASK_RUNNER_CLOSED' });
  rmSync(localDir, { recursive: true });
});

test('short tasks are queued deep, but no thread holds many large payloads', async () => {
  const localDir = mkdtempSync(join(tmpdir(), 'pool-'));
  const pool = new ThreadPool({ executorId: 'driver', localDir, threads: 1, ownFiles: true });
  const plan: CallPlan = { call: (...args: unknown[]) => String(args[0]).length, hasSelf: false, self: undefined };
  const stage = withHeader({ application: 'test', modules: undefined }, serializeGraph(plan).bytes);
  const commons = [contentHash(stage)];
  const call = (taskId: number, text: string): Promise<Uint8Array> => pool.run({ ...task(taskId), commons, payload: encodeCall([text]) }, () => stage);
  while (pool.capacity <= 16) await Promise.all(Array.from({ length: 500 }, (_, i) => call(i, 'x')));
  const sizes: number[] = [];
  const { postMessage } = Worker.prototype;
  const posted = vi.spyOn(Worker.prototype, 'postMessage').mockImplementation(function (this: Worker, message: unknown, moved?: unknown) {
    // Looked at before it is handed over.
    sizes.push((message as ArrayBuffer).byteLength);
    postMessage.call(this, message, moved as []);
  });
  const large = 'x'.repeat(1 << 20);
  const results = await Promise.all(Array.from({ length: 40 }, (_, i) => call(i, large)));
  expect(results.map((result) => decodeTaskResult(result).value)).toEqual(Array.from({ length: 40 }, () => large.length));
  expect(Math.max(...sizes)).toBeLessThan(17 * large.length);
  expect(Math.max(...sizes)).toBeGreaterThanOrEqual(large.length);
  posted.mockRestore();
  await pool.close();
  rmSync(localDir, { recursive: true });
});

test('it says when it holds nothing more, before those that wait for the last results go on', async () => {
  const localDir = mkdtempSync(join(tmpdir(), 'pool-'));
  const pool = new ThreadPool({ executorId: 'driver', localDir, threads: 2, ownFiles: true });
  const plan: CallPlan = { call: (...args: unknown[]) => args[0], hasSelf: false, self: undefined };
  const stage = withHeader({ application: 'test', modules: undefined }, serializeGraph(plan).bytes);
  const seen: string[] = [];
  let left = 40;
  pool.onIdle(() => seen.push(`idle, ${left} left`));
  const commons = [contentHash(stage)];
  const run = (taskId: number): Promise<unknown> => pool.run({ ...task(taskId), commons, payload: encodeCall([taskId]) }, () => stage).then(() => left--);
  await Promise.all(Array.from({ length: left }, (_, i) => run(i)));
  // With two threads the last of one may have been heard before.
  expect(seen).toHaveLength(1);
  expect(seen[0]).toMatch(/^idle, [1-9]\d* left$/);
  await pool.close();
  rmSync(localDir, { recursive: true });
});
