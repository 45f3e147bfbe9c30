import assert from 'node:assert/strict';
import { after, afterReturning, afterThrowing, around, before, execution, get, originalOf, set, weave, type JoinPoint } from '../../src/aspects/index.ts';

/** What weaving means, as cases that run in any process: under vitest with generated code, and in a child without. */
export type Cases = Record<string, () => void | Promise<void>>;

const throwsCode = (run: () => unknown, code: string): void => {
  assert.throws(run, (error: { code?: string }) => error.code === code);
};

/** Fresh for every case, as weaving changes it. */
function fixture() {
  const log: string[] = [];
  class Orders {
    #secret = 40;
    prefix = 'order ';
    submit(a: number, b: number): number {
      log.push(`submit ${a} ${b}`);
      return a + b;
    }
    fail(message: string): never {
      throw new Error(message);
    }
    reveal(add: number): number {
      return this.#secret + add;
    }
    async later(value: string): Promise<string> {
      await null;
      log.push(`later ${value}`);
      return `${this.prefix}${value}`;
    }
    async reject(message: string): Promise<never> {
      await null;
      throw new Error(message);
    }
    *count(n: number): Generator<number, string> {
      for (let i = 0; i < n; i++) yield i;
      return 'done';
    }
    async *stream(n: number): AsyncGenerator<number> {
      for (let i = 0; i < n; i++) yield i;
    }
    get size(): number {
      return this.#secret;
    }
    set size(value: number) {
      this.#secret = value;
    }
    static create(): Orders {
      return new this();
    }
    defaults(a: number, b = a * 2, ...rest: number[]): number[] {
      return [a, b, ...rest];
    }
    argumentCount(_a?: unknown, _b?: unknown): number {
      return arguments.length;
    }
    [Symbol.iterator](): Iterator<number> {
      return [1, 2, 3][Symbol.iterator]();
    }
  }
  return { Orders, log };
}

const tag = (log: string[], name: string) => [
  before(() => void log.push(`before ${name}`)),
  around((_jp, proceed) => {
    log.push(`in ${name}`);
    const result: unknown = proceed();
    log.push(`out ${name}`);
    return result;
  }),
  after(() => void log.push(`after ${name}`)),
];

