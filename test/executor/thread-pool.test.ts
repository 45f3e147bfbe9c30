import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
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
