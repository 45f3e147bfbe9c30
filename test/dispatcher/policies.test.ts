import { describe, expect, test } from 'vitest';
import { encodeFailure } from '../../src/protocol/failure.ts';
import type { ApplicationProfile } from '../../src/protocol/application.ts';
import { APP, IDLE, bytes, machine, notes, only, profiled, reported, sent, task, tasks } from './fixtures.ts';

describe('profiles', () => {
  test.each<[string, Omit<ApplicationProfile, 'application'>]>([
    ['weight', { weight: 0 }],
    ['maxLeases', { maxLeases: NaN }],
    ['speculation.quantile', { speculation: { quantile: 2 } }],
    ['verify.quorum', { verify: { quorum: 1 } }],
    ['verify.maxReplicas', { verify: { quorum: 3, maxReplicas: 2 } }],
    ['verify.comparator', { verify: { comparator: 'unheard-of' } }],
  ])('one with a bad %s is refused, and what was said before stays', (field, profile) => {
    const m = profiled({ maxLeases: 1 });
    expect(() => m.handle({ type: 'application', profile: { application: APP, ...profile } })).toThrow(
      expect.objectContaining({ code: 'SP_DISPATCHER_BAD_PROFILE', message: expect.stringContaining(field) as string }),
    );
    m.join('a');
    m.join('b');
    m.submit(tasks(1));
    expect(reported(m.leave('a'))).toEqual(['FAILED 0']);
  });
});

describe('health', () => {
  const health = { maxFailures: 2, excludeMs: 1000 };

  test('a host whose workers keep being lost is given nothing for a while, and let back', () => {
    const m = machine({ health, queueDepth: 1 });
    m.join('good', { host: 'm1' });
    m.join('bad1', { host: 'm2' });
    m.leave('bad1');
    m.join('bad2', { host: 'm2' });
    expect(notes(m.leave('bad2'))).toMatchObject([{ what: 'excluded', target: 'host m2', untilMs: 1000 }]);
    m.join('bad3', { host: 'm2' });
    expect(sent(m.submit(tasks(2)))).toEqual(['good:0@1']);
    m.at.now = 1000;
    m.beat('bad3');
    const effects = m.tick();
    expect(notes(effects)).toEqual([{ what: 'included', target: 'host m2', reason: 'its time is over' }]);
    expect(sent(effects)).toEqual(['bad3:1@1']);
  });

  test('what a task throws never counts, however often', () => {
    const m = machine({ health });
    m.join('a', { host: 'm1' });
    m.join('b', { host: 'm2' });
    for (let id = 0; id < 50; id++) {
      const [where] = sent(m.submit(tasks(1, {}, id))) as [string];
      expect(notes(m.status(where.slice(0, 1), id, 1, 'FAILED', encodeFailure(new Error('user bug'))))).toEqual([]);
    }
  });

  test('a task that takes down a second worker clears the hosts it ran on', () => {
    const m = machine({ health, queueDepth: 1, leaseMs: 1e6 });
    for (const [id, host] of [
      ['a', 'm1'],
      ['a2', 'm1'],
      ['b', 'm2'],
    ] as const)
      m.join(id, { host });
    m.submit(tasks(1));
    m.status('a', 0, 1, 'RUNNING');
    const [next] = sent(m.leave('a')) as [string];
    m.status(next.split(':')[0] as string, 0, 2, 'RUNNING');
    m.leave(next.split(':')[0] as string);
    // Both losses are the task's: two more on m1 would exclude it only if they still counted.
    m.join('x', { host: 'm1' });
    expect(notes(m.leave('x'))).toEqual([]);
  });

  test('the last worker is never excluded, and the excluded are let back when no other is left', () => {
    const m = machine({ health });
    for (let i = 0; i < 10; i++) {
      m.join(`w${i}`, { host: 'm1' });
      expect(notes(m.leave(`w${i}`))).toEqual([]);
    }
    const n = machine({ health });
    n.join('good', { host: 'm1' });
    for (const id of ['x', 'y']) {
      n.join(id, { host: 'm2' });
      n.leave(id);
    }
    n.join('z', { host: 'm2' });
    n.leave('good', 'left');
    const effects = n.submit(tasks(1));
    expect(notes(effects)).toMatchObject([{ what: 'included', target: 'host m2' }]);
    expect(sent(effects)).toEqual(['z:0@1']);
  });
});

