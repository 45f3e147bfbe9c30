import { describe, expect, test } from 'vitest';
import { decodeFailure } from '../../src/protocol/failure.ts';
import { randomSelector } from '../../src/selectors/index.ts';
import { ApplicationEntry, resolveProfile } from '../../src/dispatcher/applications.ts';
import { TaskEntry } from '../../src/dispatcher/task-entry.ts';
import { APP, IDLE, machine, only, reported, sent, task, tasks } from './fixtures.ts';

const failure = (effects: Parameters<typeof only>[1]): Error & { code?: string } => decodeFailure(only('report', effects).at(-1)?.update.data as Uint8Array);

describe('leasing', () => {
  test('tasks go to workers with credit, first submitted first, and the rest wait', () => {
    const m = machine({ queueDepth: 2 });
    m.join('a');
    expect(sent(m.submit(tasks(3)))).toEqual(['a:0@1', 'a:1@1']);
    expect(m.state.capacity()).toEqual({ slots: 1, credit: 0, workers: 1 });
    expect(sent(m.status('a', 0, 1, 'FINISHED'))).toEqual(['a:2@1']);
  });

  test('all tasks an event sends to a worker are one effect', () => {
    const m = machine();
    m.join('a', { slots: 8 });
    const effects = m.submit(tasks(16));
    expect(only('send', effects)).toHaveLength(1);
    expect(sent(effects)).toHaveLength(16);
  });

  test('a worker that joins later is given what waits', () => {
    const m = machine();
    m.join('a');
    m.submit(tasks(5));
    expect(sent(m.join('b'))).toEqual(['b:2@1', 'b:3@1']);
  });

  test('tasks go only to workers that have a runner of their kind, and a kind without credit holds up no other', () => {
    const m = machine({ queueDepth: 1 });
    m.join('js');
    m.join('both', { kinds: ['js', 'spark'] });
    m.submit([...tasks(1, { kind: 'spark' }, 10), ...tasks(1, { kind: 'spark' }, 11)]);
    expect(sent(m.submit(tasks(2)))).toEqual(['js:0@1']);
    expect(sent(m.status('both', 10, 1, 'FINISHED'))).toEqual(['both:1@1']);
    expect(sent(m.status('both', 1, 1, 'FINISHED'))).toEqual(['both:11@1']);
  });

  test('tasks of a kind that is not counted need no credit and take none', () => {
    const m = machine({ queueDepth: 1, selector: { name: 'FIRST', uncounted: ['spark'], select: (_task, hosts) => hosts[0] } });
    m.join('both', { kinds: ['js', 'spark'] });
    expect(sent(m.submit(tasks(2)))).toEqual(['both:0@1']);
    expect(sent(m.submit(tasks(3, { kind: 'spark' }, 10)))).toEqual(['both:10@1', 'both:11@1', 'both:12@1']);
    expect(m.state.capacity()).toMatchObject({ slots: 1, credit: 0 });
    expect(sent(m.status('both', 10, 1, 'FINISHED'))).toEqual([]);
    expect(sent(m.status('both', 0, 1, 'FINISHED'))).toEqual(['both:1@1']);
    expect(m.state.stats().workers[0]).toMatchObject({ outstanding: 3 });
    m.status('both', 1, 1, 'FINISHED');
    expect(m.state.capacity()).toMatchObject({ slots: 1, credit: 1 });
    // Nor is it given back what it did not take when the worker is lost.
    m.leave('both');
    m.join('both', { kinds: ['js', 'spark'] });
    expect(m.state.capacity()).toMatchObject({ slots: 1, credit: 1 });
  });

  test('a selector may leave a task waiting without holding up the ones behind it', () => {
    let open = false;
    const m = machine({ selector: { name: 'PICKY', select: (t, hosts) => (t.taskId === 0 && !open ? undefined : hosts[0]) } });
    m.join('a', { slots: 4 });
    expect(sent(m.submit(tasks(3)))).toEqual(['a:1@1', 'a:2@1']);
    open = true;
    expect(sent(m.tick())).toEqual(['a:0@1']);
  });

  test.each([
    [
      'throws',
      () => {
        throw new Error('selector bug');
      },
      'SP_DISPATCHER_SELECTOR_FAILED',
    ],
    ['chooses a stranger', () => ({ id: 'stranger' }) as never, 'SP_DISPATCHER_BAD_SELECTION'],
    ['chooses null', () => null as never, 'SP_DISPATCHER_BAD_SELECTION'],
  ])('a selector that %s is reported, and no task is lost to it', (_what, select, code) => {
    const faults: Error[] = [];
    const m = machine({ selector: { name: 'BAD', select }, onFault: (error) => faults.push(error) });
    m.join('a');
    expect(sent(m.submit(tasks(1)))).toEqual(['a:0@1']);
    expect(faults).toEqual([expect.objectContaining({ code })]);
  });

  test('capacity is said when it has changed, and only then', () => {
    const m = machine();
    expect(only('capacity', m.join('a', { slots: 2 }))).toEqual([{ type: 'capacity', slots: 2, credit: 4 }]);
    expect(only('capacity', m.beat('a'))).toEqual([]);
    expect(only('capacity', m.submit(tasks(6)))).toEqual([{ type: 'capacity', slots: 2, credit: 0 }]);
    expect(only('capacity', m.status('a', 0, 1, 'FINISHED'))).toEqual([]);
    expect(only('capacity', m.leave('a'))).toEqual([{ type: 'capacity', slots: 0, credit: 0 }]);
  });

  test('a submission that is repeated while it is live changes nothing', () => {
    const m = machine();
    m.join('a', { slots: 4 });
    m.submit(tasks(1));
    expect(m.submit(tasks(1))).toEqual([]);
    expect(m.state.stats().submitted).toBe(1);
  });
});

