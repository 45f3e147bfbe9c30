import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import type { DispatcherEffect, DispatcherEvent } from '../../src/dispatcher/contract.ts';
import type { DispatcherState } from '../../src/dispatcher/state.ts';
import { simulate, type Machine, type SimulationResult } from './world.ts';

function firstFailure(seeds: number, wrap: (machine: DispatcherState) => Machine): SimulationResult | undefined {
  for (let seed = 0; seed < seeds; seed++) {
    const result = simulate(seed, { wrap });
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

const run = promisify(execFile);

test('10,000 worlds: whoever leads, crashes, lies or is cut off, every task ends once and nothing wrong is committed', { timeout: 480_000 }, async () => {
  const program = fileURLToPath(new URL('run.ts', import.meta.url));
  const half = (from: number) => run(process.execPath, [program, '--from', String(from), '--seeds', '5000']);
  const outputs = await Promise.all(
    [half(0), half(5000)].map((one) =>
      one.then(
        ({ stdout }) => stdout,
        (error: { stderr: string }) => error.stderr,
      ),
    ),
  );
  for (const output of outputs) expect(output).toMatch(/^5000 seeds, no violation/);
});

test('the worlds are hard enough: each thing that can happen does', () => {
  const sums: Record<string, number> = {};
  for (let seed = 0; seed < 150; seed++) for (const [name, count] of Object.entries(simulate(seed).sums)) sums[name] = (sums[name] ?? 0) + count;
  for (const [name, count] of Object.entries(sums)) expect(count, name).toBeGreaterThan(5);
});

test('the same seed gives the same run, line by line', () => {
  const trace = (seed: number) => simulate(seed, { trace: true }).trace;
  expect(trace(11)).toEqual(trace(11));
  expect(trace(11)).not.toEqual(trace(12));
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
          const forged = ({ workerId, statuses, now }: DispatcherEvent & { type: 'status' }): DispatcherEvent[] =>
            statuses.map((status) => {
              const holder = holders.get(status.update.taskId);
              return { type: 'status', now, workerId: holder?.workerId ?? workerId, statuses: [{ ...status, epoch: holder?.epoch ?? status.epoch }] };
            });
          const effects = (event.type === 'status' ? forged(event) : [event]).flatMap((one) => machine.handle(one));
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
    'counts a first result as if others had agreed with it',
    broken(
      (_m, _event, effects) => effects,
      (event) =>
        event.type === 'application'
          ? { ...event, profile: { application: event.profile.application, ...(event.profile.placement && { placement: event.profile.placement }) } }
          : event,
    ),
  ],
  [
    'forgets where tasks must run',
    broken(
      (_m, _event, effects) => effects,
      (event) => (event.type === 'application' ? { ...event, profile: { ...event.profile, placement: {} } } : event),
    ),
  ],
  [
    'forgets an application that submits again after a change of leader',
    broken(
      (_m, _event, effects) => effects,
      (event) => (event.type === 'submit' && event.submissions.length > 12 ? { ...event, submissions: [] } : event),
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
