import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeFailure } from '../../src/protocol/failure.ts';
import type { LeasedTask } from '../../src/protocol/messages.ts';
import { EMPTY_BYTES } from '../../src/protocol/task.ts';
import { BlobCache } from '../../src/worker/blob-cache.ts';
import { RecentAnswers } from '../../src/worker/recent.ts';
import { HeldTasks, type Frame, type HeldTask } from '../../src/worker/tasks.ts';
import { APP, task } from '../dispatcher/fixtures.ts';

const leased = (taskId: number, epoch = 1, commons: readonly string[] = []): LeasedTask => ({ application: APP, epoch, task: task(taskId, { commons }) });

function setUp(slots = 2, blobs = new BlobCache(1000)) {
  const running = new Map<string, HeldTask>();
  const killed: string[] = [];
  const answers: string[] = [];
  const asked: string[] = [];
  let settled = 0;
  let mostRunning = 0;
  const frame: Frame = { sender: 'd1', replyTo: 'dispatcher.d1', settle: () => void settled++ };
  const name = (l: LeasedTask): string => `${l.task.taskId}@${l.epoch}`;
  const held: HeldTasks = new HeldTasks({
    worker: 'w1',
    capacity: () => slots,
    blobs,
    run: (h) => {
      running.set(name(h.leased), h);
      mostRunning = Math.max(mostRunning, running.size);
    },
    kill: (h) => void killed.push(name(h.leased)),
    answer: (f, l, state) => {
      answers.push(`${state} ${name(l)}`);
      f.settle();
    },
    ask: (_replyTo, hash) => void asked.push(hash),
  });
  return {
    held,
    blobs,
    killed,
    answers,
    asked,
    running,
    settled: () => settled,
    mostRunning: () => mostRunning,
    offer: (...given: LeasedTask[]) => {
      for (const l of given) held.offer(l, frame);
      held.start();
    },
    end: (which: string, state: 'FINISHED' | 'FAILED' | 'KILLED' = 'FINISHED') => {
      const h = running.get(which) as HeldTask;
      running.delete(which);
      held.ended(h, state, EMPTY_BYTES);
    },
    began: () => [...running.keys()],
  };
}

describe('slots', () => {
  test('no more run than there are slots; the next begins when one ends', () => {
    const t = setUp(2);
    t.offer(leased(0), leased(1), leased(2));
    expect(t.began()).toEqual(['0@1', '1@1']);
    expect(t.held.load).toEqual({ running: 2, queued: 1, draining: false });
    t.end('0@1');
    expect(t.began()).toEqual(['1@1', '2@1']);
    expect(t.answers).toEqual(['FINISHED 0@1']);
  });
});

describe('repeats', () => {
  test('a lease that is held already is settled and not run again', () => {
    const t = setUp();
    t.offer(leased(0), leased(0));
    expect(t.began()).toEqual(['0@1']);
    expect(t.settled()).toBe(1);
  });

  test('a lease that has ended is answered again, not run again', () => {
    const t = setUp();
    t.offer(leased(0));
    t.end('0@1', 'FAILED');
    t.offer(leased(0));
    expect(t.began()).toEqual([]);
    expect(t.answers).toEqual(['FAILED 0@1', 'FAILED 0@1']);
    expect(t.settled()).toBe(2);
  });

  test('an older epoch than one seen is dropped', () => {
    const t = setUp();
    t.offer(leased(0, 3));
    t.offer(leased(0, 2));
    t.end('0@3');
    t.offer(leased(0, 1));
    expect(t.began()).toEqual([]);
    expect(t.answers).toEqual(['FINISHED 0@3']);
    expect(t.settled()).toBe(3);
  });

  test('a newer epoch ends the older attempt and begins only when that has stopped', () => {
    const t = setUp(4);
    t.offer(leased(0, 1));
    t.offer(leased(0, 2));
    expect(t.killed).toEqual(['0@1']);
    expect(t.began()).toEqual(['0@1']);
    // And one newer still, while the first has not stopped.
    t.offer(leased(0, 3));
    expect(t.answers).toEqual(['KILLED 0@2']);
    expect(t.began()).toEqual(['0@1']);
    t.end('0@1', 'KILLED');
    expect(t.began()).toEqual(['0@3']);
    t.end('0@3');
    expect(t.answers).toEqual(['KILLED 0@2', 'KILLED 0@1', 'FINISHED 0@3']);
    expect(t.held.load).toEqual({ running: 0, queued: 0, draining: false });
    t.offer(leased(0, 3));
    expect(t.answers.at(-1)).toBe('FINISHED 0@3');
  });
});