describe('statuses', () => {
  test('the worker that holds the lease ends the task, and RUNNING is passed on once', () => {
    const m = machine();
    m.join('a');
    m.submit(tasks(1));
    expect(reported(m.status('a', 0, 1, 'RUNNING'))).toEqual(['RUNNING 0']);
    expect(reported(m.status('a', 0, 1, 'RUNNING'))).toEqual([]);
    const data = Uint8Array.of(1, 2, 3);
    const effects = m.status('a', 0, 1, 'FINISHED', data);
    expect(only('report', effects)).toEqual([{ type: 'report', application: APP, update: { taskId: 0, state: 'FINISHED', executorId: 'a', data } }]);
    expect(m.state.live).toBe(0);
  });

  test.each(['FINISHED', 'FAILED', 'KILLED'] as const)('a repeated %s is ignored and is not counted as fenced', (state) => {
    const m = machine();
    m.join('a');
    m.submit(tasks(1));
    expect(reported(m.status('a', 0, 1, state))).toEqual([`${state} 0`]);
    expect(m.status('a', 0, 1, state)).toEqual([]);
    expect(m.status('a', 0, 1, 'RUNNING')).toEqual([]);
    expect(m.state.stats().fenced).toBe(0);
    expect(m.state.repeats.duplicates).toBe(2);
  });

  test('a status of an unknown task, worker or epoch to come changes nothing', () => {
    const m = machine();
    m.join('a');
    m.submit(tasks(1));
    expect(m.status('a', 99, 1, 'FINISHED')).toEqual([]);
    expect(m.status('b', 0, 1, 'FINISHED')).toEqual([]);
    expect(m.status('a', 0, 2, 'FINISHED')).toEqual([]);
    expect(m.state.live).toBe(1);
  });

  test('a worker that returns a task gets nothing more until it says that it does not drain', () => {
    const m = machine();
    m.join('a');
    m.join('b');
    expect(sent(m.submit(tasks(1)))).toEqual(['a:0@1']);
    expect(sent(m.status('a', 0, 1, 'LOST'))).toEqual(['b:0@2']);
    m.submit(tasks(3, {}, 1));
    expect(m.state.capacity()).toMatchObject({ slots: 1, credit: 0 });
    expect(sent(m.beat('a', IDLE))).toEqual(['a:2@1', 'a:3@1']);
  });
});

