import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { resolveProfile, type OrderView, type ResolvedProfile } from '../../src/dispatcher/applications.ts';
import { ORDER_NAMES, orderFactory } from '../../src/dispatcher/orders.ts';
import type { WaitingTask } from '../../src/dispatcher/order.ts';
import type { ApplicationProfile } from '../../src/protocol/application.ts';
import { machine, sent, task } from './fixtures.ts';

const waiting = (application: string, sequence: number, stageId = 0): WaitingTask => ({
  application,
  task: task(sequence, { stageId }),
  sequence,
  before: undefined,
  after: undefined,
});

function world() {
  const profiles = new Map<string, ResolvedProfile>();
  const ranks = new Map<string, number>();
  const view = { version: 0, profile: (id: string) => profiles.get(id), rank: (id: string, stage: number) => ranks.get(`${id}/${stage}`) ?? 0 };
  return {
    view: view as OrderView,
    profile(profile: ApplicationProfile) {
      profiles.set(profile.application, resolveProfile(profile, { maxLeases: 4, retryBackoffMs: 0 }));
      view.version++;
    },
    rank(key: string, value: number) {
      ranks.set(key, value);
      view.version++;
    },
  };
}

test('an unknown order is refused with the list of the known', () => {
  expect(() => orderFactory('LIFO')).toThrow(
    expect.objectContaining({ code: 'SP_DISPATCHER_UNKNOWN_ORDER', message: expect.stringContaining('FIFO') as string }),
  );
});

describe.each(ORDER_NAMES)('%s', (name) => {
  test('gives back every task once, whatever is taken, put back, removed, leased and re-ranked in between', () => {
    const action = fc.record({
      what: fc.constantFrom('add', 'add', 'take', 'putBack', 'remove', 'lease', 'release', 'profile', 'rank'),
      which: fc.nat(),
    });
    fc.assert(
      fc.property(fc.array(action, { maxLength: 80, size: 'max' }), (actions) => {
        const w = world();
        const order = orderFactory(name)<WaitingTask>(w.view);
        const inside = new Set<WaitingTask>();
        const taken: WaitingTask[] = [];
        const leased: WaitingTask[] = [];
        let next = 0;
        const pick = <T>(list: T[], which: number): T | undefined => (list.length === 0 ? undefined : (list.splice(which % list.length, 1)[0] as T));
        for (const { what, which } of actions) {
          const application = `app-${which % 4}`;
          if (what === 'add') {
            const one = waiting(application, next++, which % 3);
            order.add(one);
            inside.add(one);
          } else if (what === 'take') {
            const one = order.take();
            expect(one === undefined).toBe(inside.size === 0);
            if (one !== undefined) {
              expect(inside.delete(one)).toBe(true);
              taken.push(one);
            }
          } else if (what === 'putBack') {
            const one = pick(taken, which);
            if (one !== undefined) {
              order.putBack(one);
              inside.add(one);
            }
          } else if (what === 'remove' && inside.size > 0) {
            const one = [...inside][which % inside.size] as WaitingTask;
            order.remove(one);
            inside.delete(one);
          } else if (what === 'lease') {
            const one = pick(taken, which);
            if (one !== undefined) {
              order.leased?.(one);
              leased.push(one);
            }
          } else if (what === 'release') {
            const one = pick(leased, which);
            if (one !== undefined) order.released?.(one);
          } else if (what === 'profile') {
            w.profile({ application, pool: `pool-${which % 2}`, weight: 1 + (which % 5), minShare: which % 3, priority: which % 7 });
          } else if (what === 'rank') w.rank(`${application}/${which % 3}`, which % 100);
          expect(order.size).toBe(inside.size);
        }
        while (inside.size > 0) expect(inside.delete(order.take() as WaitingTask)).toBe(true);
        expect(order.take()).toBeUndefined();
        expect(order.size).toBe(0);
      }),
    );
  });

  test('a hundred thousand tasks of a thousand applications cost the same each as a few', () => {
    const order = orderFactory(name)<WaitingTask>(world().view);
    for (let i = 0; i < 100_000; i++) order.add(waiting(`app-${i % 1000}`, i, i % 7));
    let last: WaitingTask | undefined;
    for (let i = 0; i < 100_000; i++) {
      const one = order.take() as WaitingTask;
      order.leased?.(one);
      if (last !== undefined) order.released?.(last);
      last = one;
    }
    expect(order.size).toBe(0);
  });
});

