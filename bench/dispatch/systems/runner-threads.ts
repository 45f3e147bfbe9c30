import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { serializeGraph } from '../../../src/closure/index.ts';
import { contentHash } from '../../../src/core/ids.ts';
import { encodeCall, type CallPlan } from '../../../src/executor/call.ts';
import { withHeader } from '../../../src/executor/stage-header.ts';
import { ThreadPool } from '../../../src/executor/thread-pool.ts';
import type { System } from './contract.ts';
import { payload } from './peer.ts';

/** The way of a worker process to its runner threads and back: calls of a function, as `offload` makes them, of one thread. */
export const runnerThreads: System = {
  async client(_, onDone) {
    const localDir = mkdtempSync(join(tmpdir(), 'spark-proxy-bench-'));
    const pool = new ThreadPool({ executorId: 'bench', localDir, threads: 1, ownFiles: true });
    const plan: CallPlan = { call: () => 'x'.repeat(64), hasSelf: false, self: undefined };
    const stage = withHeader({ application: 'bench', modules: undefined }, serializeGraph(plan).bytes);
    const commons = [contentHash(stage)];
    // A payload arrives in a frame; who packed it is another process.
    const packed = encodeCall([payload]);
    let taskId = 0;
    return {
      submit(tasks) {
        for (let i = 0; i < tasks; i++) {
          const task = {
            taskId: taskId++,
            attemptNumber: 0,
            executorId: 'bench',
            name: 'task',
            index: 0,
            stageId: 0,
            stageAttemptNumber: 0,
            kind: 'js',
            commons,
            payload: packed,
            preferredLocations: [],
            timeoutMs: 0,
          };
          void pool.run(task, () => stage).then(() => onDone(1));
        }
      },
      async close() {
        await pool.close();
        rmSync(localDir, { recursive: true, force: true });
      },
    };
  },
  // Its thread is its worker.
  worker: async () => undefined,
};
