import assert from 'node:assert/strict';
import { before, execution, get, set, weave } from '../../../src/aspects/index.ts';
import { fixture, type Cases } from './fixture.ts';

export const inheritance: Cases = {
  'advice on a base class runs for subclasses, through super too': () => {
    const { Orders, log } = fixture();
    class Rush extends Orders {
      override submit(a: number, b: number): number {
        log.push('rush');
        return super.submit(a, b) + 1;
      }
    }
    weave(
      Orders,
      execution('submit'),
      before(() => void log.push('advice')),
    );
    assert.equal(new Rush().submit(1, 2), 4);
    assert.deepEqual(log, ['rush', 'advice', 'submit 1 2']);
  },
  'super in a woven override reaches the base': () => {
    const { Orders, log } = fixture();
    class Rush extends Orders {
      override submit(a: number, b: number): number {
        return super.submit(a, b) + 1;
      }
    }
    weave(
      Rush,
      execution('submit'),
      before(() => void log.push('advice')),
    );
    assert.equal(new Rush().submit(1, 2), 4);
    assert.equal(new Orders().submit(1, 2), 3);
    assert.deepEqual(log, ['advice', 'submit 1 2', 'submit 1 2']);
  },
  'an inherited member is woven for the subclass alone when it is named exactly': () => {
    const { Orders, log } = fixture();
    class Rush extends Orders {}
    const handle = weave(
      Rush,
      execution('submit'),
      before(() => void log.push('advice')),
    );
    new Orders().submit(1, 2);
    new Rush().submit(3, 4);
    assert.deepEqual(log, ['submit 1 2', 'advice', 'submit 3 4']);
    handle.unweave();
    assert.equal(Object.hasOwn(Rush.prototype, 'submit'), false);
  },
  'a pattern leaves inherited members alone': () => {
    const { Orders } = fixture();
    class Rush extends Orders {
      cancel(): void {}
    }
    assert.deepEqual(
      weave(
        Rush,
        execution('*'),
        before(() => undefined),
      ).joinPoints,
      ['Rush.cancel'],
    );
  },
  'a base class woven later is seen by an inherited member woven earlier': () => {
    const { Orders, log } = fixture();
    class Rush extends Orders {}
    weave(
      Rush,
      execution('submit'),
      before(() => void log.push('rush')),
    );
    weave(
      Orders,
      execution('submit'),
      before(() => void log.push('base')),
    );
    new Rush().submit(1, 2);
    assert.deepEqual(log, ['rush', 'base', 'submit 1 2']);
  },
  'inherited accessors are woven for one object': () => {
    const { Orders } = fixture();
    const one = new Orders();
    const handle = weave(one, get('size').or(set('size')), (_jp, proceed) => (proceed() as number) + 1);
    one.size = 10;
    assert.deepEqual([one.size, new Orders().size], [11, 40]);
    handle.unweave();
    assert.deepEqual([one.size, Object.hasOwn(one, 'size')], [10, false]);
  },
  'weaving an object leaves its siblings alone, and unweaving leaves no trace': () => {
    const { Orders, log } = fixture();
    const one = new Orders();
    const handle = weave(
      one,
      execution('submit'),
      before(() => void log.push('advice')),
    );
    new Orders().submit(1, 2);
    one.submit(3, 4);
    assert.deepEqual(log, ['submit 1 2', 'advice', 'submit 3 4']);
    handle.unweave();
    assert.deepEqual(Object.keys(one), ['prefix']);
  },
  'a prototype can be given in place of its class': () => {
    const { Orders } = fixture();
    const handle = weave(Orders.prototype, execution('submit'), (_jp, proceed) => proceed() + 1);
    assert.deepEqual(handle.joinPoints, ['Orders.submit']);
    assert.equal(new Orders().submit(1, 2), 4);
  },
  'methods of a subclass of Map are woven, inherited ones by name': () => {
    class Cache extends Map<string, number> {
      fetch(key: string): number {
        return this.get(key) ?? -1;
      }
    }
    const seen: string[] = [];
    weave(
      Cache,
      execution('{fetch,nothing}'),
      before((jp) => void seen.push(`fetch ${jp.args[0]}`)),
    );
    weave(
      Cache,
      execution('get'),
      before((jp) => void seen.push(`get ${jp.args[0]}`)),
    );
    const cache = new Cache([['a', 1]]);
    assert.equal(cache.fetch('a'), 1);
    assert.deepEqual(seen, ['fetch a', 'get a']);
    assert.equal(new Map([['a', 2]]).get('a'), 2);
  },
};