describe('lost leases', () => {
  test('what a lost worker held goes elsewhere under the next epoch, ahead of what was submitted later, in order', () => {
    const m = machine({ selector: randomSelector(() => 0) });
    m.join('a', { slots: 2 });
    m.join('b');
    expect(sent(m.submit(tasks(8)))).toEqual(['a:0@1', 'a:1@1', 'a:2@1', 'a:3@1', 'b:4@1', 'b:5@1']);
    const lost = m.leave('a');
    expect(lost[0]).toEqual({ type: 'workerLost', workerId: 'a', reason: 'expired' });
    expect(sent(lost)).toEqual([]);
    const next: string[] = [];
    for (const [id, epoch] of [
      [4, 1],
      [5, 1],
      [0, 2],
      [1, 2],
      [2, 2],
      [3, 2],
    ] as const)
      next.push(...sent(m.status('b', id, epoch, 'FINISHED')));
    expect(next).toEqual(['b:0@2', 'b:1@2', 'b:2@2', 'b:3@2', 'b:6@1', 'b:7@1']);
    expect(m.state.stats().retried).toBe(4);
  });

  test('a late result of a lost lease is refused and counted, and does not end the new lease', () => {
    const m = machine();
    m.join('a');
    m.join('b');
    m.submit(tasks(1));
    expect(sent(m.leave('a'))).toEqual(['b:0@2']);
    expect(m.status('a', 0, 1, 'FINISHED')).toEqual([]);
    expect(m.state.stats().fenced).toBe(1);
    expect(reported(m.status('b', 0, 2, 'FINISHED'))).toEqual(['FINISHED 0']);
    expect(m.status('a', 0, 1, 'FINISHED')).toEqual([]);
    expect(m.state.stats()).toMatchObject({ fenced: 2, finished: 1 });
  });

  test('beats renew leases, and a worker whose beats stop loses them at the next tick', () => {
    const m = machine({ leaseMs: 100 });
    m.join('a');
    m.join('b');
    m.submit(tasks(1));
    m.at.now = 90;
    m.beat('a', { running: 1, queued: 0, draining: false });
    m.beat('b');
    m.at.now = 150;
    m.beat('b');
    expect(m.tick()).toEqual([]);
    m.at.now = 191;
    const effects = m.tick();
    expect(effects).toContainEqual({ type: 'workerLost', workerId: 'a', reason: 'no beat for 101 ms' });
    expect(effects).toContainEqual({ type: 'cancelOnWorker', workerId: 'a', application: APP, taskId: 0, epoch: 1, reason: 'its lease has expired' });
    expect(sent(effects)).toEqual(['b:0@2']);
  });

  test('a worker that beats again after it was lost is a new one: no leases, all its credit, no blobs', () => {
    const m = machine({ leaseMs: 100 });
    m.join('a');
    m.join('b');
    m.submit(tasks(1, { commons: ['h1'] }));
    m.at.now = 101;
    m.beat('b');
    m.tick();
    expect(m.state.capacity().workers).toBe(1);
    m.beat('a');
    expect(m.state.capacity()).toMatchObject({ workers: 2, slots: 2, credit: 3 });
    expect(only('send', m.submit(tasks(1, { commons: ['h1'] }, 1)))).toMatchObject([{ workerId: 'a', blobs: ['h1'] }]);
    expect(m.status('a', 0, 1, 'FINISHED')).toEqual([]);
    expect(m.state.stats().fenced).toBe(1);
  });

  test('a worker that has left does not come back by a late beat', () => {
    const m = machine();
    m.join('a');
    m.leave('a', 'left');
    m.beat('a');
    expect(m.state.capacity().workers).toBe(0);
  });

  test('a stale worker that says it has started is told to stop', () => {
    const m = machine();
    m.join('a');
    m.join('b');
    m.submit(tasks(1));
    m.leave('a');
    m.join('a');
    expect(m.status('a', 0, 1, 'RUNNING')).toEqual([
      { type: 'cancelOnWorker', workerId: 'a', application: APP, taskId: 0, epoch: 1, reason: 'its lease has ended' },
    ]);
  });

  test('a task that is lost with its worker four times fails with the story of where', () => {
    const m = machine();
    m.submit([]);
    m.join('spare', { kinds: ['other'] });
    m.join('w1');
    m.submit(tasks(1));
    for (let i = 1; i <= 3; i++) {
      m.join(`w${i + 1}`);
      m.status(`w${i}`, 0, i, 'RUNNING');
      expect(sent(m.leave(`w${i}`))).toEqual([`w${i + 1}:0@${i + 1}`]);
    }
    m.join('w5');
    const effects = m.leave('w4');
    expect(reported(effects)).toEqual(['FAILED 0']);
    expect(sent(effects)).toEqual([]);
    const error = failure(effects);
    expect(error.code).toBe('SP_DISPATCHER_LEASES_EXHAUSTED');
    for (const worker of ['w1', 'w2', 'w3', 'w4']) expect(error.message).toContain(`leased to ${worker}`);
    expect(error.message).toContain('TID 0');
    expect(m.status('w4', 0, 4, 'FINISHED')).toEqual([]);
    expect(m.state.stats()).toMatchObject({ failed: 1, fenced: 1, retried: 3 });
  });

  test('workers that leave in good order are not counted against their tasks', () => {
    const m = machine({ maxLeases: 2 });
    m.join('w0');
    m.submit(tasks(1));
    for (let i = 0; i < 10; i++) {
      m.join(`w${i + 1}`);
      expect(sent(m.leave(`w${i}`, 'left'))).toEqual([`w${i + 1}:0@${i + 2}`]);
    }
  });

  test('a task goes elsewhere than where it was lost, when it can', () => {
    let open = true;
    // Wants `a` whenever it is offered.
    const m = machine({ leaseMs: 100, selector: { name: 'A', select: (_t, hosts) => (open ? (hosts.find((h) => h.id === 'a') ?? hosts[0]) : undefined) } });
    m.join('a');
    m.join('b');
    expect(sent(m.submit(tasks(1)))).toEqual(['a:0@1']);
    m.at.now = 101;
    open = false;
    m.beat('b');
    m.tick();
    m.beat('a');
    open = true;
    expect(sent(m.tick())).toEqual(['b:0@2']);
    m.leave('b');
    expect(m.state.capacity()).toMatchObject({ workers: 1, credit: 1 });
  });

  test('a task submitted again after it ended is leased under an epoch it never had', () => {
    const m = machine();
    m.join('a');
    m.join('b');
    m.submit(tasks(1));
    m.leave('a');
    m.status('b', 0, 2, 'FINISHED');
    expect(sent(m.submit(tasks(1)))).toEqual(['b:0@3']);
  });

  test('what was lost in the network is sent again under the same epoch once the worker keeps saying that it holds less', () => {
    const m = machine({ leaseMs: 100, resendAfterMs: 50 });
    m.join('a', { slots: 2 });
    m.submit(tasks(2));
    const busy = { running: 1, queued: 0, draining: false };
    m.at.now = 10;
    m.beat('a', busy);
    expect(m.tick()).toEqual([]);
    m.at.now = 59;
    m.beat('a', busy);
    expect(m.tick()).toEqual([]);
    m.at.now = 60;
    expect(sent(m.tick())).toEqual(['a:0@1', 'a:1@1']);
    m.at.now = 70;
    m.beat('a', { running: 2, queued: 0, draining: false });
    m.at.now = 150;
    expect(m.tick()).toEqual([]);
    expect(m.state.repeats.resent).toBe(2);
    expect(m.state.capacity().credit).toBe(2);
  });
});

