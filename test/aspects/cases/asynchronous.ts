import assert from 'node:assert/strict';
import { after, afterReturning, afterThrowing, before, execution, weave } from '../../../src/aspects/index.ts';
import { fixture, type Cases } from './fixture.ts';

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
  'around and before advice of a generator go around the call, after advice when it is exhausted': () => {
    const { Orders, log } = fixture();
    weave(Orders, execution('count'), [before((jp) => void log.push(`count ${jp.args[0]}`)), after(() => void log.push('made'))]);
    const generator = new Orders().count(3);
    assert.deepEqual(log, ['count 3']);
    assert.deepEqual([...generator], [0, 1, 2]);
    assert.deepEqual(log, ['count 3', 'made']);
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
