import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FenceMemory } from '../../src/dispatcher/fence.ts';
import { fifoOrder, type WaitingTask } from '../../src/dispatcher/order.ts';
import { APP, task } from './fixtures.ts';

const waiting = (sequence: number): WaitingTask => ({ application: APP, task: task(sequence), sequence, before: undefined, after: undefined });

test('first in is first out, whatever is taken, put back and removed in between', () => {
  const action = fc.oneof(
    { weight: 3, arbitrary: fc.constant({ type: 'add' as const }) },
    { weight: 2, arbitrary: fc.constant({ type: 'take' as const }) },
    { weight: 2, arbitrary: fc.record({ type: fc.constant('putBack' as const), which: fc.nat() }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant('remove' as const), which: fc.nat() }) },
  );
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60, size: 'max' }), (actions) => {
      const order = fifoOrder();
      let model: WaitingTask[] = [];
      const taken: WaitingTask[] = [];
      let next = 0;
      for (const a of actions) {
        if (a.type === 'add') {
          const w = waiting(next++);
          order.add(w);
          model.push(w);
        } else if (a.type === 'take') {
          const w = order.take();
          expect(w).toBe(model.shift());
          if (w !== undefined) taken.push(w);
        } else if (a.type === 'putBack' && taken.length > 0) {
          const [w] = taken.splice(a.which % taken.length, 1) as [WaitingTask];
          order.putBack(w);
          model = [...model, w].sort((x, y) => x.sequence - y.sequence);
        } else if (a.type === 'remove' && model.length > 0) {
          const [w] = model.splice(a.which % model.length, 1) as [WaitingTask];
          order.remove(w);
        }
        expect(order.size).toBe(model.length);
      }
      for (const w of model) expect(order.take()).toBe(w);
      expect(order.take()).toBeUndefined();
    }),
  );
});

test('the fence memory knows at least the last tasks, and at most twice as many', () => {
  const fence = new FenceMemory(10);
  for (let id = 0; id < 100; id++) fence.remember('a', id, id + 1);
  for (let id = 90; id < 100; id++) expect(fence.lastEpoch('a', id)).toBe(id + 1);
  expect(Array.from({ length: 80 }, (_, id) => fence.lastEpoch('a', id))).toEqual(Array.from({ length: 80 }, () => 0));
  expect(fence.lastEpoch('b', 99)).toBe(0);
  fence.remember('a', 99, 200);
  expect(fence.lastEpoch('a', 99)).toBe(200);
});