test('PRIORITY takes the highest first, also when it changes while tasks wait', () => {
  const w = world();
  const order = orderFactory('PRIORITY')<WaitingTask>(w.view);
  w.profile({ application: 'high', priority: 5 });
  for (const [i, application] of ['low', 'high', 'low', 'high'].entries()) order.add(waiting(application, i));
  expect(order.take()?.sequence).toBe(1);
  w.profile({ application: 'low', priority: 9 });
  expect([order.take(), order.take(), order.take()].map((one) => one?.sequence)).toEqual([0, 2, 3]);
});

test('CRITICAL_PATH takes the stage with the most work behind it, and falls back to submission without a graph', () => {
  const w = world();
  const order = orderFactory('CRITICAL_PATH')<WaitingTask>(w.view);
  for (const [i, stage] of [1, 2, 3, 1].entries()) order.add(waiting('app', i, stage));
  expect(order.take()?.sequence).toBe(0);
  w.rank('app/3', 100);
  w.rank('app/2', 10);
  expect([order.take(), order.take(), order.take()].map((one) => one?.sequence)).toEqual([2, 1, 3]);
});

describe('FAIR', () => {
  /** Leases `count` tasks with every application waiting without end; how many each got. */
  function shares(profiles: ApplicationProfile[], count: number): Record<string, number> {
    const w = world();
    for (const profile of profiles) w.profile(profile);
    const order = orderFactory('FAIR')<WaitingTask>(w.view);
    let sequence = 0;
    for (const { application } of profiles) for (let i = 0; i < count; i++) order.add(waiting(application, sequence++));
    const got: Record<string, number> = {};
    for (let i = 0; i < count; i++) {
      const one = order.take() as WaitingTask;
      order.leased?.(one);
      got[one.application] = (got[one.application] ?? 0) + 1;
    }
    return got;
  }

  test('shares slots by weight', () => {
    expect(shares([{ application: 'a', weight: 3 }, { application: 'b' }], 400)).toEqual({ a: 300, b: 100 });
  });

  test('gives each pool its minimum first', () => {
    expect(
      shares(
        [
          { application: 'a', weight: 100 },
          { application: 'b', minShare: 5 },
        ],
        10,
      ),
    ).toEqual({ a: 5, b: 5 });
  });

  test('applications of one pool share it', () => {
    const got = shares([{ application: 'a', pool: 'p' }, { application: 'b', pool: 'p' }, { application: 'c' }], 100);
    expect(got['c']).toBe(50);
    expect((got['a'] ?? 0) + (got['b'] ?? 0)).toBe(50);
  });

  test('what ends frees its share', () => {
    const order = orderFactory('FAIR')<WaitingTask>(world().view);
    for (let i = 0; i < 10; i++) order.add(waiting(i % 2 === 0 ? 'a' : 'b', i));
    const first = order.take() as WaitingTask;
    order.leased?.(first);
    const second = order.take() as WaitingTask;
    order.leased?.(second);
    expect([first.application, second.application]).toEqual(['a', 'b']);
    order.released?.(second);
    expect(order.take()?.application).toBe('b');
  });
});

test('in the dispatcher: one application that submits a thousand tasks does not keep another waiting', () => {
  const submit = (name: string): string[] => {
    const m = machine({ newOrder: orderFactory(name), queueDepth: 1 });
    m.join('w', { slots: 4 });
    m.submit(Array.from({ length: 1000 }, (_, i) => ({ application: 'big', task: task(i) })));
    m.submit(Array.from({ length: 2 }, (_, i) => ({ application: 'small', task: task(i) })));
    const effects = [0, 1].flatMap((i) =>
      m.handle({
        type: 'status',
        workerId: 'w',
        statuses: [{ application: 'big', epoch: 1, update: { taskId: i, state: 'FINISHED', executorId: 'w', data: new Uint8Array(0) } }],
      }),
    );
    expect(sent(effects)).toHaveLength(2);
    return effects.flatMap((effect) => (effect.type === 'send' ? effect.tasks.map((leased) => leased.application) : []));
  };
  expect(submit('FIFO')).toEqual(['big', 'big']);
  expect(submit('FAIR')).toEqual(['small', 'small']);
});
