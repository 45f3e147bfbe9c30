import { describe, expect, test } from 'vitest';
import type { Submission } from '../../src/dispatcher/contract.ts';
import { EMPTY_BYTES, StageTask } from '../../src/protocol/task.ts';
import { pullSelector } from '../../src/selectors/pull.ts';
import { APP, machine, sent, task, tasks } from './fixtures.ts';

/** Tasks of one stage of the embedded engine. */
const ofStage = (stageId: number, count: number, from: number): Submission[] =>
  Array.from({ length: count }, (_, i) => ({ application: APP, task: new StageTask(task(from + i, { stageId, commons: [`code of ${stageId}`] })) }));

type Machine = ReturnType<typeof machine>;

const finish = (m: Machine, workerId: string, taskId: number, runMs?: number, epoch = 1) =>
  m.handle({
    type: 'status',
    workerId,
    statuses: [{ application: APP, epoch, update: { taskId, state: 'FINISHED', executorId: workerId, data: EMPTY_BYTES, runMs } }],
  });

/** A worker of one slot, whose machine has heard of so many tasks of stage 1 that they take this long. */
function learned(runMs: number, options: Parameters<typeof machine>[0] = {}, count = 64): Machine {
  const m = machine({ queueDepth: 2, queueMs: 10, ...options });
  m.join('a');
  m.submit(ofStage(1, count, 1000));
  for (let i = 0; i < count; i++) finish(m, 'a', 1000 + i, runMs);
  return m;
}

describe('how many tasks wait at a worker', () => {
  test.each([
    [0.001, 64],
    [0.5, 20],
    [1, 10],
    [4, 3],
    [5, 2],
    [5000, 2],
  ])('of a stage whose tasks run %d ms: those that are begun within 10 ms, at least the depth and at most 64: %d', (runMs, count) => {
    expect(sent(learned(runMs).submit(ofStage(1, 200, 0)))).toHaveLength(count);
  });

  test('no more for each slot than have ended: what a few tasks say may not be true of all', () => {
    for (const count of [1, 2, 5, 30]) expect(sent(learned(0.001, {}, count).submit(ofStage(1, 200, 0)))).toHaveLength(Math.max(2, count));
  });

  test('none beyond the depth of a stage that nothing is known of, of a call that is of no stage, and of one that was lost before', () => {
    const m = learned(0.1);
    expect(sent(m.submit(ofStage(2, 200, 0)))).toHaveLength(2);
    m.handle({ type: 'cancelApplication', application: APP, reason: 'over' });
    const n = learned(0.1);
    expect(sent(n.submit(tasks(200, { stageId: 1, commons: ['code of 1'] })))).toHaveLength(2);
    const lossy = learned(0.1);
    expect(sent(lossy.submit(ofStage(1, 40, 0)))).toHaveLength(40);
    lossy.join('b');
    expect(sent(lossy.leave('a'))).toHaveLength(2);
  });

  test('what is long now takes whole places again, as soon as it is known', () => {
    const m = learned(0.1);
    m.submit(ofStage(1, 200, 0));
    // 64 of them were sent; as they end, and are said to be long, no other takes their room until it is that of a whole place.
    const after = Array.from({ length: 64 }, (_, i) => sent(finish(m, 'a', i, 1000)).length);
    expect(after.reduce((sum, count) => sum + count, 0)).toBe(2);
  });

  test('a short task beside long ones takes none of their places, and the worker is full when they are', () => {
    const m = learned(0.1, { queueDepth: 3 });
    expect(sent(m.submit(ofStage(2, 2, 0)))).toHaveLength(2);
    expect(m.state.capacity().credit).toBe(1);
    expect(sent(m.submit(ofStage(1, 100, 100)))).toHaveLength(22);
    expect(m.state.capacity().credit).toBe(0);
    for (let i = 100; i < 200; i++) finish(m, 'a', i, 0.1);
    expect(m.state.capacity().credit).toBe(1);
    finish(m, 'a', 0, 500);
    finish(m, 'a', 1, 500);
    expect(m.state.capacity()).toEqual({ slots: 1, credit: 3, workers: 1 });
  });

  test('a selector with a depth of its own, or a time of 0, gets no more than the depth', () => {
    expect(sent(learned(0.1, { selector: pullSelector(() => 0.5) }).submit(ofStage(1, 200, 0)))).toHaveLength(1);
    expect(sent(learned(0.1, { queueMs: 0 }).submit(ofStage(1, 200, 0)))).toHaveLength(2);
  });

  test('who launches tasks is told what one of a stage takes of the credit', () => {
    const m = learned(0.5);
    expect(m.state.cost(APP, ['code of 1'])).toBeCloseTo(0.1, 2);
    expect(m.state.cost(APP, ['code of 2'])).toBe(1);
    expect(m.state.cost('nobody', ['code of 1'])).toBe(1);
  });
});
