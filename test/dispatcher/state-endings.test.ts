import { describe, expect, test } from 'vitest';
import { decodeFailure } from '../../src/protocol/failure.ts';
import { APP, DRAINING, machine, only, reported, sent, task, tasks } from './fixtures.ts';

const failure = (effects: Parameters<typeof only>[1]): Error & { code?: string } => decodeFailure(only('report', effects).at(-1)?.update.data as Uint8Array);

describe('hand-back', () => {
  test('without a worker of its kind a submission is handed back, by application', () => {
    const m = machine();
    m.join('a', { kinds: ['other'] });
    const effects = m.submit([...tasks(2), { application: 'app-2', task: task(0) }]);
    expect(effects).toEqual([
      { type: 'handBack', application: APP, tasks: [task(0), task(1)] },
      { type: 'handBack', application: 'app-2', tasks: [task(0)] },
    ]);
    expect(m.state.stats()).toMatchObject({ submitted: 3, handedBack: 3 });
    expect(m.state.live).toBe(0);
  });

  test('when the last worker goes, everything comes back, and its late results are refused', () => {
    const m = machine();
    m.join('a');
    m.submit(tasks(4));
    expect(only('handBack', m.leave('a'))[0]?.tasks).toHaveLength(4);
    expect(m.status('a', 0, 1, 'FINISHED')).toEqual([]);
    expect(m.state.stats().fenced).toBe(1);
    m.join('b');
    expect(sent(m.submit(tasks(1)))[0]).not.toBe('b:0@1');
  });

  test('with only draining workers left, what waits is handed back and what runs may finish', () => {
    const m = machine();
    m.join('a');
    m.submit(tasks(3));
    expect(only('handBack', m.beat('a', { running: 1, queued: 1, draining: true }))[0]?.tasks.map((t) => t.taskId)).toEqual([2]);
    expect(reported(m.status('a', 0, 1, 'FINISHED'))).toEqual(['FINISHED 0']);
    expect(only('handBack', m.leave('a', 'left'))[0]?.tasks.map((t) => t.taskId)).toEqual([1]);
  });
});

describe('cancel', () => {
  test('a waiting task is killed at once and never sent', () => {
    const m = machine();
    m.join('a');
    m.submit(tasks(3));
    const effects = m.cancel(2);
    expect(reported(effects)).toEqual(['KILLED 2']);
    expect(failure(effects)).toMatchObject({ code: 'SP_DISPATCHER_CANCELLED', message: expect.stringContaining('not needed') as string });
    expect(sent(m.status('a', 0, 1, 'FINISHED'))).toEqual([]);
  });

  test.each(['LEASED', 'RUNNING'])('a %s task is killed when its worker says so', (phase) => {
    const m = machine();
    m.join('a');
    m.submit(tasks(1));
    if (phase === 'RUNNING') m.status('a', 0, 1, 'RUNNING');
    expect(m.cancel(0)).toEqual([{ type: 'cancelOnWorker', workerId: 'a', application: APP, taskId: 0, epoch: 1, reason: 'not needed' }]);
    expect(m.cancel(0)).toEqual([]);
    expect(m.status('a', 0, 1, 'RUNNING')).toEqual([]);
    expect(reported(m.status('a', 0, 1, 'KILLED'))).toEqual(['KILLED 0']);
  });

  test('a result that overtakes the cancel counts', () => {
    const m = machine();
    m.join('a');
    m.submit(tasks(1));
    m.cancel(0);
    expect(reported(m.status('a', 0, 1, 'FINISHED'))).toEqual(['FINISHED 0']);
    expect(m.status('a', 0, 1, 'KILLED')).toEqual([]);
  });

  test('a cancelled task whose worker is lost is killed, not leased again', () => {
    const m = machine();
    m.join('a');
    m.join('b');
    m.submit(tasks(1));
    m.cancel(0);
    const effects = m.leave('a');
    expect(reported(effects)).toEqual(['KILLED 0']);
    expect(sent(effects)).toEqual([]);
  });

  test('a worker that does not answer is waited for one lease long', () => {
    const m = machine({ leaseMs: 100 });
    m.join('a');
    m.submit(tasks(1));
    m.cancel(0);
    m.at.now = 99;
    m.beat('a');
    expect(reported(m.tick())).toEqual([]);
    m.at.now = 100;
    expect(reported(m.tick())).toEqual(['KILLED 0']);
    expect(m.state.capacity().credit).toBe(2);
    m.status('a', 0, 1, 'FINISHED');
    expect(m.state.stats()).toMatchObject({ fenced: 1, failed: 1, finished: 0 });
  });

  test('cancelling what has ended or never was changes nothing', () => {
    const m = machine();
    m.join('a');
    m.submit(tasks(1));
    m.status('a', 0, 1, 'FINISHED');
    expect([...m.cancel(0), ...m.cancel(77)]).toEqual([]);
  });

  test('ten thousand cancels leave nothing behind', () => {
    const m = machine();
    m.join('a', { slots: 100 });
    m.submit(tasks(10_000));
    for (let i = 0; i < 10_000; i++) m.cancel(i);
    for (let i = 0; i < 200; i++) m.status('a', i, 1, 'KILLED');
    expect(m.state.live).toBe(0);
    expect([...m.state.liveTasks()]).toEqual([]);
    expect(m.state.capacity()).toEqual({ slots: 100, credit: 200, workers: 1 });
    expect(m.state.stats().failed).toBe(10_000);
  });
});

