import assert from 'node:assert/strict';
import { after, around, before, construct, execution, handleOf, prepareConstructor, weave, weaveConstructor } from '../../../src/aspects/index.ts';
import { throwsCode, type Cases } from './fixture.ts';

export const construction: Cases = {
  'after advice captures the instance and sees the arguments': () => {
    class Context {
      readonly app: string;
      constructor(app: string, readonly_: boolean) {
        this.app = `${app}${readonly_}`;
      }
    }
    const seen: unknown[] = [];
    const Woven = weaveConstructor(
      Context,
      after((jp) => void seen.push(jp.args, jp.result, jp.target, jp.toString())),
    );
    const made = new Woven('a', true);
    assert.equal(made.app, 'atrue');
    assert.deepEqual(seen, [['a', true], made, made, 'construct(new Context)']);
  },
  'instanceof holds both ways, and instances name the woven class': () => {
    class Context {}
    const Woven = weaveConstructor(
      Context,
      before(() => undefined),
    );
    assert.ok(new Woven() instanceof Context);
    assert.ok(new Context() instanceof Woven);
    assert.equal(new Woven().constructor, Woven);
    assert.equal(Woven.prototype, Context.prototype);
  },
  'name, length and statics are kept': () => {
    class Context {
      static count = 0;
      static create(): Context {
        return new this();
      }
      static get next(): number {
        return Context.count + 1;
      }
      constructor(..._args: [a?: number, b?: number]) {
        Context.count++;
      }
    }
    let advised = 0;
    const Woven = weaveConstructor(
      Context,
      before(() => void advised++),
    );
    assert.deepEqual([Woven.name, Woven.length], ['Context', Context.length]);
    Woven.create();
    assert.deepEqual([Woven.count, Context.count, Woven.next, advised], [1, 1, 2, 1]);
    Woven.count = 10;
    assert.deepEqual([Context.count, Woven.next], [10, 11]);
  },
  'static members called name and length do no harm': () => {
    class Odd {
      static name(): string {
        return 'odd';
      }
      static length = 'long';
      readonly given: unknown[];
      constructor(...given: unknown[]) {
        this.given = given;
      }
    }
    const Woven = weaveConstructor(
      Odd,
      around((_jp, proceed) => proceed()),
    );
    assert.deepEqual([new Woven(1, 2, 3).given, new Woven().given, Woven.name(), Woven.length], [[1, 2, 3], [], 'odd', 'long']);
  },
  'a static data member is shadowed by a subclass as usual': () => {
    class Context {
      static level = 1;
    }
    const Woven = weaveConstructor(
      Context,
      before(() => undefined),
    );
    class Sub extends Woven {}
    Sub.level = 5;
    assert.deepEqual([Sub.level, Woven.level, Context.level], [5, 1, 1]);
  },
  'static private members stay reachable': () => {
    class Context {
      static #made = 0;
      static made(): number {
        return this.#made;
      }
      static get total(): number {
        return this.#made;
      }
      static set total(value: number) {
        this.#made = value;
      }
      constructor() {
        Context.#made++;
      }
    }
    const Woven = weaveConstructor(
      Context,
      before(() => undefined),
    );
    new Woven();
    assert.deepEqual([Woven.made(), Woven.total], [1, 1]);
    Woven.total = 7;
    assert.equal(Woven.made(), 7);
  },
  'new.target is the class, or the subclass': () => {
    const seen: unknown[] = [];
    class Context {
      constructor() {
        seen.push(new.target === Context || new.target.name);
      }
    }
    const Woven = weaveConstructor(
      Context,
      before(() => undefined),
    );
    class Sub extends Woven {}
    new Woven();
    new Sub();
    Reflect.construct(Woven, [], Sub);
    assert.deepEqual(seen, [true, 'Sub', 'Sub']);
  },
  'where the body means the woven class, new.target is the woven class': () => {
    class Context {
      readonly made: unknown;
      constructor() {
        this.made = new.target;
      }
    }
    const Woven = weaveConstructor(
      Context,
      before(() => undefined),
      { bodySeesWoven: true },
    );
    assert.equal(new Woven().made, Woven);
    weave(
      Woven,
      construct(),
      before(() => undefined),
    );
    assert.equal(new Woven().made, Woven);
  },
  'subclasses run the advice through super, with private fields intact': () => {
    const seen: unknown[] = [];
    class Context {
      #id: number;
      constructor(id: number) {
        this.#id = id;
      }
      id(): number {
        return this.#id;
      }
    }
    const Woven = weaveConstructor(
      Context,
      after((jp) => void seen.push((jp.result as Context).id())),
    );
    class Sub extends Woven {
      extra = 1;
    }
    const sub = new Sub(7);
    assert.deepEqual([sub.id(), sub.extra, sub instanceof Woven, seen], [7, 1, true, [7]]);
  },
  'subclasses of Map, Array and Error are woven': () => {
    let made = 0;
    const count = before(() => void made++);
    const Cache = weaveConstructor(class Cache extends Map<string, number> {}, count);
    assert.equal(new Cache([['a', 1]]).get('a'), 1);
    const List = weaveConstructor(class List extends Array<number> {}, count);
    const list = List.from([1, 2, 3]).map((n) => n * 2);
    assert.ok(list instanceof List);
    assert.deepEqual([...list], [2, 4, 6]);
    const Failure = weaveConstructor(class Failure extends Error {}, count);
    assert.match(new Failure('x').stack!, /x/);
    assert.ok(made >= 4);
  },
  'Symbol.species is respected': () => {
    const Plain = weaveConstructor(
      class Plain extends Array<number> {
        static override get [Symbol.species](): ArrayConstructor {
          return Array;
        }
      },
      before(() => undefined),
    );
    const mapped = Plain.from([1]).map((n) => n);
    assert.equal(mapped.constructor, Array);
  },
  'a subclass of Promise is made without waiting for it': async () => {
    const seen: unknown[] = [];
    class Job extends Promise<number> {}
    const Woven = weaveConstructor(
      Job,
      after((jp) => void seen.push(jp.result)),
    );
    const job = new Woven((resolve) => resolve(1));
    assert.deepEqual(seen, [job]);
    assert.equal(await job, 1);
  },
  'around advice may proceed with other arguments, or give another instance': () => {
    class Context {
      readonly app: string;
      constructor(app: string) {
        this.app = app;
      }
    }
    const Renamed = weaveConstructor(Context, (jp) => jp.proceedWith(['b']) as Context);
    assert.equal(new Renamed('a').app, 'b');
    const single = { app: 'only' };
    const Single = weaveConstructor(
      class Single extends Context {},
      around(() => single),
    );
    assert.equal(new Single('a'), single);
  },
  'around advice that gives no instance is refused': () => {
    class Context {}
    const Woven = weaveConstructor(
      Context,
      around((_jp, proceed) => void proceed() as never),
    );
    throwsCode(() => new Woven(), 'SP_ASPECTS_CONSTRUCT_NO_INSTANCE');
  },
  'the error of a constructor reaches advice and caller': () => {
    class Context {
      constructor() {
        throw new Error('no context');
      }
    }
    const seen: string[] = [];
    const Woven = weaveConstructor(
      Context,
      after((jp) => void seen.push((jp.error as Error).message)),
    );
    assert.throws(() => new Woven(), /no context/);
    assert.deepEqual(seen, ['no context']);
  },
  'a class is not callable, woven or not; a constructor function is': () => {
    const Woven = weaveConstructor(
      class Context {},
      before(() => undefined),
    );
    assert.throws(() => (Woven as unknown as () => void)(), /Class constructor Context cannot be invoked without 'new'/);
    function Legacy(this: { x: number } | undefined, x: number): number | undefined {
      if (this === undefined) return x;
      this.x = x;
      return undefined;
    }
    const Both = weaveConstructor(
      Legacy as never as new (x: number) => { x: number },
      before(() => undefined),
    );
    assert.equal(new Both(3).x, 3);
    assert.equal((Both as unknown as (x: number) => number)(4), 4);
  },
  'construct advice is switched and added while the class is in use': () => {
    const log: string[] = [];
    class Context {
      constructor() {
        log.push('new');
      }
    }
    const Woven = weaveConstructor(
      Context,
      before(() => void log.push('a')),
    );
    class Sub extends Woven {}
    const b = weave(
      Woven,
      construct('Context'),
      before(() => void log.push('b')),
    );
    const expect = (line: string): void => {
      log.length = 0;
      new Woven();
      assert.equal(log.join(' '), line);
      log.length = 0;
      assert.ok(new Sub() instanceof Sub);
      assert.equal(log.join(' '), line);
    };
    expect('a b new');
    b.disable();
    expect('a new');
    handleOf(Woven)!.disable();
    expect('new');
    b.enable();
    expect('b new');
    b.unweave();
    expect('new');
    handleOf(Woven)!.enable();
    expect('a new');
  },
  'a prepared class costs nothing to its users until it is woven': () => {
    class Context {
      readonly n: number;
      constructor(n: number) {
        this.n = n;
      }
    }
    const Prepared = prepareConstructor(Context);
    assert.equal(prepareConstructor(Context), Prepared);
    assert.equal(new Prepared(1).n, 1);
    let made = 0;
    const handle = weave(
      Prepared,
      construct(),
      before(() => void made++),
    );
    assert.equal(new Prepared(2).n, 2);
    handle.unweave();
    new Prepared(3);
    assert.equal(made, 1);
  },
  'methods of a woven class are woven through either class': () => {
    class Context {
      stop(): string {
        return 'stopped';
      }
      static create(): string {
        return 'created';
      }
    }
    const Woven = weaveConstructor(
      Context,
      before(() => undefined),
    );
    weave(Woven, execution('{stop,create}'), (_jp, proceed) => `${proceed()}!`);
    assert.deepEqual([new Context().stop(), Woven.create(), Context.create()], ['stopped!', 'created!', 'created!']);
  },
  'weave refuses the construction of a class that is not prepared': () => {
    class Context {}
    throwsCode(
      () =>
        weave(
          Context,
          construct(),
          before(() => undefined),
        ),
      'SP_ASPECTS_CONSTRUCT_NOT_PREPARED',
    );
    throwsCode(
      () =>
        weaveConstructor(
          (() => 1) as never,
          before(() => undefined),
        ),
      'SP_ASPECTS_NOT_A_CLASS',
    );
  },
};