test('a transition that cannot be is refused with the story of the task', () => {
  const owner = new ApplicationEntry(APP, resolveProfile({ application: APP }, { maxLeases: 4, retryBackoffMs: 0 }));
  const entry = new TaskEntry(owner, task(7), 0, 0);
  entry.epoch = 1;
  entry.leasedAt = 12.4;
  entry.lastWorkerId = 'w1';
  entry.transition('LEASED', 12.4, 'leased to w1');
  entry.transition('RUNNING', 15, 'started by w1');
  entry.lost(15, 'it crashed');
  expect(() => entry.transition('LEASED', 20, 'again')).toThrow(
    expect.objectContaining({
      code: 'SP_DISPATCHER_INVALID_TRANSITION',
      message: expect.stringMatching(/TID 7.*RUNNING to LEASED\n.*epoch 1: leased to w1 at 12 ms, ended at 15 ms: it crashed\n.*20 ms: again/) as string,
    }),
  );
  expect(entry.phase).toBe('RUNNING');
});

test('options that make no sense are refused', () => {
  for (const option of ['leaseMs', 'maxLeases', 'queueDepth', 'resendAfterMs', 'fenceLimit'] as const) {
    expect(() => machine({ [option]: 0 })).toThrow(expect.objectContaining({ code: 'SP_DISPATCHER_BAD_OPTION' }));
  }
});

test('stats name live and departed workers with what they did', () => {
  const m = machine();
  m.join('a');
  m.join('b');
  m.submit(tasks(2));
  m.status('a', 0, 1, 'FINISHED');
  m.status('b', 1, 1, 'FAILED');
  m.leave('b', 'left');
  expect(m.state.stats()).toMatchObject({
    submitted: 2,
    finished: 1,
    failed: 1,
    retried: 0,
    fenced: 0,
    handedBack: 0,
    workers: [
      { id: 'b', host: 'localhost', pid: 1, slots: 1, finished: 0, failed: 1, alive: false, outstanding: 0, draining: false, excluded: false },
      { id: 'a', host: 'localhost', pid: 1, slots: 1, finished: 1, failed: 0, alive: true, outstanding: 0, draining: false, excluded: false },
    ],
  });
  for (let i = 0; i < 200; i++) {
    m.join(`x${i}`);
    m.leave(`x${i}`);
  }
  expect(m.state.stats().workers.length).toBeLessThan(70);
});

test('a million waiting tasks cost the same per event as a few', () => {
  const m = machine();
  m.join('a');
  m.submit(tasks(1_000_000, { name: 'one of many' }));
  // O(n) per event would be 2e4 events x 1e6 steps: this would not end within the time-out.
  for (let i = 0; i < 10_000; i++) m.status('a', i, 1, 'FINISHED');
  for (let i = 500_000; i < 510_000; i++) m.cancel(i);
  expect(m.state.live).toBe(980_000);
});
