import { describe, expect, test } from 'vitest';
import type { DispatcherStateOptions } from '../../src/dispatcher/options.ts';
import { bytes, machine, only, profiled, reported, sent, tasks } from './fixtures.ts';

describe('speculation', () => {
  const speculation = { quantile: 0.5, multiplier: 2, minTaskRuntimeMs: 50 };

  /** Four tasks on two workers, three of which take 100 ms; the fourth runs on `a`. */
  function straggler(options: Partial<DispatcherStateOptions> = {}) {
    const m = profiled({ speculation }, { queueDepth: 1, ...options });
    m.join('a', { slots: 2, host: 'm1' });
    m.join('b', { slots: 2, host: 'm2' });
    expect(sent(m.submit(tasks(4))).sort()).toEqual(['a:0@1', 'a:2@1', 'b:1@1', 'b:3@1']);
    for (const [worker, id] of [
      ['a', 0],
      ['b', 1],
      ['a', 2],
      ['b', 3],
    ] as const)
      m.status(worker, id, 1, 'RUNNING');
    m.at.now = 100;
    for (const [worker, id] of [
      ['b', 1],
      ['a', 2],
      ['b', 3],
    ] as const)
      m.status(worker, id, 1, 'FINISHED');
    return m;
  }

  test('a task that runs for a multiple of the median gets a copy on another host under the next epoch', () => {
    const m = straggler();
    m.at.now = 200;
    expect(sent(m.tick())).toEqual([]);
    m.at.now = 201;
    expect(sent(m.tick())).toEqual(['b:0@2']);
    expect(sent(m.tick())).toEqual([]);
    expect(m.state.stats().speculated).toBe(1);
  });

  test('the copy wins: it is reported once, the loser is cancelled and fenced, its slot is free', () => {
    const m = straggler();
    m.at.now = 201;
    m.tick();
    expect(reported(m.status('b', 0, 2, 'RUNNING'))).toEqual([]);
    const effects = m.status('b', 0, 2, 'FINISHED', bytes(7));
    expect(reported(effects)).toEqual(['FINISHED 0']);
    expect(only('cancelOnWorker', effects)).toMatchObject([{ workerId: 'a', taskId: 0, epoch: 1 }]);
    expect(m.status('a', 0, 1, 'FINISHED', bytes(8))).toEqual([]);
    expect(m.state.stats()).toMatchObject({ finished: 4, fenced: 1, speculationWon: 1 });
    expect(m.state.capacity().credit).toBe(4);
  });

  test('the original wins: its copy is cancelled', () => {
    const m = straggler();
    m.at.now = 201;
    m.tick();
    const effects = m.status('a', 0, 1, 'FINISHED');
    expect(reported(effects)).toEqual(['FINISHED 0']);
    expect(only('cancelOnWorker', effects)).toMatchObject([{ workerId: 'b', epoch: 2 }]);
    expect(m.state.stats()).toMatchObject({ speculationWon: 0 });
    expect(m.state.capacity().credit).toBe(4);
  });

  test.each([
    ['a', 1, 'b', 2],
    ['b', 2, 'a', 1],
  ] as const)('when %s is lost, or fails, the attempt on the other goes on', (lost, epoch, other, otherEpoch) => {
    const m = straggler();
    m.at.now = 201;
    m.tick();
    expect(sent(m.leave(lost))).toEqual([]);
    expect(reported(m.status(other, 0, otherEpoch, 'FINISHED'))).toEqual(['FINISHED 0']);
    const n = straggler();
    n.at.now = 201;
    n.tick();
    expect(reported(n.status(lost, 0, epoch, 'FAILED'))).toEqual([]);
    expect(reported(n.status(other, 0, otherEpoch, 'FAILED'))).toEqual(['FAILED 0']);
    expect(n.state.live).toBe(0);
  });

  test('cancelling ends both attempts, and is reported when the original has stopped', () => {
    const m = straggler();
    m.at.now = 201;
    m.tick();
    expect(
      only('cancelOnWorker', m.cancel(0))
        .map(({ workerId }) => workerId)
        .sort(),
    ).toEqual(['a', 'b']);
    expect(reported(m.status('a', 0, 1, 'KILLED'))).toEqual(['KILLED 0']);
    expect(m.state.capacity().credit).toBe(4);
  });

  test('without another worker, or before the quantile, no copy is made', () => {
    const m = straggler();
    m.leave('b');
    m.at.now = 1000;
    m.beat('a');
    expect(sent(m.tick())).toEqual([]);
    const early = profiled({ speculation });
    early.join('a', { slots: 4 });
    early.join('b');
    early.submit(tasks(4));
    early.status('a', 0, 1, 'RUNNING');
    early.at.now = 1000;
    expect(sent(early.tick())).toEqual([]);
  });

  test('applications that do not ask for it get none', () => {
    const m = machine({ queueDepth: 1 });
    m.join('a', { slots: 2 });
    m.join('b', { slots: 2 });
    m.submit(tasks(4));
    m.status('a', 0, 1, 'RUNNING');
    m.at.now = 5000;
    expect(sent(m.tick())).toEqual([]);
  });
});