describe('draining', () => {
  test('a draining worker gets nothing new, and gets work again when it says that it no longer drains', () => {
    const m = machine();
    m.join('a');
    m.join('b', {}, DRAINING);
    expect(sent(m.submit(tasks(4)))).toEqual(['a:0@1', 'a:1@1']);
    expect(m.state.capacity()).toEqual({ slots: 1, credit: 0, workers: 2 });
    expect(sent(m.beat('b'))).toEqual(['b:2@1', 'b:3@1']);
  });

  test('a worker without slots is never given a task', () => {
    const m = machine();
    m.join('none', { slots: 0 });
    expect(only('handBack', m.submit(tasks(1)))).toHaveLength(1);
  });
});

describe('blobs', () => {
  test('a blob is named once per worker', () => {
    const m = machine({ queueDepth: 4 });
    m.join('a');
    expect(only('send', m.submit(tasks(2, { commons: ['h1', 'h2'] })))).toMatchObject([{ blobs: ['h1', 'h2'] }]);
    expect(only('send', m.submit(tasks(1, { commons: ['h2', 'h3'] }, 2)))).toMatchObject([{ blobs: ['h3'] }]);
    m.join('b');
    expect(only('send', m.submit(tasks(1, { commons: ['h1'] }, 3)))).toMatchObject([{ workerId: 'b', blobs: ['h1'] }]);
  });

  test('a worker that lacks a blob is sent it again', () => {
    const m = machine();
    m.join('a');
    m.submit(tasks(1, { commons: ['h1'] }));
    expect(m.missing('a', 'h1')).toEqual([{ type: 'send', workerId: 'a', blobs: ['h1'], tasks: [] }]);
    expect(m.missing('stranger', 'h1')).toEqual([]);
  });

  test('when the blob can no longer be had, the tasks that wait for it fail with a coded error', () => {
    const m = machine({ holdsBlob: (hash) => hash !== 'gone' });
    m.join('a', { slots: 4 });
    m.submit([...tasks(2, { commons: ['gone'] }), ...tasks(1, { commons: ['here'] }, 2)]);
    const effects = m.missing('a', 'gone');
    expect(reported(effects)).toEqual(['FAILED 0', 'FAILED 1']);
    expect(failure(effects).code).toBe('SP_DISPATCHER_BLOB_UNAVAILABLE');
    expect(only('cancelOnWorker', effects)).toHaveLength(2);
    expect(m.state.live).toBe(1);
  });
});
