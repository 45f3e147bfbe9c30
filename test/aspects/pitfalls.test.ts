import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { after, around, before, construct, execution, Intercept, registerLoadTimeAspect, weave, weaveConstructor, within } from '../../src/aspects/index.ts';

// Programs of their own, one after the other: on a loaded machine each takes seconds.
vi.setConfig({ testTimeout: 120_000 });

/*
 * What broke in other frameworks, a test each. What more than one file tests is tested once here for the pitfall itself, and in
 * breadth where it belongs.
 */

const PRELOAD = new URL('../../src/aspects/preload.ts', import.meta.url).href;
const REGISTER = new URL('../../src/register.ts', import.meta.url).href;
const ASPECTS = JSON.stringify(new URL('../../src/aspects/index.ts', import.meta.url).href);
let root: string;
beforeAll(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'spark-proxy-pitfalls-')));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

function files(under: string, contents: Record<string, string>): string {
  for (const [name, text] of Object.entries({ 'package.json': '{"type":"module"}', ...contents })) {
    const path = join(root, under, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
  return join(root, under);
}

function run(cwd: string, args: readonly string[], env: Record<string, string> = {}): Promise<{ out: string[]; err: string }> {
  const own = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(NODE_OPTIONS|VITEST.*|SPARK_.*)$/.test(name)));
  return new Promise((resolve) => {
    execFile(process.execPath, [...args], { cwd, env: { ...own, ...env }, timeout: 120_000 }, (_error, out, err) =>
      resolve({ out: out.trim().split('\n'), err }),
    );
  });
}

const TRACE = (pointcut: string): string =>
  `import { before, parsePointcut } from ${ASPECTS};
   export const trace = [{ pointcut: parsePointcut(${JSON.stringify(pointcut)}), advice: before((jp) => console.log('> ' + jp)) }];`;

const pass = around((_jp, proceed) => proceed());

describe('1. calls look at nothing and copy nothing', () => {
  test("a function's source text is not read when it is called", () => {
    let reads = 0;
    const text = Function.prototype.toString;
    const target = { commit: () => 1 };
    weave(target, execution('commit'), [pass, before((jp) => void jp.args), after(() => undefined)]);
    Function.prototype.toString = function (this: unknown): string {
      reads++;
      return text.call(this);
    };
    try {
      for (let i = 0; i < 3; i++) target.commit();
    } finally {
      Function.prototype.toString = text;
    }
    expect(reads).toBe(0);
  });

  test('await of a woven method of what is itself thenable ends', async () => {
    class Transaction {
      committed = false;
      commit(): Promise<string> {
        this.committed = true;
        return Promise.resolve('committed');
      }
      query(): { then(resolve: (rows: number) => void): void } {
        // oxlint-disable-next-line unicorn/no-thenable -- that is the case
        return { then: (resolve) => resolve(5) };
      }
    }
    weave(Transaction, execution('*'), [pass, after((jp) => void jp.result)]);
    const tx = new Transaction();
    expect([await tx.commit(), await tx.query(), tx.committed]).toEqual(['committed', 5, true]);
  });

  test('#private, Map and new.target survive a woven construction, and the instance is the one that was made', () => {
    const made: unknown[] = [];
    class Cache extends Map<string, number> {
      #hits = 0;
      readonly target: unknown;
      constructor() {
        super([['a', 1]]);
        this.target = new.target;
        made.push(this);
      }
      hit(): number {
        return ++this.#hits + this.size;
      }
    }
    const Woven = weaveConstructor(Cache, [pass as never, after(() => undefined)]);
    class Sub extends Woven {}
    const [one, two] = [new Woven(), new Sub()];
    expect([one.hit(), two.hit(), one.target, two.target]).toEqual([2, 2, Cache, Sub]);
    expect([made[0] === one, made[1] === two]).toEqual([true, true]);
  });
});

test('2. Reflect is not extended, and classes get no properties of ours', () => {
  const known = Reflect.ownKeys(Reflect);
  class Plain {
    run(): void {}
  }
  const keys = () => [Reflect.ownKeys(Plain), Reflect.ownKeys(Plain.prototype), Reflect.ownKeys(new Plain())];
  const bare = keys();
  const handle = weave(Plain, execution('run'), pass);
  expect(keys()).toEqual(bare);
  handle.disable();
  expect(keys()).toEqual(bare);
  expect(Reflect.ownKeys(Reflect)).toEqual(known);
  expect((Reflect as { metadata?: unknown }).metadata).toBeUndefined();
});