describe('blobs', () => {
  test('a task waits for its blobs, asks for them, and takes no slot meanwhile', () => {
    const t = setUp(1);
    t.offer(leased(0, 1, ['a', 'b']), leased(1));
    expect(t.asked).toEqual(['a', 'b']);
    expect(t.began()).toEqual(['1@1']);
    t.end('1@1');
    t.blobs.add('a', Uint8Array.of(1));
    t.held.blobArrived('a');
    t.held.start();
    expect(t.began()).toEqual([]);
    t.held.askAgain();
    expect(t.asked).toEqual(['a', 'b', 'b']);
    t.blobs.add('b', Uint8Array.of(2));
    t.held.blobArrived('b');
    t.held.start();
    expect(t.began()).toEqual(['0@1']);
  });

  test('blobs of tasks at work stay, others go, least recently used first', () => {
    const blobs = new BlobCache(20);
    const t = setUp(4, blobs);
    for (const hash of ['a', 'b']) blobs.add(hash, new Uint8Array(10));
    t.offer(leased(0, 1, ['a']));
    blobs.add('c', new Uint8Array(10));
    expect(['a', 'b', 'c'].map((hash) => blobs.has(hash))).toEqual([true, false, true]);
    t.end('0@1'); // the end of a use counts
    blobs.add('d', new Uint8Array(10));
    expect(['a', 'c', 'd'].map((hash) => blobs.has(hash))).toEqual([true, false, true]);
    expect(blobs.bytes).toBe(20);
  });

  test('a blob larger than the limit is kept as long as a task needs it', () => {
    const blobs = new BlobCache(20);
    const t = setUp(1, blobs);
    blobs.add('huge', new Uint8Array(100));
    t.offer(leased(0, 1, ['huge']));
    blobs.add('small', new Uint8Array(5));
    expect(blobs.has('huge')).toBe(true);
    t.end('0@1');
    expect(blobs.has('huge')).toBe(false);
  });

  test('the cache keeps a copy, not the frame', () => {
    const blobs = new BlobCache(100);
    const frame = new Uint8Array(1000).fill(1);
    blobs.add('a', frame.subarray(10, 20));
    frame.fill(2);
    expect(blobs.get('a')).toEqual(new Uint8Array(10).fill(1));
    expect((blobs.get('a') as Uint8Array).buffer.byteLength).toBe(10);
  });
});

describe('cancel, drain, forget', () => {
  test('what waits is killed at once, what runs by its runner, another epoch not at all', () => {
    const t = setUp(1);
    t.offer(leased(0), leased(1), leased(2, 1, ['missing']));
    t.held.cancel(APP, 0, 2, 'wrong epoch');
    expect(t.killed).toEqual([]);
    for (const id of [0, 1, 2]) t.held.cancel(APP, id, 1, 'enough');
    t.held.cancel(APP, 0, 1, 'again');
    expect(t.killed).toEqual(['0@1']);
    expect(t.answers).toEqual(['KILLED 1@1', 'KILLED 2@1']);
    t.end('0@1', 'KILLED');
    expect(t.answers).toHaveLength(3);
    expect(t.held.load.queued).toBe(0);
  });

  test('draining returns what has not begun and what still comes; abandoning returns the rest, and late ends are ignored', () => {
    const t = setUp(1);
    t.offer(leased(0), leased(1), leased(2, 1, ['missing']));
    t.held.drain('test');
    t.offer(leased(3));
    expect(t.answers).toEqual(['LOST 1@1', 'LOST 2@1', 'LOST 3@1']);
    expect(t.held.load).toEqual({ running: 1, queued: 0, draining: true });
    t.held.abandon('test');
    expect(t.killed).toEqual(['0@1']);
    expect(t.answers.at(-1)).toBe('LOST 0@1');
    t.end('0@1', 'KILLED');
    expect(t.answers).toHaveLength(4);
    expect(t.held.load.running).toBe(0);
    expect(t.settled()).toBe(4);
  });

  test('what a dispatcher that has gone had leased is ended, and nobody is told', () => {
    const t = setUp(1);
    t.offer(leased(0), leased(1));
    // One attempt waits for another: both are its.
    t.offer(leased(0, 2));
    t.held.forget('another');
    expect(t.held.load).toMatchObject({ running: 1, queued: 2 });
    t.held.forget('d1');
    expect(t.killed).toEqual(['0@1']);
    expect(t.answers).toEqual([]);
    expect(t.held.load).toMatchObject({ running: 0, queued: 0 });
    expect(t.settled()).toBe(3);
  });
});

