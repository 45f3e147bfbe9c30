import assert from 'node:assert/strict';
import { around, execution, introduce, perTarget, weave, weaveAspect, type JoinPoint } from '../../../src/aspects/index.ts';
import { declareAdvice } from '../../../src/aspects/metadata.ts';
import { throwsCode, type Cases } from './fixture.ts';

/** What @Before does, where decorators cannot be run. */
function counter() {
  let made = 0;
  class Counter {
    calls = 0;
    constructor() {
      made++;
    }
    count(jp: JoinPoint): void {
      this.calls++;
      (jp.target as { seen?: number }).seen = this.calls;
    }
  }
  declareAdvice(Counter.prototype.count, 'before', execution('*'), undefined);
  return { Counter, made: () => made };
}

class Door {
  declare seen?: number;
  open(): string {
    return 'open';
  }
  static build(): Door {
    return new Door();
  }
}

/** Aspects with an instance for each target, and introductions. */
export const instances: Cases = {
  'perTarget keeps an aspect instance for each target': () => {
    const { Counter, made } = counter();
    const handle = weaveAspect(Door, perTarget(Counter));
    const [a, b] = [new Door(), new Door()];
    a.open();
    a.open();
    b.open();
    assert.deepEqual([a.seen, b.seen, made()], [2, 1, 2]);
    Door.build();
    assert.equal((Door as { seen?: number }).seen, 1);
    handle.unweave();
    delete (Door as { seen?: number }).seen;
  },
  'a singleton aspect is one for all': () => {
    const { Counter } = counter();
    const one = new Counter();
    const handle = weaveAspect(Door, one);
    new Door().open();
    new Door().open();
    assert.equal(one.calls, 2);
    handle.unweave();
  },
  'perTarget of what is no aspect is refused': () => throwsCode(() => perTarget(class {}), 'SP_ASPECTS_NOT_AN_ASPECT'),
  'introductions add typed members, which can be woven and withdrawn': () => {
    class Lockable {
      lock(this: Door): string {
        return `locked ${this.open()}`;
      }
      get isLockable(): boolean {
        return true;
      }
    }
    const before = new Door();
    const { type: LockableDoor, withdraw } = introduce(Door, Lockable);
    const door = new LockableDoor();
    assert.deepEqual([door.lock(), door.isLockable, (before as Door & Lockable).lock()], ['locked open', true, 'locked open']);
    assert.equal(LockableDoor, Door as unknown);
    assert.deepEqual(Object.keys(door), []);
    const handle = weave(
      LockableDoor,
      execution('lock'),
      around((_jp, proceed) => `${proceed() as string}!`),
    );
    assert.equal(door.lock(), 'locked open!');
    handle.unweave();
    withdraw();
    assert.equal('lock' in before, false);
  },
  'introductions do not replace members unless asked, and give back what they replaced': () => {
    throwsCode(() => introduce(Door, { open: () => 'x' }), 'SP_ASPECTS_INTRODUCED_TWICE');
    const introduction = introduce(Door, { open: () => 'ajar' }, { override: true });
    assert.equal(new Door().open(), 'ajar');
    introduction.withdraw();
    assert.equal(new Door().open(), 'open');
    throwsCode(() => introduce(5 as never, {}), 'SP_ASPECTS_NOT_A_TARGET');
  },
};
