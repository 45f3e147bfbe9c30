import fc from 'fast-check';
import { expect, test } from 'vitest';
import { seededRandom } from '../../src/core/ids.ts';
import type { DispatcherEvent } from '../../src/dispatcher/contract.ts';
import { DispatcherState } from '../../src/dispatcher/state.ts';
import { createSelector, SELECTOR_NAMES } from '../../src/selectors/index.ts';
import { InvariantChecker } from '../simulation/checker.ts';
import { APP, registration, task, update } from './fixtures.ts';

const LEASE_MS = 100;
const workerId = fc.constantFrom('w1', 'w2', 'w3', 'w4');
const taskId = fc.nat(24);
const load = fc.record({ running: fc.nat(4), queued: fc.nat(4), draining: fc.boolean() });
const hashes = fc.uniqueArray(fc.constantFrom('h1', 'h2', 'h3'), { maxLength: 2 });

/** Any event at all: statuses of any epoch from any worker, so late, repeated, reordered and forged ones are among them. */
const event = fc.oneof(
  { weight: 4, arbitrary: fc.record({ type: fc.constant('submit' as const), ids: fc.array(taskId, { minLength: 1, maxLength: 6 }), commons: hashes }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('cancel' as const), taskId }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('workerJoined' as const), workerId, slots: fc.integer({ min: 0, max: 3 }), load }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('workerBeat' as const), workerId, load }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('workerLeft' as const), workerId, reason: fc.constantFrom('left', 'expired') }) },
  {
    weight: 8,
    arbitrary: fc.record({
      type: fc.constant('status' as const),
      // Mostly from the holder of a lease, else from anyone.
      from: fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: workerId }),
      taskId,
      back: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.integer({ min: -1, max: 3 }) }),
      state: fc.constantFrom('RUNNING' as const, 'FINISHED' as const, 'FAILED' as const, 'KILLED' as const, 'LOST' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('blobMissing' as const), workerId, hash: fc.constantFrom('h1', 'h2', 'gone') }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('tick' as const) }) },
);
const step = fc.record({ event, after: fc.oneof({ weight: 6, arbitrary: fc.nat(20) }, { weight: 1, arbitrary: fc.nat(300) }) });

test('whatever happens in whatever order, each submission ends once and no lease is given twice', () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 20, maxLength: 150, size: 'max' }), fc.constantFrom(...SELECTOR_NAMES), fc.nat(), (steps, selector, seed) => {
      const state = new DispatcherState({
        selector: createSelector(selector, { random: seededRandom(seed) }),
        leaseMs: LEASE_MS,
        resendAfterMs: 30,
        maxLeases: 3,
        fenceLimit: 64,
        holdsBlob: (hash) => hash !== 'gone',
      });
      const checker = new InvariantChecker({ queueDepth: selector.includes('PULL') ? 1 : 2 });
      const holders = new Map<number, { workerId: string; epoch: number }>();
      let now = 0;
      const handle = (e: DispatcherEvent): void => {
        const effects = state.handle(e);
        checker.observe(e, effects, state.live);
        for (const effect of effects) {
          if (effect.type === 'send') for (const leased of effect.tasks) holders.set(leased.task.taskId, { workerId: effect.workerId, epoch: leased.epoch });
        }
        expect(checker.violations).toEqual([]);
      };
      for (const { event: e, after } of steps) {
        now += after;
        switch (e.type) {
          case 'submit':
            handle({ type: 'submit', now, submissions: e.ids.map((id) => ({ application: APP, task: task(id, { commons: e.commons }) })) });
            break;
          case 'cancel':
            handle({ type: 'cancel', now, application: APP, taskId: e.taskId, reason: 'model' });
            break;
          case 'workerJoined':
            handle({ type: 'workerJoined', now, worker: registration(e.workerId, { slots: e.slots }), load: e.load });
            break;
          case 'status': {
            const holder = holders.get(e.taskId);
            const from = e.from ?? holder?.workerId ?? 'w1';
            const epoch = Math.max(0, (holder?.epoch ?? 1) - e.back);
            handle({ type: 'status', now, workerId: from, statuses: [{ application: APP, epoch, update: update(e.taskId, e.state, from) }] });
            break;
          }
          default:
            handle({ ...e, now });
        }
      }
      // However it stands: when the last worker has gone, nothing is left.
      for (const id of ['w1', 'w2', 'w3', 'w4']) handle({ type: 'workerLeft', now, workerId: id, reason: 'expired' });
      expect(state.live).toBe(0);
      expect(state.capacity()).toEqual({ slots: 0, credit: 0, workers: 0 });
      const { submitted, finished, failed, handedBack } = state.stats();
      expect(finished + failed + handedBack).toBe(submitted);
    }),
    { numRuns: 400 },
  );
});