describe('retries and poison', () => {
  test('a task that was lost twice waits, twice as long each time', () => {
    const m = profiled({ retryBackoffMs: 100, retryBackoffMaxMs: 150, maxLeases: 9 });
    m.join('spare');
    m.join('w1');
    m.handle({ type: 'drain', workerId: 'spare', drain: true });
    m.submit(tasks(1));
    const lose = (id: string, next: string): string[] => {
      m.join(next);
      return sent(m.leave(id));
    };
    expect(lose('w1', 'w2')).toEqual(['w2:0@2']);
    expect(lose('w2', 'w3')).toEqual([]);
    m.at.now = 99;
    expect(sent(m.tick())).toEqual([]);
    m.at.now = 100;
    expect(sent(m.tick())).toEqual(['w3:0@3']);
    expect(lose('w3', 'w4')).toEqual([]);
    m.at.now = 249;
    expect(sent(m.tick())).toEqual([]);
    m.at.now = 250;
    expect(sent(m.tick())).toEqual(['w4:0@4']);
  });

  /** Takes its workers down until it is parked. */
  function poison(how: 'fail' | 'hold') {
    const m = profiled({ poison: how, maxLeases: 2, retryBackoffMs: 0 });
    m.join('a');
    m.join('b');
    m.submit(tasks(1));
    m.at.now = 10;
    m.status('a', 0, 1, 'RUNNING');
    m.leave('a');
    m.at.now = 20;
    m.join('c');
    m.status('b', 0, 2, 'RUNNING');
    return { m, effects: m.leave('b') };
  }
  const story = [
    { workerId: 'a', epoch: 1, startMs: 0, endMs: 10, why: 'lost with a: expired' },
    { workerId: 'b', epoch: 2, startMs: 10, endMs: 20, why: 'lost with b: expired' },
  ];

  test('poison is parked with its story, and its application is told', () => {
    const { m, effects } = poison('fail');
    expect(reported(effects)).toEqual(['FAILED 0']);
    expect(m.state.parked()).toEqual([{ application: APP, taskId: 0, name: task(0).name, parkedMs: 20, held: false, leases: story }]);
    expect(notes(effects)).toMatchObject([{ what: 'parked', task: { held: false } }]);
    m.handle({ type: 'parked', application: APP, taskId: 0, command: 'retry' });
    expect(m.state.parked()).toHaveLength(1);
    m.handle({ type: 'parked', application: APP, taskId: 0, command: 'drop' });
    expect(m.state.parked()).toEqual([]);
    expect(m.state.stats()).toMatchObject({ parked: 1, failed: 1 });
  });

  test('held poison waits for an operator, who runs it again', () => {
    const { m, effects } = poison('hold');
    expect(reported(effects)).toEqual([]);
    expect(m.state.live).toBe(1);
    expect(m.state.parked()).toMatchObject([{ held: true, leases: story }]);
    expect(sent(m.handle({ type: 'parked', application: APP, taskId: 0, command: 'retry' }))).toEqual(['c:0@3']);
    expect(m.state.parked()).toEqual([]);
    expect(reported(m.status('c', 0, 3, 'FINISHED'))).toEqual(['FINISHED 0']);
  });

  test('or drops it, or its application cancels it, or ends', () => {
    const dropped = poison('hold').m;
    expect(reported(dropped.handle({ type: 'parked', application: APP, taskId: 0, command: 'drop' }))).toEqual(['FAILED 0']);
    const cancelled = poison('hold').m;
    expect(reported(cancelled.cancel(0))).toEqual(['KILLED 0']);
    expect(cancelled.state.parked()).toEqual([]);
    const ended = poison('hold').m;
    expect(reported(ended.handle({ type: 'cancelApplication', application: APP, reason: 'it has ended' }))).toEqual(['KILLED 0']);
    expect(ended.state.live).toBe(0);
  });

  test('a thousand parked stories are kept, not more', () => {
    const m = profiled({ maxLeases: 1 });
    m.join('w');
    for (let i = 0; i < 1100; i++) {
      m.join(`w${i}`);
      m.submit(tasks(1, {}, i));
      m.leave(i === 0 ? 'w' : `w${i - 1}`);
    }
    expect(m.state.parked()).toHaveLength(1000);
  });
});

