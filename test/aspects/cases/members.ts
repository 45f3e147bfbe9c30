import assert from 'node:assert/strict';
import { before, execution, get, originalOf, set, weave } from '../../../src/aspects/index.ts';
import { fixture, type Cases } from './fixture.ts';

export const members: Cases = {
  'getters and setters are woven apart': () => {
    const { Orders, log } = fixture();
    weave(Orders, get('size'), (_jp, proceed) => proceed() + 1);
    weave(Orders, set('size'), (jp) => {
      log.push(`set ${jp.args[0]}`);
      return jp.proceedWith([jp.args[0] * 2]);
    });
    const orders = new Orders();
    assert.equal(orders.size, 41);
    orders.size = 5;
    assert.equal(orders.size, 11);
    assert.deepEqual(log, ['set 5']);
  },
  'both halves of an accessor go back to their originals': () => {
    const { Orders } = fixture();
    const original = Object.getOwnPropertyDescriptor(Orders.prototype, 'size');
    const handle = weave(Orders, get('size').or(set('size')), (_jp, proceed) => proceed());
    assert.deepEqual(handle.joinPoints, ['get Orders.size', 'set Orders.size']);
    handle.unweave();
    assert.deepEqual(Object.getOwnPropertyDescriptor(Orders.prototype, 'size'), original);
  },
  'static methods keep the class they are called on as this': () => {
    const { Orders } = fixture();
    class Special extends Orders {}
    const seen: unknown[] = [];
    weave(
      Orders,
      execution('create'),
      before((jp) => void seen.push(jp.target)),
    );
    assert.ok(Special.create() instanceof Special);
    assert.deepEqual(seen, [Special]);
  },
  'private state stays reachable': () => {
    const { Orders } = fixture();
    weave(Orders, execution('reveal'), (jp, proceed) => proceed() + jp.args[0]);
    assert.equal(new Orders().reveal(1), 42);
  },
  'symbols can be named': () => {
    const { Orders, log } = fixture();
    weave(
      Orders,
      execution(Symbol.iterator),
      before((jp) => void log.push(String(jp.signature))),
    );
    assert.deepEqual([...(new Orders() as Iterable<number>)], [1, 2, 3]);
    assert.deepEqual(log, ['Orders.[Symbol.iterator]']);
  },
  'fewer, more and default arguments arrive as they were given': () => {
    const { Orders } = fixture();
    const seen: unknown[] = [];
    weave(Orders, execution('{defaults,argumentCount}'), [before((jp) => void seen.push(jp.args)), (_jp, proceed) => proceed()]);
    const orders = new Orders();
    assert.deepEqual(orders.defaults(1), [1, 2]);
    assert.deepEqual(orders.defaults(1, undefined, 9, 8), [1, 2, 9, 8]);
    assert.deepEqual([orders.argumentCount(), orders.argumentCount(1), orders.argumentCount(1, 2)], [0, 1, 2]);
    assert.deepEqual(seen, [[1], [1, undefined, 9, 8], [], [1], [1, 2]]);
  },
  'functions of many parameters are woven': () => {
    const sums = {
      of: (a: number, b: number, c: number, d: number, e: number, f: number, g: number, h: number, i: number, j: number) =>
        a + b + c + d + e + f + g + h + i + j,
    };
    const seen: number[] = [];
    weave(sums, execution('of'), [before((jp) => void seen.push(jp.args.length)), (_jp, proceed) => proceed() + 1]);
    assert.equal(sums.of(1, 1, 1, 1, 1, 1, 1, 1, 1, 1), 11);
    assert.deepEqual(seen, [10]);
  },
  'a detached method keeps the this it is given': () => {
    const target = {
      self(this: unknown): unknown {
        return this;
      },
    };
    weave(target, execution('self'), (_jp, proceed) => proceed());
    const { self } = target;
    assert.equal(self.call(undefined), undefined);
    assert.equal(self.call(5), 5);
  },
  'name, length, own properties and kind of function are kept': () => {
    const { Orders } = fixture();
    Object.assign(Orders.prototype.submit, { route: '/orders' });
    const handle = weave(Orders, execution('{submit,later,defaults}'), (_jp, proceed) => proceed());
    const { submit, later, defaults } = Orders.prototype;
    assert.deepEqual([submit.name, submit.length, defaults.length], ['submit', 2, 1]);
    assert.equal((submit as unknown as { route: string }).route, '/orders');
    assert.equal(later.constructor.name, 'AsyncFunction');
    assert.equal(Object.hasOwn(submit, 'prototype'), false);
    handle.unweave();
  },
  'attributes of the property are kept': () => {
    const { Orders } = fixture();
    const { value: _was, ...attributes } = Object.getOwnPropertyDescriptor(Orders.prototype, 'submit')!;
    weave(Orders, execution('submit'), (_jp, proceed) => proceed());
    const { value: _is, ...now } = Object.getOwnPropertyDescriptor(Orders.prototype, 'submit')!;
    assert.deepEqual(now, attributes);
  },
  'a plain function in a property can still be constructed': () => {
    const kinds = {
      Point: function (this: { x: number }, x: number) {
        this.x = x;
      },
    };
    let calls = 0;
    weave(
      kinds,
      execution('Point'),
      before(() => void calls++),
    );
    const Point = kinds.Point as unknown as new (x: number) => { x: number };
    const point = new Point(3);
    assert.equal(point.x, 3);
    assert.ok(point instanceof Point);
    class Sub extends Point {}
    assert.ok(new Sub(1) instanceof Sub);
    const receiver = { x: 0 };
    kinds.Point.call(receiver, 9);
    assert.deepEqual([receiver.x, calls], [9, 1]);
  },
  'a class kept in a property is no method': () => {
    const kinds = { Orders: fixture().Orders, run: () => 1 };
    const handle = weave(
      kinds,
      execution('*'),
      before(() => undefined),
    );
    assert.deepEqual(handle.joinPoints, ['Object.run']);
  },
  'getters are not run by weaving': () => {
    let reads = 0;
    const target = {
      get lazy(): () => number {
        reads++;
        return () => 1;
      },
      run: () => 1,
    };
    weave(
      target,
      execution('*'),
      before(() => undefined),
    );
    assert.equal(reads, 0);
  },
  'stack frames carry the name of the method and of the site': () => {
    const { Orders } = fixture();
    weave(Orders, execution('fail'), (_jp, proceed) => proceed());
    let stack = '';
    try {
      new Orders().fail('where');
    } catch (error) {
      stack = (error as Error).stack!;
    }
    assert.match(stack, /at Orders\.fail /);
  },
  'an object without prototype is woven': () => {
    const target = Object.assign(Object.create(null) as { run(): number }, { run: () => 1 });
    weave(target, execution('run'), (_jp, proceed) => proceed() + 1);
    assert.equal(target.run(), 2);
  },
  'the original is found under all shells': () => {
    const { Orders } = fixture();
    const original = Orders.prototype.submit;
    weave(
      Orders,
      execution('submit'),
      before(() => undefined),
    );
    weave(
      Orders,
      execution('submit'),
      before(() => undefined),
    );
    assert.notEqual(Orders.prototype.submit, original);
    assert.equal(originalOf(Orders.prototype.submit), original);
  },
};
