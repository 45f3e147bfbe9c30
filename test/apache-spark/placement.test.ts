import { describe, expect, test } from 'vitest';
import { pinSparkTasks, placeRound, stageOfName, type AskedTask, type Round } from '../../src/apache-spark/placement.ts';
import type { TaskDescription } from '../../src/protocol/task.ts';
import type { Registration } from '../../src/registry/contract.ts';
import type { Host, HostSelector } from '../../src/selectors/contract.ts';

const worker = (id: string): Registration => ({
  kind: 'worker',
  id,
  host: `host-${id}`,
  pid: 1,
  version: '',
  slots: 2,
  kinds: ['spark'],
  labels: { zone: id },
  queue: '',
});

function asked(taskId: number, more: Partial<AskedTask> = {}): AskedTask {
  return {
    taskId,
    attempt: 0,
    index: taskId,
    cpus: 1,
    offered: 0,
    fixed: false,
    locality: 'ANY',
    name: `task ${taskId}.0 in stage 3.1 (TID ${taskId})`,
    ...more,
  };
}

function place(selector: HostSelector['select'], tasks: readonly AskedTask[], free: readonly number[] = [2, 2]) {
  const faults: unknown[] = [];
  const round: Round = { candidates: free.map((cores, i) => ({ executorId: `e${i}`, free: cores })), tasks };
  const places = placeRound(round, {
    selector: { name: 'TEST', select: selector },
    application: 'app-1',
    now: 0,
    version: 1,
    workerOf: (executorId) => worker(`w${executorId.slice(1)}`),
    outstanding: () => 0,
    onFault: (error) => faults.push(error),
  });
  return { places, faults };
}

const named =
  (id: string): HostSelector['select'] =>
  (_task, hosts) =>
    hosts.find((host) => host.id === id);

describe('placing a round of offers', () => {
  test('the selector decides for each task, with the task and the hosts that have cores', () => {
    const seen: [TaskDescription, readonly Host[]][] = [];
    const { places } = place(
      (task, hosts) => {
        seen.push([task, [...hosts]]);
        return hosts.find((host) => host.id === (task.index % 2 === 0 ? 'w1' : 'w0'));
      },
      [asked(0), asked(1), asked(2)],
    );
    expect(places).toEqual([1, 0, 1]);
    expect(seen[0]?.[0]).toMatchObject({ kind: 'spark', stageId: 3, stageAttemptNumber: 1, executorId: 'e0' });
    expect(seen[0]?.[1].map(({ id, host }) => [id, host])).toEqual([
      ['w0', 'host-w0'],
      ['w1', 'host-w1'],
    ]);
  });

  test('an executor is given no more than its free cores', () => {
    expect(place(named('w1'), [asked(0), asked(1), asked(2)]).places).toEqual([1, 1, 0]);
    expect(place(named('w1'), [asked(0, { cpus: 2 }), asked(1, { cpus: 2 })]).places).toEqual([1, 0]);
  });

  test('a task that must stay takes its cores first and stays', () => {
    expect(place(named('w0'), [asked(0), asked(1, { fixed: true })], [1, 1]).places).toEqual([1, -1]);
  });

  test('no choice, a throw or a host that was not offered leave the task where Spark put it', () => {
    expect(place(() => undefined, [asked(0, { offered: 1 })])).toEqual({ places: [1], faults: [] });
    const thrown = place(() => {
      throw new Error('bad selector');
    }, [asked(0)]);
    expect([thrown.places, thrown.faults.length]).toEqual([[0], 1]);
    const foreign = place(() => ({ id: 'elsewhere', host: '', labels: {}, slots: 1, outstanding: 0, credit: 1 }), [asked(0)]);
    expect([foreign.places, foreign.faults.length]).toEqual([[0], 1]);
  });

  test('cached input is told as its worker, input on a machine as the workers there', () => {
    const wanted: (readonly string[])[] = [];
    const keep: HostSelector['select'] = (task, hosts) => {
      wanted.push(task.preferredLocations);
      return hosts[0];
    };
    place(keep, [asked(0, { offered: 1, locality: 'PROCESS_LOCAL' }), asked(1, { locality: 'NODE_LOCAL' }), asked(2)]);
    expect(wanted).toEqual([['w1'], ['w0'], []]);
  });
});

describe('keeping to a placement', () => {
  const hosts = ['w0', 'w1'].map((id): Host => ({ id, host: id, labels: {}, slots: 1, outstanding: 0, credit: 1 }));
  const view = { hosts, version: 1, application: 'app-1', now: 0, stage: () => undefined };
  const task = (kind: string, location: string) => ({ kind, preferredLocations: [location] }) as unknown as TaskDescription;

  test("a task of Spark goes to its worker or waits; others are the selector's", () => {
    const selector = pinSparkTasks({ name: 'FIRST', select: (_task, offered) => offered[0] });
    expect(selector.select(task('spark', 'w1'), hosts, view)?.id).toBe('w1');
    expect(selector.select(task('spark', 'w9'), hosts, view)).toBeUndefined();
    expect(selector.select(task('js', 'w1'), hosts, view)?.id).toBe('w0');
  });

  test('stage and attempt are read from the name that Spark gives', () => {
    expect(stageOfName('task 3.0 in stage 12.2 (TID 7)')).toEqual({ stageId: 12, stageAttemptNumber: 2 });
    expect(stageOfName('something else')).toEqual({ stageId: 0, stageAttemptNumber: 0 });
  });
});