describe('placement', () => {
  test('required labels and hosts are kept, and tasks wait for such a worker without holding up others', () => {
    const m = profiled({ placement: { requiredLabels: { disk: 'ssd' } } });
    m.join('plain');
    expect(m.submit(tasks(40)).filter(({ type }) => type !== 'capacity')).toEqual([]);
    expect(sent(m.submit([{ application: 'other', task: task(0) }]))).toEqual(['plain:0@1']);
    expect(sent(m.join('fast', { labels: { disk: 'ssd' }, slots: 2 }))).toEqual(['fast:0@1', 'fast:1@1', 'fast:2@1', 'fast:3@1']);
    expect(only('handBack', m.leave('fast', 'left'))).toEqual([]);
    expect(only('handBack', m.leave('plain', 'left')).flatMap(({ tasks: back }) => back)).toHaveLength(41);
    expect(m.state.live).toBe(0);
  });

  test('a preferred worker is taken while it has credit, then any other', () => {
    const m = profiled({ placement: { preferredHosts: ['m2'] } });
    m.join('a', { host: 'm1' });
    m.join('b', { host: 'm2' });
    expect(sent(m.submit(tasks(3))).sort()).toEqual(['a:2@1', 'b:0@1', 'b:1@1']);
    const l = profiled({ placement: { preferredLabels: { zone: 'x' } } });
    l.join('a');
    l.join('b', { labels: { zone: 'x' } });
    expect(sent(l.submit(tasks(2)))).toEqual(['b:0@1', 'b:1@1']);
  });
});

describe('operators', () => {
  test('a worker that is drained gets nothing new, is told of when it is empty, and works again when asked', () => {
    const m = machine();
    m.join('a');
    m.join('b');
    m.submit(tasks(1));
    expect(only('drained', m.handle({ type: 'drain', workerId: 'a', drain: true }))).toEqual([]);
    expect(sent(m.submit(tasks(2, {}, 1)))).toEqual(['b:1@1', 'b:2@1']);
    expect(only('drained', m.status('a', 0, 1, 'FINISHED'))).toEqual([{ type: 'drained', workerId: 'a' }]);
    expect(m.state.stats().workers.find(({ id }) => id === 'a')).toMatchObject({ draining: true, alive: true });
    m.submit(tasks(1, {}, 3));
    expect(sent(m.handle({ type: 'drain', workerId: 'a', drain: false }))).toEqual(['a:3@1']);
    expect(only('drained', m.handle({ type: 'drain', workerId: 'nobody', drain: true }))).toEqual([]);
  });

  test('an application is killed whole, wherever its tasks are, and leaves nothing', () => {
    const m = machine();
    m.join('a');
    m.handle({ type: 'stages', application: APP, stages: [{ stageId: 0, parents: [], tasksRemaining: 5, meanMs: 1 }] });
    m.submit([...tasks(5), { application: 'other', task: task(0) }]);
    const effects = m.handle({ type: 'cancelApplication', application: APP, reason: 'an operator asked' });
    expect(reported(effects)).toEqual(['KILLED 2', 'KILLED 3', 'KILLED 4']);
    expect(only('cancelOnWorker', effects)).toHaveLength(2);
    expect([...m.status('a', 0, 1, 'KILLED'), ...m.status('a', 1, 1, 'KILLED')].filter(({ type }) => type === 'report')).toHaveLength(2);
    expect([...m.state.liveTasks()]).toEqual([{ application: 'other', taskId: 0 }]);
  });
});

