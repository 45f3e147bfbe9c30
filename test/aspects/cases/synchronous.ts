import assert from 'node:assert/strict';
import { after, afterReturning, afterThrowing, around, before, execution, weave, type JoinPoint } from '../../../src/aspects/index.ts';
import { throwsCode, fixture, type Cases } from './fixture.ts';

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
  'to proceed after the advice has thrown is refused, too': () => {
    const { Orders, log } = fixture();
    let late: (() => unknown) | undefined;
    let point: { proceedWith(args: unknown[]): unknown } | undefined;
    weave(Orders, execution('submit'), (jp, proceed) => {
      [late, point] = [proceed, jp];
      throw new Error('no');
    });
    assert.throws(() => new Orders().submit(1, 2), /no/);
    throwsCode(() => late!(), 'SP_ASPECTS_LATE_PROCEED');
    throwsCode(() => point!.proceedWith([1, 2]), 'SP_ASPECTS_LATE_PROCEED');
    assert.deepEqual(log, []);
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
      // oxlint-disable-next-line typescript/no-useless-default-assignment -- with a default, its length is 0
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
