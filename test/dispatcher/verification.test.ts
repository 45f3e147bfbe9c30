import { describe, expect, test } from 'vitest';
import type { DispatcherEffect } from '../../src/dispatcher/contract.ts';
import { APP, bytes, notes, only, profiled, reported, sent, tasks } from './fixtures.ts';

describe('verification of results', () => {
  const verify = { quorum: 2, trustAfter: 3 };

  test('a first result waits for a second from another worker; equal ones are reported once', () => {
    const m = profiled({ verify });
    m.join('a');
    m.join('b');
    expect(sent(m.submit(tasks(1)))).toEqual(['a:0@1']);
    const first = m.status('a', 0, 1, 'FINISHED', bytes(1));
    expect([reported(first), sent(first)]).toEqual([[], ['b:0@2']]);
    expect(reported(m.status('b', 0, 2, 'FINISHED', bytes(1)))).toEqual(['FINISHED 0']);
    expect(m.state.stats()).toMatchObject({ verified: 1, replicated: 1, disagreements: 0, finished: 1 });
  });

  test('one of three lies: it is outvoted, noted and blamed, and the right result is reported', () => {
    const m = profiled({ verify }, { health: { maxFailures: 1 } });
    m.join('liar', { host: 'm1' });
    expect(sent(m.submit(tasks(1)))).toEqual(['liar:0@1']);
    m.join('b', { host: 'm2' });
    m.join('c', { host: 'm3' });
    m.status('liar', 0, 1, 'FINISHED', bytes(66));
    const second = m.status('b', 0, 2, 'FINISHED', bytes(1));
    expect(notes(second)).toEqual([{ what: 'disagreement', application: APP, taskId: 0, workers: ['liar', 'b'], wrong: [] }]);
    const third = m.status('c', 0, 3, 'FINISHED', bytes(1));
    expect(only('report', third)).toMatchObject([{ update: { state: 'FINISHED', data: bytes(1) } }]);
    expect(notes(third)).toMatchObject([
      { what: 'disagreement', wrong: ['liar'] },
      { what: 'excluded', target: 'worker liar' },
    ]);
    expect(m.state.stats().workers.find(({ id }) => id === 'liar')).toMatchObject({ excluded: true });
  });

  test('a worker with a record is checked by lot, and a bad result makes it begin anew', () => {
    let lot = 0;
    const m = profiled({ verify }, { random: () => lot, queueDepth: 4, health: false });
    m.join('a');
    m.join('b');
    m.join('c');
    let id = 0;
    /** Runs one task to its report; how many results it took. */
    const run = (wrong?: string): number => {
      let results = 0;
      let effects = m.submit(tasks(1, {}, id));
      for (;;) {
        const [where] = sent(effects) as [string | undefined];
        if (where === undefined) return results;
        const [, worker, epoch] = /^(.):\d+@(\d+)$/.exec(where) as unknown as [string, string, string];
        results++;
        effects = m.status(worker, id, Number(epoch), 'FINISHED', bytes(worker === wrong ? 99 : id));
        if (reported(effects).length > 0) {
          id++;
          return results;
        }
      }
    };
    for (let i = 0; i < 12; i++) expect(run()).toBe(2);
    // 12 checked tasks gave each a row of at least 3: now the lot decides.
    lot = 0.99;
    for (let i = 0; i < 5; i++) expect(run()).toBe(1);
    lot = 0;
    let taken = run();
    expect(taken).toBe(2);
    for (let i = 0; i < 3; i++) taken = Math.max(taken, run('a'));
    expect(taken).toBe(3);
    lot = 0.99;
    expect(Math.max(run(), run(), run())).toBe(2);
  });

  test('with honest workers the cost ends at a few per cent', () => {
    let seed = 1;
    const m = profiled({ verify: { quorum: 2 } }, { random: () => (seed = (seed * 48271) % 2147483647) / 2147483647 });
    for (const id of ['a', 'b', 'c']) m.join(id, { slots: 2 });
    let runs = 0;
    const N = 4000;
    let queue = m.submit(tasks(N));
    let reports = 0;
    let runsAtHalf = 0;
    while (reports < N) {
      const next: DispatcherEffect[] = [];
      for (const effect of queue) {
        if (effect.type === 'report') reports++;
        if (effect.type !== 'send') continue;
        for (const leased of effect.tasks) {
          runs++;
          next.push(...m.status(effect.workerId, leased.task.taskId, leased.epoch, 'FINISHED', bytes(leased.task.taskId & 0xff)));
        }
      }
      if (reports < N / 2) runsAtHalf = runs;
      queue = next;
    }
    const secondHalf = (runs - runsAtHalf) / (N / 2);
    expect(secondHalf).toBeLessThan(1.1);
    expect(runs / N).toBeLessThan(1.1);
  });

  test('without a quorum within maxReplicas, and without anybody to ask, the task fails coded', () => {
    const m = profiled({ verify: { quorum: 2, maxReplicas: 2, patienceMs: 500 } });
    m.join('a');
    m.join('b');
    m.submit(tasks(1));
    m.status('a', 0, 1, 'FINISHED', bytes(1));
    expect(reported(m.status('b', 0, 2, 'FINISHED', bytes(2)))).toEqual(['FAILED 0']);
    m.submit(tasks(1, {}, 1));
    m.leave('b');
    expect(m.status('a', 1, 1, 'FINISHED', bytes(1)).filter(({ type }) => type === 'send' || type === 'report')).toEqual([]);
    m.at.now = 499;
    m.beat('a');
    expect(reported(m.tick())).toEqual([]);
    m.at.now = 500;
    expect(reported(m.tick())).toEqual(['FAILED 1']);
    expect(m.state.live).toBe(0);
  });

  test('a copy gives the first result, then the lease of the task itself is lost: nobody is waited for without end', () => {
    const speculation = { quantile: 0.5, multiplier: 2, minTaskRuntimeMs: 50 };
    const m = profiled({ speculation, verify: { quorum: 2, patienceMs: 500 } }, { queueDepth: 1 });
    m.join('a', { slots: 2 });
    m.join('b', { slots: 2 });
    // Checked results of two short tasks, so that it is known how long tasks take.
    m.submit(tasks(2));
    for (const taskId of [0, 1]) m.status('a', taskId, 1, 'FINISHED', bytes(1));
    for (const taskId of [0, 1]) for (const epoch of [1, 2]) m.status('b', taskId, epoch, 'FINISHED', bytes(1));
    for (const taskId of [0, 1]) m.status('a', taskId, 2, 'FINISHED', bytes(1));
    expect(m.state.live).toBe(0);
    const [[holder, copier]] = [sent(m.submit(tasks(1, {}, 2)))[0] === 'a:2@1' ? ['a', 'b'] : ['b', 'a']] as [[string, string]];
    m.status(holder, 2, 1, 'RUNNING');
    m.at.now = 400;
    m.beat('a');
    m.beat('b');
    expect(sent(m.tick())).toEqual([`${copier}:2@2`]);
    expect(reported(m.status(copier, 2, 2, 'FINISHED', bytes(1)))).toEqual([]);
    expect(sent(m.leave(holder))).toEqual([]);
    m.at.now = 899;
    m.beat(copier);
    expect(reported(m.tick())).toEqual([]);
    m.at.now = 900;
    expect(reported(m.tick())).toEqual(['FAILED 2']);
    expect(m.state.live).toBe(0);
  });

  test('a comparator that allows for rounding, and one that replaces bytes', () => {
    const near = (a: Uint8Array, b: Uint8Array): boolean => Math.abs((a[0] ?? 0) - (b[0] ?? 0)) <= 1;
    const m = profiled({ verify: { quorum: 2, comparator: 'near' } }, { comparators: new Map([['near', near]]) });
    m.join('a');
    m.join('b');
    m.submit(tasks(1));
    m.status('a', 0, 1, 'FINISHED', bytes(10));
    expect(reported(m.status('b', 0, 2, 'FINISHED', bytes(11)))).toEqual(['FINISHED 0']);
  });
});