describe('a leader of a later term', () => {
  const T = 2 ** 32;
  const held = (taskId: number, epoch: number) => ({ application: APP, taskId, epoch });

  test('leases under higher epochs than any before, which stay whole numbers', () => {
    const m = machine({ term: 2 ** 20 });
    m.join('a');
    const [leased] = only('send', m.submit(tasks(1)))[0]?.tasks ?? [];
    expect(leased?.epoch).toBe(2 ** 52 + 1);
    expect(Number.isSafeInteger(leased?.epoch)).toBe(true);
    expect(() => machine({ term: 1.5 })).toThrow(expect.objectContaining({ code: 'SP_DISPATCHER_BAD_OPTION' }));
  });

  test('takes over what workers hold when the application submits it again, and runs it once', () => {
    const m = machine({ term: 2 });
    m.handle({
      type: 'workerJoined',
      worker: { kind: 'worker', id: 'a', host: 'h', pid: 1, version: '', slots: 1, kinds: ['js'], labels: {}, queue: 'q' },
      load: IDLE,
      holding: [held(0, T + 5)],
    });
    expect(sent(m.submit(tasks(1)))).toEqual([]);
    expect(m.state.stats()).toMatchObject({ adopted: 1 });
    expect(reported(m.status('a', 0, T + 5, 'FINISHED'))).toEqual(['FINISHED 0']);
    expect(m.status('a', 0, T + 5, 'FINISHED')).toEqual([]);
    expect(m.state.live).toBe(0);
  });

  test('also when the submission comes first, and when the task has ended meanwhile', () => {
    const m = machine({ term: 1, queueDepth: 1 });
    m.join('a');
    m.submit(tasks(1, {}, 9));
    m.submit(tasks(1));
    m.handle({ type: 'workerBeat', workerId: 'a', load: IDLE, holding: [held(0, 3)] });
    expect(m.state.stats().adopted).toBe(1);
    const early = machine({ term: 1 });
    early.join('a');
    expect(early.status('a', 0, 3, 'RUNNING')).toEqual([]);
    expect(early.status('a', 0, 3, 'FINISHED', bytes(4))).toEqual([]);
    const effects = early.submit(tasks(1));
    expect(sent(effects)).toEqual([]);
    expect(only('report', effects)).toMatchObject([{ update: { state: 'FINISHED', data: bytes(4) } }]);
  });

  test('ends what nobody asks for, and what it has given to others', () => {
    const m = machine({ term: 1, leaseMs: 100 });
    m.join('a');
    m.handle({ type: 'workerBeat', workerId: 'a', load: IDLE, holding: [held(7, 1)] });
    m.at.now = 100;
    m.beat('a');
    expect(only('cancelOnWorker', m.tick())).toEqual([]);
    m.at.now = 200;
    m.beat('a');
    m.at.now = 201;
    expect(only('cancelOnWorker', m.tick())).toMatchObject([{ workerId: 'a', taskId: 7, epoch: 1 }]);
    const n = machine({ term: 1 });
    n.join('a');
    n.submit(tasks(1));
    n.join('b');
    expect(only('cancelOnWorker', n.handle({ type: 'workerBeat', workerId: 'b', load: IDLE, holding: [held(0, 2)] }))).toMatchObject([
      { workerId: 'b', epoch: 2 },
    ]);
    n.status('b', 0, 2, 'FINISHED');
    expect(n.state.stats()).toMatchObject({ fenced: 1, finished: 0 });
  });

  test('a worker that is lost takes what it held along', () => {
    const m = machine({ term: 1 });
    m.join('a');
    m.handle({ type: 'workerBeat', workerId: 'a', load: IDLE, holding: [held(0, 2)] });
    m.leave('a');
    m.join('b');
    expect(sent(m.submit(tasks(1)))).toEqual([`b:0@${T + 1}`]);
  });

  test('the machine of one application adopts nothing', () => {
    const m = machine();
    m.join('a');
    expect(m.handle({ type: 'workerBeat', workerId: 'a', load: IDLE, holding: [held(0, 5)] })).toEqual([]);
    expect(sent(m.submit(tasks(1)))).toEqual(['a:0@1']);
  });
});
