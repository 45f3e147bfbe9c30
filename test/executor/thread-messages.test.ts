import { expect, test } from 'vitest';
import { CommonsSlots, packResults, packTasks, unpackResults, unpackTasks, type ThreadTask, type ToThread } from '../../src/executor/thread-messages.ts';

const frame = new Uint8Array(1_000_000).fill(7);
const task = (sequence: number, commons: readonly string[], payload: Uint8Array): ThreadTask => {
  return { sequence, taskId: sequence + 2 ** 40, attemptNumber: 1, stageId: 2, stageAttemptNumber: 3, commons, payload };
};

/** What a thread makes of what it is told of commons. */
function thread() {
  const slots = new CommonsSlots();
  const known: (readonly string[])[] = [];
  let told = 0;
  const tell = (message: ToThread): void => {
    if (message instanceof ArrayBuffer || !('commons' in message)) throw new Error('not a list');
    known[message.slot] = message.commons;
    told++;
  };
  return { known, of: (commons: readonly string[]) => slots.of(commons, tell), told: () => told };
}

test('tasks are unpacked as they were packed, and take their payloads along, not the frame these are views of', () => {
  const t = thread();
  const tasks = [task(0, ['a', 'b'], frame.subarray(0, 3)), task(1, ['a', 'b'], frame.subarray(10, 10)), task(2, ['c'], frame.subarray(20, 25))];
  const packed = packTasks(
    tasks,
    tasks.map(({ commons }) => t.of(commons)),
  );
  expect(packed.byteLength).toBe(8 * (1 + 3 * 7) + 8);
  expect(t.told()).toBe(2);
  expect(unpackTasks(structuredClone(packed), t.known)).toEqual(tasks);
});

test('a list of commons is told once while it is one of the last 64, and each task finds its own', () => {
  const t = thread();
  for (let i = 0; i < 1000; i++) expect(t.known[t.of([`stage-${i % 64}`, 'shared'])]).toEqual([`stage-${i % 64}`, 'shared']);
  expect(t.told()).toBe(64);
  for (let i = 0; i < 1000; i++) expect(t.known[t.of([`other-${i % 65}`])]).toEqual([`other-${i % 65}`]);
});

test('results are unpacked as they were packed', () => {
  const results = [
    { sequence: 4, runMs: 0.25, data: frame.subarray(0, 2) },
    { sequence: 3, runMs: 1000, data: frame.subarray(5, 5) },
  ];
  const packed = packResults(results);
  expect(packed.byteLength).toBe(8 * (1 + 2 * 3) + 2);
  expect(unpackResults(structuredClone(packed))).toEqual(results);
});
