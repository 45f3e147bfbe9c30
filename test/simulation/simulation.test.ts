import { expect, test } from 'vitest';
import type { DispatcherEffect, DispatcherEvent } from '../../src/dispatcher/contract.ts';
import type { DispatcherState } from '../../src/dispatcher/state.ts';
import { simulate, type Machine, type SimulationResult } from './world.ts';

function firstFailure(seeds: number, wrap?: (machine: DispatcherState) => Machine): SimulationResult | undefined {
  for (let seed = 0; seed < seeds; seed++) {
    const result = simulate(seed, wrap);
    if (result.violations.length > 0) return result;
  }
  return undefined;
}

/** A machine that is wrong on purpose. */
function broken(
  tamper: (machine: DispatcherState, event: DispatcherEvent, effects: DispatcherEffect[]) => DispatcherEffect[],
  before = (event: DispatcherEvent) => event,
) {
  return (machine: DispatcherState): Machine => ({
    get live() {
      return machine.live;
    },
    handle: (event) => tamper(machine, event, machine.handle(before(event))),
  });
}

test('500 worlds with crashes, pauses, drains and a network that drops, repeats and reorders: every effect once, nothing lost', () => {
  const failure = firstFailure(500);
  expect(failure?.violations ?? [], `replay: npm run sim -- --seed ${failure?.seed}\n${failure?.trace.slice(-60).join('\n')}`).toEqual([]);
});

test('the worlds are hard enough: leases are lost, results fenced, frames sent again, tasks handed back', () => {
  const sum = { retried: 0, fenced: 0, resent: 0, handedBack: 0, wasted: 0 };
  for (let seed = 0; seed < 60; seed++) {
    const result = simulate(seed);
    for (const key of Object.keys(sum) as (keyof typeof sum)[]) sum[key] += result[key];
  }
  for (const [name, count] of Object.entries(sum)) expect(count, name).toBeGreaterThan(20);
});

test('the same seed gives the same run, line by line', () => {
  expect(simulate(11).trace).toEqual(simulate(11).trace);
  expect(simulate(11).trace).not.toEqual(simulate(12).trace);
});

test.each<[string, (machine: DispatcherState) => Machine]>([
  [
    'accepts results of leases that are over',
    (machine) => {
      const holders = new Map<number, { workerId: string; epoch: number }>();
      return {
        get live() {
          return machine.live;
        },
        handle(event) {
          const holder = event.type === 'status' ? holders.get(event.update.taskId) : undefined;
          const effects = machine.handle(holder === undefined ? event : ({ ...event, ...holder } as DispatcherEvent));
          for (const effect of effects) {
            if (effect.type === 'send') for (const { epoch, task } of effect.tasks) holders.set(task.taskId, { workerId: effect.workerId, epoch });
          }
          return effects;
        },
      };
    },
  ],
  ['forgets a report now and then', broken((_m, event, effects) => (Math.floor(event.now) % 50 === 0 ? effects.filter((e) => e.type !== 'report') : effects))],
  ['reports twice', broken((_m, _event, effects) => effects.flatMap((e) => (e.type === 'report' && e.update.state === 'FINISHED' ? [e, e] : [e])))],
  [
    'keeps the old epoch when it leases again',
    broken((_m, _event, effects) => effects.map((e) => (e.type === 'send' ? { ...e, tasks: e.tasks.map((leased) => ({ ...leased, epoch: 1 })) } : e))),
  ],
  ['does not send blobs', broken((_m, _event, effects) => effects.map((e) => (e.type === 'send' ? { ...e, blobs: [] } : e)))],
  [
    'never sends again what was lost on the way',
    broken(
      (_m, _event, effects) => effects,
      (event) => (event.type === 'workerBeat' ? { ...event, load: { ...event.load, running: 1000 } } : event),
    ),
  ],
  [
    'does not see workers drain',
    broken(
      (_m, _event, effects) => effects,
      (event) => (event.type === 'workerBeat' ? { ...event, load: { ...event.load, draining: false } } : event),
    ),
  ],
])('the checker notices a machine that %s', (_what, wrap) => {
  expect(firstFailure(200, wrap)?.violations).toBeDefined();
});
