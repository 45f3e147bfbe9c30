import { beforeEach, expect, test } from 'vitest';
import { EventBus } from '../../src/core/events.ts';
import { createLogger } from '../../src/core/logger.ts';
import { consoleProgress } from '../../src/observe/console-progress.ts';
import { summarize } from '../../src/observe/summary.ts';
import type { SparkListenerEvents } from '../../src/scheduler/events.ts';

let events: EventBus<SparkListenerEvents>;
let time: number;
let written: string;
beforeEach(() => {
  events = new EventBus(createLogger('test'));
  time = 0;
  written = '';
});

const stage = { stageId: 3, attemptNumber: 0, name: 'map at x.ts:1', numTasks: 8, parentIds: [] };
const task = (taskId: number, executorId = 'driver') => ({ taskId, index: taskId, attemptNumber: 0, launchTime: 0, executorId });
const metrics = { runMs: 500, bytesRead: 0, shuffleBytesWritten: 0, shuffleRecordsWritten: 0, remoteBytesRead: 0 };
const begin = (id: number): void => events.emit('onTaskStart', { stageId: 3, stageAttemptId: 0, task: task(id) });
const end = (id: number, state: 'FINISHED' | 'FAILED' = 'FINISHED', executorId = 'driver'): void =>
  events.emit('onTaskEnd', { stageId: 3, stageAttemptId: 0, task: task(id, executorId), state, finishTime: 0, metrics, error: undefined });

test('on a terminal one line is redrawn and removed at the end', () => {
  const stop = consoleProgress(events, { isTTY: true, columns: 41, write: (text) => (written += text) }, () => time);
  events.emit('onStageSubmitted', { stage, time: 0 });
  for (let i = 0; i < 5; i++) begin(i);
  for (let i = 0; i < 3; i++) end(i);
  time = 1000;
  begin(5);
  expect(written.split('\r\u001b[2K').at(-1)).toBe('[Stage 3:=======>           (3 + 3) / 8]');
  events.emit('onStageCompleted', { stage, time: 0, failureReason: undefined });
  expect(written.endsWith('\r\u001b[2K')).toBe(true);
  stop();
});

test('elsewhere a plain line is written at most once a second, and one at the end', () => {
  consoleProgress(events, { write: (text) => (written += text) }, () => time);
  events.emit('onStageSubmitted', { stage, time: 0 });
  for (let i = 0; i < 8; i++) {
    time += 300;
    begin(i);
    end(i);
  }
  events.emit('onStageCompleted', { stage, time: 0, failureReason: undefined });
  const lines = written.trim().split('\n');
  expect(lines.length).toBeGreaterThanOrEqual(2);
  expect(lines.length).toBeLessThanOrEqual(4);
  expect(lines.at(-1)).toMatch(/^\[Stage 3:=+>\(8 \+ 0\) \/ 8\] map at x\.ts:1$/);
  expect(written).not.toContain('\u001b');
});

test('the summary has a row for each executor, with pids and what did not finish', () => {
  const worker = { id: 'worker-a', host: 'h', pid: 77, slots: 1, finished: 1, failed: 1, alive: false, outstanding: 0, draining: false, excluded: false };
  const dispatcher = {
    submitted: 2,
    finished: 1,
    failed: 1,
    retried: 4,
    fenced: 0,
    handedBack: 0,
    parked: 0,
    speculated: 0,
    speculationWon: 0,
    verified: 0,
    replicated: 0,
    disagreements: 0,
    adopted: 0,
    workers: [worker],
  };
  const text = summarize(events, { stats: () => ({ destination: 'external', captured: 3, dispatcher }) }, () => time);
  end(0, 'FINISHED', 'worker-a');
  end(1, 'FAILED', 'worker-a');
  end(2);
  events.emit('onJobEnd', { jobId: 0, time: 0, error: undefined });
  time = 2000;
  const rows = text()
    .trim()
    .split('\n')
    .map((line) => line.split(/  +/));
  expect(rows[0]?.[0]).toBe('destination external: 1 jobs, 3 tasks captured at launchTasks, 4 retried, 0 handed back, 2.00 s');
  expect(rows.slice(3)).toEqual([
    ['driver', String(process.pid), 'inside', '1', '0', '0.50'],
    ['worker-a', '77', 'external, lost', '1', '1', '1.00'],
  ]);
});