test('whatever comes in whatever order: slots hold, one attempt of a task at a time, every offer is settled once', () => {
  const action = fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({ type: fc.constant('offer' as const), id: fc.nat(5), epoch: fc.integer({ min: 1, max: 4 }), commons: fc.subarray(['a', 'b']) }),
    },
    { weight: 4, arbitrary: fc.record({ type: fc.constant('end' as const), which: fc.nat() }) },
    { weight: 2, arbitrary: fc.record({ type: fc.constant('cancel' as const), id: fc.nat(5), epoch: fc.integer({ min: 1, max: 4 }) }) },
    { weight: 2, arbitrary: fc.record({ type: fc.constant('blob' as const), hash: fc.constantFrom('a', 'b') }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant('drain' as const), when: fc.nat(9) }) },
  );
  fc.assert(
    fc.property(fc.array(action, { maxLength: 80, size: 'max' }), (actions) => {
      // So small that blobs nobody pins are evicted by each other.
      const t = setUp(2, new BlobCache(1));
      let offers = 0;
      for (const a of actions) {
        if (a.type === 'offer') {
          offers++;
          t.offer(leased(a.id, a.epoch, a.commons));
        } else if (a.type === 'end') {
          const names = t.began();
          if (names.length > 0) t.end(names[a.which % names.length] as string);
        } else if (a.type === 'cancel') t.held.cancel(APP, a.id, a.epoch, 'test');
        else if (a.type === 'blob') {
          t.blobs.add(a.hash, Uint8Array.of(1));
          t.held.blobArrived(a.hash);
          t.held.start();
        } else if (a.when === 0) t.held.drain('test');
        expect(t.running.size).toBe(t.held.load.running);
        const ids = t.began().map((which) => which.split('@')[0]);
        expect(new Set(ids).size).toBe(ids.length);
      }
      t.held.abandon('end');
      expect(t.mostRunning()).toBeLessThanOrEqual(2);
      expect(t.settled()).toBe(offers);
      expect(t.held.load).toEqual({ running: 0, queued: 0, draining: true });
    }),
    { numRuns: 300 },
  );
});

test('the last answers are remembered within bounds of number and bytes, and never replaced by older ones', () => {
  const recent = new RecentAnswers(3, 100);
  const add = (taskId: number, bytes = 0, epoch = 1, app = APP): void => recent.add(app, taskId, { epoch, state: 'FINISHED', data: new Uint8Array(bytes) });
  const known = (taskIds: readonly number[], app = APP): boolean[] => taskIds.map((taskId) => recent.get(app, taskId) !== undefined);
  for (let taskId = 0; taskId < 7; taskId++) add(taskId);
  expect(known([0, 1, 2, 3, 4, 5, 6])).toEqual([false, false, false, true, true, true, true]);
  expect(known([6], 'another')).toEqual([false]);
  add(7, 101);
  expect(known([7])).toEqual([false]);
  // Each generation holds 100 bytes at most, so no more than the last two of these are there.
  for (let taskId = 10; taskId < 13; taskId++) add(taskId, 60);
  expect(known([6, 10, 11, 12])).toEqual([false, false, true, true]);
  // One that is said again counts once.
  for (let epoch = 2; epoch < 9; epoch++) add(12, 60, epoch);
  expect(known([11, 12])).toEqual([true, true]);
  recent.add(APP, 12, { epoch: 1, state: 'KILLED', data: EMPTY_BYTES });
  expect(recent.get(APP, 12)).toMatchObject({ state: 'FINISHED', epoch: 8 });
  // What cannot be kept leaves no older answer behind.
  add(12, 101, 9);
  expect(known([12])).toEqual([false]);
});

test('errors of tasks that were returned name the worker', () => {
  let data: Uint8Array = EMPTY_BYTES;
  const held = new HeldTasks({
    worker: 'w7',
    capacity: () => 1,
    blobs: new BlobCache(1),
    run: () => undefined,
    kill: () => undefined,
    ask: () => undefined,
    answer: (_f, _l, _s, d) => (data = d),
  });
  held.drain('maintenance');
  held.offer(leased(0), { sender: 'd', replyTo: 'q', settle: () => undefined });
  expect(decodeFailure(data)).toMatchObject({ code: 'SP_WORKER_DRAINED', message: expect.stringMatching(/TID 0.*w7.*maintenance/) as string });
});
