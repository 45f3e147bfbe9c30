import assert from 'node:assert/strict';
import { before, execution, explain, handleOf, handleOfAll, weave } from '../../../src/aspects/index.ts';
import { throwsCode, permutations, service, type Cases } from './fixture.ts';

export const switching: Cases = {
  'disable and enable act at once, and on references taken earlier': () => {
    const { Service, take, mark } = service();
    const handle = mark('a');
    const one = new Service();
    const run = one.run.bind(one);
    run('1');
    handle.disable();
    run('2');
    assert.equal(handle.enabled, false);
    handle.enable();
    run('3');
    assert.equal(handle.enabled, true);
    handle.unweave();
    run('4');
    assert.equal(take(), 'a 1 2 a 3 4');
  },
  'three handles are switched off and on in every order': () => {
    for (const off of permutations(['a', 'b', 'c'])) {
      for (const on of permutations(['a', 'b', 'c'])) {
        const { Service, take, mark } = service();
        const handles = new Map(['a', 'b', 'c'].map((name) => [name, mark(name)]));
        const early = Service.prototype.run;
        const active = new Set(['a', 'b', 'c']);
        const check = (): void => {
          const expected = [...['a', 'b', 'c'].filter((name) => active.has(name)), 'x'].join(' ');
          new Service().run('x');
          assert.equal(take(), expected);
          early.call(new Service(), 'x');
          assert.equal(take(), expected);
        };
        check();
        for (const name of off) {
          handles.get(name)!.disable();
          active.delete(name);
          check();
        }
        for (const name of on) {
          handles.get(name)!.enable();
          active.add(name);
          check();
        }
      }
    }
  },
  'three handles are unwoven in every order, and the last leaves the original': () => {
    for (const out of permutations(['a', 'b', 'c'])) {
      const { Service, take, mark } = service();
      const original = Object.getOwnPropertyDescriptor(Service.prototype, 'run');
      const handles = new Map(['a', 'b', 'c'].map((name) => [name, mark(name)]));
      const left = new Set(['a', 'b', 'c']);
      for (const name of out) {
        handles.get(name)!.unweave();
        left.delete(name);
        new Service().run('x');
        assert.equal(take(), [...left, 'x'].join(' '));
      }
      assert.deepEqual(Object.getOwnPropertyDescriptor(Service.prototype, 'run'), original);
    }
  },
  'unweaving twice, and enabling what is unwoven, does nothing': () => {
    const { Service, take, mark } = service();
    const handle = mark('a');
    handle.unweave();
    handle.unweave();
    handle.enable();
    new Service().run('x');
    assert.equal(take(), 'x');
    assert.equal(handle.enabled, false);
  },
  'advice disabled while it is woven anew stays disabled': () => {
    const { Service, take, mark } = service();
    const a = mark('a');
    a.disable();
    mark('b');
    new Service().run('x');
    assert.equal(take(), 'b x');
    a.enable();
    new Service().run('x');
    assert.equal(take(), 'a b x');
  },
  'a reference taken from an earlier weaving follows a later one': () => {
    const { Service, take, mark } = service();
    mark('a').unweave();
    const first = mark('b');
    const early = Service.prototype.run;
    first.unweave();
    mark('c');
    early.call(new Service(), 'x');
    assert.equal(take(), 'c x');
  },
  'what somebody else put over a woven method stays when advice leaves': () => {
    const { Service, take, mark } = service();
    const handle = mark('a');
    const inner = Service.prototype.run;
    Service.prototype.run = function (value) {
      return inner.call(this, `${value}!`);
    };
    const theirs = Service.prototype.run;
    const other = weave(
      Service.prototype,
      execution('run'),
      before(() => undefined),
    );
    other.unweave();
    assert.equal(Service.prototype.run, theirs);
    new Service().run('x');
    handle.disable();
    handle.enable();
    assert.equal(Service.prototype.run, theirs);
    handle.unweave();
    new Service().run('y');
    assert.equal(take(), 'a x! y!');
    assert.equal(Service.prototype.run, theirs);
    mark('b');
    new Service().run('z');
    assert.equal(take(), 'b z!');
  },
  'a woven method that somebody else wrapped keeps their wrapper while its other advice changes': () => {
    const { Service, take, mark } = service();
    const a = mark('a');
    const b = mark('b');
    const inner = Service.prototype.run;
    const theirs = function (this: InstanceType<typeof Service>, value: string): string {
      return inner.call(this, `${value}!`);
    };
    Service.prototype.run = theirs;
    a.disable();
    assert.equal(Service.prototype.run, theirs);
    new Service().run('x');
    b.unweave();
    new Service().run('y');
    assert.equal(take(), 'b x! y!');
  },
  'a disabled call made inside its own advice is not advised': () => {
    const { Service, take } = service();
    const handle = weave(Service, execution('run'), (_jp, proceed) => {
      handle.disable();
      new Service().run('inner');
      return proceed();
    });
    new Service().run('x');
    assert.equal(take(), 'inner x');
  },
  'a handle can be used with using': () => {
    const { Service, take, mark } = service();
    {
      using _handle = mark('a');
      new Service().run('x');
    }
    new Service().run('y');
    assert.equal(take(), 'a x y');
  },
  'a frozen target is refused with a code, and nothing is woven': () => {
    const target = { free: () => 1, run: () => 1 };
    Object.freeze(target);
    throwsCode(
      () =>
        weave(
          target,
          execution('*'),
          before(() => undefined),
        ),
      'SP_ASPECTS_NOT_CONFIGURABLE',
    );
    assert.equal(target.run(), 1);
    const half = Object.defineProperty({ a: () => 1, b: () => 1 }, 'b', { configurable: false, writable: false });
    const { a } = half;
    throwsCode(
      () =>
        weave(
          half,
          execution('*'),
          before(() => undefined),
        ),
      'SP_ASPECTS_NOT_CONFIGURABLE',
    );
    assert.equal(half.a, a);
  },
  'an object frozen after it was woven can still be switched': () => {
    const log: string[] = [];
    const target = { run: () => log.push('run') };
    const handle = weave(
      target,
      execution('run'),
      before(() => void log.push('a')),
    );
    Object.freeze(target);
    handle.disable();
    target.run();
    weave(
      Object.create(target) as typeof target,
      execution('run'),
      before(() => undefined),
    );
    handle.enable();
    target.run();
    handle.unweave();
    target.run();
    assert.deepEqual(log, ['run', 'a', 'run', 'run']);
  },
  'a sealed but writable method is woven': () => {
    const target = Object.seal({ run: () => 1 });
    const handle = weave(target, execution('run'), (_jp, proceed) => proceed() + 1);
    assert.equal(target.run(), 2);
    handle.unweave();
    assert.equal(target.run(), 1);
  },
  'the same advice may be woven twice': () => {
    const { Service, take } = service();
    let runs = 0;
    const tick = before(() => void runs++);
    const first = weave(Service, execution('run'), tick);
    weave(Service, execution('run'), tick);
    new Service().run('x');
    first.unweave();
    new Service().run('y');
    assert.equal(runs, 3);
    assert.equal(take(), 'x y');
  },
  'one site of an aspect is switched off, and the aspect goes on elsewhere': () => {
    const log: string[] = [];
    class Both {
      one(): void {}
      two(): void {}
    }
    const handle = weave(
      Both,
      execution('{one,two}'),
      before((jp) => void log.push(String(jp.name))),
    );
    const run = (): string => {
      new Both().one();
      new Both().two();
      return log.splice(0).join();
    };
    const one = handleOf(Both.prototype.one)!;
    one.disable();
    assert.deepEqual([run(), one.enabled, handle.enabled, one.joinPoints], ['two', false, true, ['Both.one']]);
    assert.deepEqual(
      explain()
        .joinPoints.filter(({ joinPoint }) => joinPoint.startsWith('Both.'))
        .map(({ advice }) => advice[0]!.enabled),
      [false, true],
    );
    handle.disable();
    one.enable();
    assert.deepEqual([run(), one.enabled], ['', false]);
    handle.enable();
    assert.equal(run(), 'one,two');
    one.disable();
    handle.disable();
    handle.enable();
    assert.equal(run(), 'one,two');
    one.unweave();
    assert.deepEqual([run(), handleOf(Both.prototype.one)], ['two', undefined]);
    handle.unweave();
  },
  'all advice is switched off at once, whatever its own handles say, also what is woven then': () => {
    const { Service, take, mark } = service();
    const a = mark('a');
    const all = handleOfAll();
    all.disable();
    try {
      new Service().run('1');
      const b = mark('b');
      a.enable();
      new Service().run('2');
      assert.deepEqual([take(), all.enabled, explain().joinPoints.some(({ advice }) => advice.some(({ enabled }) => enabled))], ['1 2', false, false]);
      a.disable();
      all.enable();
      new Service().run('3');
      assert.equal(take(), 'b 3');
      b.unweave();
    } finally {
      all.enable();
    }
    assert.ok(all.joinPoints.includes('Service.run'));
    all.unweave();
    a.enable();
    new Service().run('4');
    assert.deepEqual([take(), all.joinPoints], ['4', []]);
  },
};
