import { expect, test } from 'vitest';
import { packResults, packTasks, unpackResults, unpackTasks, type ThreadTask } from '../../src/executor/thread-messages.ts';

const frame = new Uint8Array(1_000_000).fill(7);
const task = (sequence: number, commons: readonly string[], payload: Uint8Array): ThreadTask => {
  return { sequence, taskId: sequence + 100, attemptNumber: 1, stageId: 2, stageAttemptNumber: 3, commons, payload };
};

test('tasks are unpacked as they were packed, and take their payloads along, not the frame these are views of', () => {
  const tasks = [task(0, ['a', 'b'], frame.subarray(0, 3)), task(1, ['a', 'b'], frame.subarray(10, 10)), task(2, ['c'], frame.subarray(20, 25))];
  const packed = packTasks(tasks);
  expect(packed.payloads.buffer.byteLength).toBe(8);
  expect(packed.commons).toEqual([['a', 'b'], ['c']]);
  expect(unpackTasks(structuredClone(packed))).toEqual(tasks);
});

test('results are unpacked as they were packed', () => {
  const results = [
    { sequence: 4, runMs: 0.25, data: frame.subarray(0, 2) },
    { sequence: 3, runMs: 1000, data: frame.subarray(5, 5) },
  ];
  const packed = packResults(results);
  expect(packed.data.buffer.byteLength).toBe(2);
  expect(unpackResults(structuredClone(packed))).toEqual(results);
});