test('3. hoisted functions and classes are there in circular imports', async () => {
  const at = files('circle', {
    'aspects.js': TRACE("within('**/circle/{a,b}.js') && (execution('*') || construct())"),
    'a.js': `import { early } from './b.js'; export function hoisted(x) { return 'hoisted ' + x } export class Late { m() { return 'm' } } export const value = () => early; export { hoisted as other };`,
    'b.js': `import { hoisted, Late, value } from './a.js'; export const early = hoisted('early'); export let tdz; try { value() } catch (e) { tdz = e.constructor.name } export const later = () => [hoisted('late'), new Late().m(), value()];`,
    'main.js': `import './a.js'; import { later, tdz } from './b.js'; console.log(JSON.stringify([tdz, later()]));`,
  });
  const { out, err } = await run(at, ['--import', PRELOAD, 'main.js'], { SPARK_PROXY_ASPECTS: './aspects.js' });
  expect(err).toBe('');
  expect(out).toEqual([
    '> execution(later)',
    '> execution(hoisted)',
    '> construct(new Late)',
    '> execution(Late.m)',
    '> execution(value)',
    '["ReferenceError",["hoisted late","m","hoisted early"]]',
  ]);
});

test('4. implicit constructors fire, base and derived, also of built-ins', async () => {
  const at = files('implicit', {
    'aspects.js': TRACE("within('**/implicit/lib.js') && construct()"),
    'lib.js': `class A {} class B extends A {} class L extends Array {} class E extends Error { code = 5 } export const made = () => [new B() instanceof A, new L(1, 2).length, new E('x', { cause: 1 }).cause];`,
    'main.js': `import { made } from './lib.js'; console.log(JSON.stringify(made()));`,
  });
  const { out } = await run(at, ['--import', PRELOAD, 'main.js'], { SPARK_PROXY_ASPECTS: './aspects.js' });
  expect(out).toEqual(['> construct(new B)', '> construct(new A)', '> construct(new L)', '> construct(new E)', '[true,2,1]']);
});

test('5. a hook that drops woven CommonJS source is told of, and one registered before ours does no harm', async () => {
  const hook = `registerHooks({ load(url, context, next) { const loaded = next(url, context); return url.endsWith('lib.cjs') ? { ...loaded, source: 'exports.lib = function lib() { return 2 }' } : loaded } });`;
  const ours = `register({ aspects: [[{ pointcut: within('**/lib.cjs').and(execution('lib')), advice: around((_jp, proceed) => proceed() + 10) }]] });`;
  const main = (
    first: string,
    second: string,
  ): string => `import { registerHooks, createRequire } from 'node:module'; import { setImmediate } from 'node:timers/promises';
    import { around, execution, explain, register, within } from ${ASPECTS};
    ${first}\n${second}\nconsole.log(createRequire(import.meta.url)('./lib.cjs').lib()); await setImmediate(); await setImmediate(); console.log(explain().skipped.map(({ why }) => why).join());`;
  const at = files('hooks', { 'lib.cjs': 'exports.lib = function lib() { return 1 };', 'last.js': main(hook, ours), 'first.js': main(ours, hook) });
  const last = await run(at, ['last.js']);
  expect([last.out, last.err]).toEqual([['12'], '']);
  const first = await run(at, ['first.js']);
  expect(first.out).toEqual(['2', 'another module hook replaced its source']);
  expect(first.err).toMatch(/SP_ASPECTS_DROPPED[^]*Register spark-proxy after the other hook/);
});

test('6. raw TypeScript with decorators of either flavour is woven, which Node alone cannot strip', async () => {
  const lib = `const mark = (...a: any[]): any => undefined;\nexport class Store<T> {\n  #items: T[] = [];\n  @mark add(item: T): this { this.#items.push(item); return this }\n  get size(): number { return this.#items.length }\n}\n`;
  const at = files('decorated', {
    'aspects.ts': TRACE("within('**/decorated/**/store.ts') && (execution('add') || get('size'))"),
    'standard/store.ts': lib,
    'legacy/store.ts': lib,
    'legacy/tsconfig.json': '{"compilerOptions":{"experimentalDecorators":true}}',
    'main.ts': `import { Store as A } from './standard/store.ts'; import { Store as B } from './legacy/store.ts'; console.log(new A<number>().add(1).size, new B<string>().add('x').size);`,
  });
  const { out, err } = await run(at, ['--import', PRELOAD, 'main.ts'], { SPARK_PROXY_ASPECTS: './aspects.ts' });
  expect(err).toBe('');
  expect(out).toEqual(['> execution(Store.add)', '> get(get Store.size)', '> execution(Store.add)', '> get(get Store.size)', '1 1']);
});