export const synchronous: Cases = {
  'before advice sees the receiver and the arguments, before the call': () => {
    const { Orders, log } = fixture();
    const orders = new Orders();
    weave(
      Orders,
      execution('submit'),
      before((jp) => {
        assert.equal(jp.target, orders);
        assert.deepEqual(jp.args, [1, 2]);
        log.push(jp.toString());
      }),
    );
    assert.equal(orders.submit(1, 2), 3);
    assert.deepEqual(log, ['execution(Orders.submit)', 'submit 1 2']);
  },
  'a throw of before advice prevents the call': () => {
    const { Orders, log } = fixture();
    weave(
      Orders,
      execution('submit'),
      before(() => assert.fail('not now')),
    );
    assert.throws(() => new Orders().submit(1, 2), /not now/);
    assert.deepEqual(log, []);
  },
  'around advice decides the result': () => {
    const { Orders } = fixture();
    weave(
      Orders,
      execution('submit'),
      around((_jp, proceed) => proceed() * 10),
    );
    assert.equal(new Orders().submit(1, 2), 30);
  },
  'a bare function is around advice': () => {
    const { Orders } = fixture();
    weave(Orders, execution('submit'), (_jp, proceed) => -proceed());
    assert.equal(new Orders().submit(1, 2), -3);
  },
  'around advice that does not proceed replaces the call': () => {
    const { Orders, log } = fixture();
    weave(Orders, execution('submit'), () => 7);
    assert.equal(new Orders().submit(1, 2), 7);
    assert.deepEqual(log, []);
  },
  'each proceed runs the call again': () => {
    const { Orders, log } = fixture();
    weave(Orders, execution('submit'), (_jp, proceed) => proceed() + proceed());
    assert.equal(new Orders().submit(1, 2), 6);
    assert.equal(log.length, 2);
  },
  'proceed passes the original arguments, whatever is done to jp.args': () => {
    const { Orders } = fixture();
    weave(Orders, execution('submit'), (jp, proceed) => {
      jp.args[0] = 100;
      return proceed();
    });
    assert.equal(new Orders().submit(1, 2), 3);
  },
  'proceedWith passes others, and advice further inside sees them': () => {
    const { Orders, log } = fixture();
    weave(Orders, execution('submit'), (jp) => jp.proceedWith([10, 20]));
    weave(
      Orders,
      execution('submit'),
      before((jp) => void log.push(`inner ${jp.args.join()}`)),
    );
    weave(Orders, execution('submit'), (jp, proceed) => (proceed() as number) + jp.args[0]);
    assert.equal(new Orders().submit(1, 2), 40);
    assert.deepEqual(log, ['inner 10,20', 'submit 10 20']);
  },
  'proceedWith may pass another number of arguments': () => {
    const { Orders } = fixture();
    weave(Orders, execution('argumentCount'), (jp) => jp.proceedWith([1, 2, 3, 4, 5]));
    assert.equal(new Orders().argumentCount(1, 2), 5);
  },
  'proceed after synchronous advice has returned is refused': () => {
    const { Orders } = fixture();
    let late: (() => unknown) | undefined;
    let point: { proceedWith(args: unknown[]): unknown } | undefined;
    weave(Orders, execution('submit'), (jp, proceed) => {
      late = proceed;
      point = jp;
      return 0;
    });
    new Orders().submit(1, 2);
    throwsCode(() => late!(), 'SP_ASPECTS_LATE_PROCEED');
    throwsCode(() => point!.proceedWith([1, 2]), 'SP_ASPECTS_LATE_PROCEED');
  },
  'before advice cannot proceed': () => {
    const { Orders } = fixture();
    weave(Orders, execution('submit'), [
      before((jp) => (jp as unknown as { proceedWith(a: unknown[]): unknown }).proceedWith([])),
      (_jp, proceed) => proceed(),
    ]);
    throwsCode(() => new Orders().submit(1, 2), 'SP_ASPECTS_NO_PROCEED');
  },
  'after advice runs on return and on throw, and sees the outcome': () => {
    const { Orders } = fixture();
    const seen: unknown[] = [];
    weave(
      Orders,
      execution('{submit,fail}'),
      after((jp) => void seen.push(jp.result ?? (jp.error as Error).message)),
    );
    new Orders().submit(1, 2);
    assert.throws(() => new Orders().fail('bad'), /bad/);
    assert.deepEqual(seen, [3, 'bad']);
  },
  'afterReturning advice sees the result and not a throw': () => {
    const { Orders } = fixture();
    const seen: unknown[] = [];
    weave(
      Orders,
      execution('{submit,fail}'),
      afterReturning((jp, result) => void seen.push(result, jp.result)),
    );
    new Orders().submit(1, 2);
    assert.throws(() => new Orders().fail('bad'));
    assert.deepEqual(seen, [3, 3]);
  },
  'afterThrowing advice sees the very error, which goes on': () => {
    const { Orders } = fixture();
    let seen: unknown;
    weave(
      Orders,
      execution('{submit,fail}'),
      afterThrowing((_jp, error) => void (seen = error)),
    );
    new Orders().submit(1, 2);
    assert.equal(seen, undefined);
    assert.throws(
      () => new Orders().fail('bad'),
      (error) => error === seen && (error as Error).message === 'bad',
    );
  },
  'an error of after advice takes the place of the outcome': () => {
    const { Orders } = fixture();
    weave(
      Orders,
      execution('{submit,fail}'),
      after(() => assert.fail('from advice')),
    );
    assert.throws(() => new Orders().submit(1, 2), /from advice/);
    assert.throws(() => new Orders().fail('bad'), /from advice/);
  },
  'after advice runs once when it throws itself': () => {
    const { Orders } = fixture();
    let runs = 0;
    weave(
      Orders,
      execution('submit'),
      after(() => {
        runs++;
        throw new Error('once');
      }),
    );
    assert.throws(() => new Orders().submit(1, 2), /once/);
    assert.equal(runs, 1);
  },
  'advice without parameters runs as well': () => {
    const { Orders } = fixture();
    let runs = 0;
    const tick = (): void => void runs++;
    weave(Orders, execution('submit'), [before(tick), after(tick), afterReturning(tick), afterThrowing(tick)]);
    new Orders().submit(1, 2);
    assert.equal(runs, 3);
  },
  'advice with rest or default parameters, or arguments, gets the join point': () => {
    const { Orders } = fixture();
    const seen: unknown[] = [];
    weave(Orders, execution('submit'), [
      before((...all: JoinPoint[]) => void seen.push(all[0]?.name)),
      before((jp: JoinPoint | undefined = undefined) => void seen.push(jp?.name)),
      before(function () {
        seen.push((arguments[0] as JoinPoint).name);
      }),
      before(((...all: JoinPoint[]) => seen.push(all[0]?.name)).bind(undefined)),
    ]);
    new Orders().submit(1, 2);
    assert.deepEqual(seen, ['submit', 'submit', 'submit', 'submit']);
  },
  'advice runs anew for a recursive call': () => {
    const seen: number[] = [];
    const math = { factorial: (n: number): number => (n < 2 ? 1 : n * math.factorial(n - 1)) };
    weave(
      math,
      execution('factorial'),
      before((jp) => void seen.push(jp.args[0])),
    );
    assert.equal(math.factorial(4), 24);
    assert.deepEqual(seen, [4, 3, 2, 1]);
  },
};

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
};

