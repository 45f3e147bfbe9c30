import assert from 'node:assert/strict';
import { after, afterReturning, before, execution, weave } from '../../../src/aspects/index.ts';
import { fixture, tag, type Cases } from './fixture.ts';

export const order: Cases = {
  'three aspects nest: the first woven is outermost, after advice runs reversed': () => {
    const { Orders, log } = fixture();
    for (const name of ['a', 'b', 'c']) weave(Orders, execution('submit'), tag(log, name));
    new Orders().submit(1, 2);
    assert.deepEqual(log, [
      ...['before a', 'in a', 'before b', 'in b', 'before c', 'in c'],
      'submit 1 2',
      ...['out c', 'after c', 'out b', 'after b', 'out a', 'after a'],
    ]);
  },
  'a lower order is further outside, whenever it was woven': () => {
    const { Orders, log } = fixture();
    const mark = (name: string, at: number) => before(() => void log.push(name), { order: at });
    weave(Orders, execution('submit'), mark('second', 0));
    weave(Orders, execution('submit'), mark('third', 5));
    weave(Orders, execution('submit'), mark('first', -1));
    new Orders().submit(1, 2);
    assert.deepEqual(log, ['first', 'second', 'third', 'submit 1 2']);
  },
  'after advice of a lower order runs later': () => {
    const { Orders, log } = fixture();
    weave(
      Orders,
      execution('submit'),
      after(() => void log.push('outer'), { order: 1 }),
    );
    weave(
      Orders,
      execution('submit'),
      after(() => void log.push('inner'), { order: 2 }),
    );
    new Orders().submit(1, 2);
    assert.deepEqual(log, ['submit 1 2', 'inner', 'outer']);
  },
  'inside one aspect, before advice and after advice run as declared': () => {
    const { Orders, log } = fixture();
    weave(Orders, execution('submit'), [
      before(() => void log.push('b1')),
      after(() => void log.push('a1')),
      before(() => void log.push('b2')),
      after(() => void log.push('a2')),
    ]);
    new Orders().submit(1, 2);
    assert.deepEqual(log, ['b1', 'b2', 'submit 1 2', 'a1', 'a2']);
  },
  'outer after advice sees what inner around advice made of the result': () => {
    const { Orders } = fixture();
    let seen: unknown;
    weave(
      Orders,
      execution('submit'),
      afterReturning((_jp, result) => void (seen = result)),
    );
    weave(Orders, execution('submit'), (_jp, proceed) => proceed() * 2);
    new Orders().submit(1, 2);
    assert.equal(seen, 6);
  },
  'outer around advice can handle what inner advice throws': () => {
    const { Orders } = fixture();
    weave(Orders, execution('submit'), (_jp, proceed) => {
      try {
        return proceed();
      } catch (error) {
        return (error as Error).message;
      }
    });
    weave(
      Orders,
      execution('submit'),
      before(() => assert.fail('inner')),
    );
    assert.equal(new Orders().submit(1, 2), 'inner');
  },
  'after advice that is declared before all others of its aspect is inside them': () => {
    const { Orders } = fixture();
    const seen: unknown[] = [];
    weave(Orders, execution('submit'), [after((jp) => void seen.push(jp.result)), (_jp, proceed) => proceed() * 2]);
    const result = new Orders().submit(1, 2);
    assert.deepEqual(seen, [result / 2]);
    const prevented = fixture();
    weave(prevented.Orders, execution('submit'), [
      after(() => void prevented.log.push('after')),
      before(() => {
        throw new Error('no');
      }),
    ]);
    assert.throws(() => new prevented.Orders().submit(1, 2), /no/);
    assert.deepEqual(prevented.log, []);
  },
};