test('7. threads of threads with execArgv [] and env {} inherit, and so do processes that are spawned under NODE_OPTIONS', async () => {
  const at = files('inherit', {
    'aspects.js': TRACE("within('**/inherit/job.js') && execution(job)"),
    'job.js': `export function job(from) { console.log('ran', from) }`,
    'inner.js': `import { job } from './job.js'; job(process.argv[2] ?? 'inner');`,
    'outer.js': `import { Worker } from 'node:worker_threads'; new Worker(new URL('./inner.js', import.meta.url), { execArgv: [], env: {} });`,
    'main.js': `import { Worker } from 'node:worker_threads'; import { once } from 'node:events'; import { spawnSync } from 'node:child_process';
      await once(new Worker(new URL('./outer.js', import.meta.url), { execArgv: [], env: {} }), 'exit');
      process.stdout.write(spawnSync(process.execPath, ['inner.js', 'spawned'], { encoding: 'utf8' }).stdout);`,
  });
  const { out, err } = await run(at, ['main.js'], { SPARK_PROXY_ASPECTS: './aspects.js', NODE_OPTIONS: `--import ${REGISTER}` });
  expect(err).toBe('');
  expect(out).toEqual(['> execution(job)', 'ran inner', '> execution(job)', 'ran spawned']);
});

test('8. precedence is AspectJ’s, also at load time: before and around outermost first, after reversed; proceed passes the original arguments', async () => {
  const at = files('order', {
    'main.js': `import { after, around, before, execution, registerLoadTimeAspect, editSource, within } from ${ASPECTS};
      const say = (what) => console.log(what); const here = within('/order/lib.js').and(execution('f'));
      const aspect = (name, order) => registerLoadTimeAspect([{ pointcut: here, advice: [before(() => say('before ' + name), { order }), around((jp, proceed) => { jp.args[0] = 'ignored'; say('in ' + name); const r = proceed(); say('out ' + name); return r }, { order }), after(() => say('after ' + name), { order })] }]);
      aspect('inner', 2); aspect('outer', 1);
      registerLoadTimeAspect([{ pointcut: here, advice: around((jp) => jp.proceedWith([jp.args[0] + '!']), { order: 3 }) }]);
      const { code } = editSource({ url: 'file:///order/lib.js', format: 'module', source: "export function f(x) { console.log('f ' + x); return x }" });
      const { f } = await import('data:text/javascript,' + encodeURIComponent(code)); f('x');`,
  });
  const { out } = await run(at, ['--import', PRELOAD, 'main.js']);
  expect(out).toEqual(['before outer', 'in outer', 'before inner', 'in inner', 'f x!', 'out inner', 'after inner', 'out outer', 'after outer']);
});

test('9. decorators are not for parameters', () => {
  const decorate = Intercept(before(() => undefined)) as unknown as (...args: unknown[]) => unknown;
  class Target {
    method(_parameter: unknown): void {}
  }
  expect(() => decorate(Target.prototype, 'method', 0)).toThrow(expect.objectContaining({ code: 'SP_ASPECTS_BAD_DECORATION' }));
});

describe('what users of such libraries ask for', () => {
  test('only what is named is touched: a pointcut without a module is refused, the rest is not even parsed', () => {
    const code = (value: string) => expect.objectContaining({ code: value });
    expect(() => registerLoadTimeAspect([{ pointcut: execution('x'), advice: pass }])).toThrow(code('SP_ASPECTS_LOAD_TIME_NEEDS_WITHIN'));
    expect(() => registerLoadTimeAspect([{ pointcut: within('**/a.js').or(construct()), advice: pass }])).toThrow(code('SP_ASPECTS_LOAD_TIME_NEEDS_WITHIN'));
  });

  test('derived constructors, super calls and early returns keep their fields in order', async () => {
    const at = files('derived', {
      'aspects.js': TRACE("within('**/derived/lib.js') && construct()"),
      'lib.js': `export const log = []; class A { a = log.push('a'); constructor(x) { log.push('A' + x) } } export class B extends A { b = log.push('b'); constructor(x) { log.push('B'); super(x + 1); if (x > 1) return; log.push('end') } }`,
      'main.js': `import { B, log } from './lib.js'; new B(1); new B(2); console.log(log.join());`,
    });
    const { out } = await run(at, ['--import', PRELOAD, 'main.js'], { SPARK_PROXY_ASPECTS: './aspects.js' });
    expect(out).toEqual([...Array.from({ length: 2 }, () => ['> construct(new B)', '> construct(new A)']).flat(), 'B,a,A2,b,end,B,a,A3,b']);
  });
});