export const asynchronous: Cases = {
  'after advice runs when the promise has settled': async () => {
    const { Orders, log } = fixture();
    weave(Orders, execution('later'), [
      after((jp) => void log.push(`after ${jp.result}`)),
      afterReturning((_jp, result) => void log.push(`returned ${result}`)),
    ]);
    const promise = new Orders().later('x');
    assert.deepEqual(log, []);
    assert.equal(await promise, 'order x');
    assert.deepEqual(log, ['later x', 'after order x', 'returned order x']);
  },
  'afterThrowing advice sees a rejection, and the promise is rejected all the same': async () => {
    const { Orders } = fixture();
    let seen: unknown;
    weave(
      Orders,
      execution('reject'),
      afterThrowing((jp, error) => void (seen = [error, jp.error])),
    );
    let caught: unknown;
    await new Orders().reject('no').catch((error: unknown) => (caught = error));
    assert.deepEqual(seen, [caught, caught]);
    assert.equal((caught as Error).message, 'no');
  },
  'after advice runs on a rejection too': async () => {
    const { Orders, log } = fixture();
    weave(Orders, execution('reject'), [after((jp) => void log.push((jp.error as Error).message)), afterReturning(() => void log.push('wrong'))]);
    await assert.rejects(new Orders().reject('no'), /no/);
    assert.deepEqual(log, ['no']);
  },
  'an error of after advice rejects the promise': async () => {
    const { Orders } = fixture();
    weave(
      Orders,
      execution('later'),
      afterReturning(() => assert.fail('from advice')),
    );
    await assert.rejects(new Orders().later('x'), /from advice/);
  },
  'the caller waits for a promise of after advice': async () => {
    const { Orders, log } = fixture();
    weave(
      Orders,
      execution('later'),
      after(async () => {
        await null;
        await null;
        log.push('flushed');
      }),
    );
    assert.equal(await new Orders().later('x'), 'order x');
    assert.deepEqual(log, ['later x', 'flushed']);
  },
  'a rejected promise of after advice on a rejection takes its place': async () => {
    const { Orders } = fixture();
    weave(
      Orders,
      execution('reject'),
      after(async () => assert.fail('from advice')),
    );
    await assert.rejects(new Orders().reject('no'), /from advice/);
  },
  'around advice may wait, and proceed later': async () => {
    const { Orders, log } = fixture();
    weave(Orders, execution('later'), async (_jp, proceed) => {
      await null;
      log.push('ready');
      return `${await proceed()}!`;
    });
    assert.equal(await new Orders().later('x'), 'order x!');
    assert.deepEqual(log, ['ready', 'later x']);
  },
  'around advice that waits may proceed with other arguments': async () => {
    const { Orders } = fixture();
    weave(Orders, execution('later'), async (jp) => {
      await null;
      return (await jp.proceedWith(['y'])) as string;
    });
    assert.equal(await new Orders().later('x'), 'order y');
  },
  'around advice that returns proceed() returns the very promise': async () => {
    const { Orders } = fixture();
    let inner: unknown;
    weave(Orders, execution('later'), (_jp, proceed) => (inner = proceed()));
    const promise = new Orders().later('x');
    assert.equal(promise, inner);
    await promise;
  },
  'around advice may retry': async () => {
    let tries = 0;
    const flaky = {
      async get(): Promise<number> {
        if (++tries < 3) throw new Error('try again');
        return tries;
      },
    };
    weave(flaky, execution('get'), async (_jp, proceed) => {
      for (;;) {
        try {
          return await proceed();
        } catch {
          // again
        }
      }
    });
    assert.equal(await flaky.get(), 3);
  },
  'a thenable that is not a promise is a plain result': () => {
    let started = 0;
    const query = { run: () => ({ then: () => void started++ }) };
    let seen: unknown;
    weave(
      query,
      execution('run'),
      afterReturning((_jp, result) => void (seen = result)),
    );
    const result = query.run();
    assert.equal(started, 0);
    assert.equal(seen, result);
  },
  'a promise subclass keeps its class': async () => {
    class Job extends Promise<number> {}
    const jobs = { run: () => Job.resolve(5) as Job };
    let seen: unknown;
    weave(
      jobs,
      execution('run'),
      afterReturning((_jp, result) => void (seen = result)),
    );
    const job = jobs.run();
    assert.ok(job instanceof Job);
    assert.equal(await job, 5);
    assert.equal(seen, 5);
  },
  'generators pass through: advice goes around the call, not the iteration': () => {
    const { Orders, log } = fixture();
    weave(Orders, execution('count'), [before((jp) => void log.push(`count ${jp.args[0]}`)), after(() => void log.push('made'))]);
    const generator = new Orders().count(3);
    assert.deepEqual(log, ['count 3', 'made']);
    assert.deepEqual([...generator], [0, 1, 2]);
    assert.equal(new Orders().count(0).next().value, 'done');
  },
  'async generators pass through': async () => {
    const { Orders } = fixture();
    let runs = 0;
    weave(Orders, execution('stream'), [before(() => void runs++), after(() => void runs++)]);
    const seen: number[] = [];
    for await (const value of new Orders().stream(2)) seen.push(value);
    assert.deepEqual(seen, [0, 1]);
    assert.equal(runs, 2);
  },
};

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
