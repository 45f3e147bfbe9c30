import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import MagicString from 'magic-string';
import { parseSync } from 'oxc-parser';
import { transformSync } from 'esbuild';
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import {
  after,
  afterThrowing,
  before,
  construct,
  execution,
  explain,
  loadTimeEditor,
  named,
  registerLoadTimeAspect,
  within,
  type WeaveHandle,
} from '../../src/aspects/index.ts';

const log: string[] = [];
(globalThis as { log?: string[] }).log = log;
let count = 0;

const handles: WeaveHandle[] = [];
function register(...list: Parameters<typeof registerLoadTimeAspect>): WeaveHandle {
  const handle = registerLoadTimeAspect(...list);
  handles.push(handle);
  return handle;
}
afterEach(() => {
  for (const handle of handles.splice(0)) handle.unweave();
  log.length = 0;
});

/** Text as the module hook would make it; undefined when the editor leaves it alone. */
function edited(source: string, url: string, format: 'module' | 'commonjs' = 'module'): string | undefined {
  const module = { url, format, source };
  if (!loadTimeEditor.wants(module)) return undefined;
  const edit = new MagicString(source);
  const { program, errors } = parseSync('module.js', source, { sourceType: format === 'module' ? 'module' : 'commonjs', lang: 'js', preserveParens: false });
  expect(errors).toEqual([]);
  return loadTimeEditor.edit({ ...module, program, edit }) ? edit.toString() : undefined;
}

// oxlint-disable-next-line typescript/no-explicit-any -- text that is run has no types
type Untyped = any;

/** Runs text as an ECMAScript module. */
const run = async (source: string): Promise<Record<string, Untyped>> =>
  (await import(`data:text/javascript,${encodeURIComponent(source)}`)) as Record<string, Untyped>;

const freshUrl = (name = 'orders.js'): string => `file:///srv/app-${++count}/${name}`;
const here = (url: string) => within(`**${new URL(url).pathname}`);
const say = (text: string) => before(() => void log.push(text));

/** Everything about class Orders of a fresh module is woven; gives what the module exports. */
async function loadWoven(source: string, name = 'Orders'): Promise<Record<string, Untyped>> {
  const url = freshUrl();
  register([
    { pointcut: here(url).and(execution('submit')), advice: say('submit') },
    { pointcut: here(url).and(construct(name)), advice: after((jp) => void log.push(`new ${jp.args.join()}`)) },
  ]);
  const text = edited(source, url);
  expect(text).toBeDefined();
  expect(text!.split('\n')).toHaveLength(source.split('\n').length);
  return run(text!);
}

describe('load-time weaving', () => {
  test('leaves modules alone that no pointcut can match', () => {
    register([{ pointcut: within('**/only/orders.js').and(execution('Orders.submit')), advice: say('x') }]);
    const source = 'export class Orders { submit() {} }';
    expect(edited(source, 'file:///only/orders.js')).toBeDefined();
    expect(edited(source, 'file:///only/jobs.js')).toBeUndefined();
    expect(edited('export class Jobs { submit() {} }', 'file:///only/orders.js')).toBeUndefined();
    expect(edited('export class Jobs { Orders() {} }', 'file:///only/orders.js')).toBeUndefined();
    expect(edited('export class Orders { cancel() {} }', 'file:///only/orders.js')).toBeUndefined();
    expect(edited('export class Orders { ["submit"]() {} }', 'file:///only/orders.js')).toBeDefined();
    expect(edited('export const Orders = 1', 'file:///only/orders.js')).toBeUndefined();
  });

  test.each([
    ['export class X', 'export class Orders { submit() {} constructor(a) {} } log.push("after")'],
    ['class X, exported later', 'class Orders { submit() {} constructor(a) {} }\nexport { Orders };'],
    ['export default class X', 'export default class Orders { submit() {} constructor(a) {} }'],
    ['const X = class', 'export const Orders = class { submit() {} constructor(a) {} };'],
    ['const X = class Y', 'export const Orders = class Other { submit() {} constructor(a) {} }, more = 1;'],
    ['let X = class', 'export let Orders = class { submit() {} constructor(a) {} }\nlog.push("after")'],
    ['var X = class X', 'var Orders = class Orders { submit() {} constructor(a) {} }\nexport { Orders as default }'],
  ])('weaves methods and construction of %s', async (_form, source) => {
    const module = await loadWoven(source);
    const Orders = (module['Orders'] ?? module['default']) as new (a: number) => { submit(): void };
    log.length = 0;
    new Orders(7).submit();
    expect(log).toEqual(['new 7', 'submit']);
    expect(Orders.name).toBe(source.includes('Other') ? 'Other' : 'Orders');
    expect(Orders.length).toBe(1);
  });

  test('weaves a default class without a name, as default', async () => {
    const { default: Unnamed } = await loadWoven('export default class { submit() {} }\nlog.push("after")', 'default');
    new Unnamed().submit();
    expect(log).toEqual(['after', 'new ', 'submit']);
    expect(Unnamed.name).toBe('default');
  });

  test('weaves CommonJS exports', () => {
    const url = freshUrl();
    register([{ pointcut: here(url).and(execution('submit').or(construct())), advice: say('advice') }]);
    const source =
      'class Orders { submit() {} }\nmodule.exports = Orders;\nmodule.exports.Jobs = class { submit() {} };\nexports.Lost = class Lost { submit() {} };';
    const text = edited(source, url, 'commonjs');
    const module: { exports: Untyped } = { exports: {} };
    // oxlint-disable-next-line no-new-func
    new Function('module', 'exports', text!)(module, module.exports);
    new module.exports().submit();
    new module.exports.Jobs().submit();
    expect(log).toEqual(['advice', 'advice', 'advice', 'advice']);
  });

  test('a class that makes itself is woven where it does, and keeps new.target', async () => {
    const { Orders, Shape } = await loadWoven(
      `export class Orders {
        static create(a) { return new Orders(a) }
        again() { return new Orders(this.made) }
        constructor(a) { this.made = a; this.own = new.target === Orders }
        submit() {}
      }
      export class Shape { constructor() { if (new.target === Shape) throw new Error('abstract') } }`,
    );
    const order = Orders.create(1).again();
    expect(log).toEqual(['new 1', 'new 1']);
    expect(order.own).toBe(true);
    expect(() => new Shape()).toThrow('abstract');
  });

  test('a default class that makes itself is woven where it does', async () => {
    const { default: Orders } = await loadWoven('export default class Orders { static create(a) { return new Orders(a) } submit() {} }');
    Orders.create(5);
    expect(log).toEqual(['new 5']);
  });

  test('a class that needs its own name while it is made keeps it', async () => {
    const { Orders } = await loadWoven('export class Orders { static first = new Orders(1); static { Orders.ready = true } submit() {} }');
    expect([Orders.ready, Orders.first instanceof Orders, log]).toEqual([true, true, ['new 1']]);
    Orders.ready = false;
    expect(Orders.ready).toBe(false);
    new Orders(2);
    expect(log).toEqual(['new 1', 'new 2']);
  });

  test('subclasses in the same module go through the woven base once', async () => {
    const { Rush } = await loadWoven('class Orders { submit() {} #x = 1; x() { return this.#x } }\nexport class Rush extends Orders { y = 2 }');
    const rush = new Rush(3);
    rush.submit();
    expect(log).toEqual(['new 3', 'submit']);
    expect([rush.x(), rush.y]).toEqual([1, 2]);
  });

  test('a call that a subclass inherits is advised once, when only the member is named', async () => {
    const url = freshUrl();
    register([
      { pointcut: here(url).and(execution('submit')), advice: say('submit') },
      { pointcut: here(url).and(construct('Rush')), advice: say('rush') },
    ]);
    const { Rush } = await run(edited('class Orders { submit() {} }\nexport class Rush extends Orders {}', url)!);
    new Rush().submit();
    expect(log).toEqual(['rush', 'submit']);
  });

  test('a subclass that only inherits is woven when its own name is asked for', async () => {
    const url = freshUrl();
    register([{ pointcut: here(url).and(execution('Rush.submit')), advice: say('rush') }]);
    const { Orders, Rush } = await run(edited('export class Orders { submit() {} }\nexport class Rush extends Orders {}', url)!);
    new Orders().submit();
    new Rush().submit();
    expect(log).toEqual(['rush']);
  });

  test('live exports follow for importers in a cycle', async () => {
    const { check } = await loadWoven('export const check = () => new Orders(1) instanceof Orders;\nexport class Orders { submit() {} }');
    expect(check()).toBe(true);
    expect(log).toEqual(['new 1']);
  });

  test.each([
    ['standard', false],
    ['legacy', true],
  ])('classes with decorators lowered by esbuild are woven (%s)', async (_flavour, experimentalDecorators) => {
    const lowered = transformSync(
      `const mark: any = (...a: any[]) => { if (typeof a[0] === 'function' && (a.length === 1 || a[1]?.kind === 'class')) a[0].marked = true };
       @mark export class Orders { @mark submit() { return Orders } constructor(a: number) {} }`,
      { loader: 'ts', target: 'es2022', tsconfigRaw: { compilerOptions: { experimentalDecorators } } },
    ).code;
    const { Orders } = await loadWoven(lowered);
    new Orders(4).submit();
    expect(log).toEqual(['new 4', 'submit']);
    expect([Orders.name, Orders.marked]).toEqual(['Orders', true]);
  });

  test('an aspect registered late reaches classes that came through the editor', async () => {
    const url = freshUrl();
    const early = register([
      { pointcut: here(url).and(execution('submit')), advice: say('early') },
      { pointcut: here(url).and(construct('Orders')), advice: afterThrowing(() => undefined) },
    ]);
    const { Orders } = await run(edited('export class Orders { submit() {} cancel() {} }', url)!);
    const late = register([
      { pointcut: here(url).and(execution('cancel')), advice: say('late') },
      { pointcut: here(url).and(construct()), advice: say('made') },
    ]);
    const orders = new Orders();
    orders.submit();
    orders.cancel();
    expect(log).toEqual(['made', 'early', 'late']);
    expect(late.joinPoints).toEqual(['new Orders', 'Orders.cancel'].toSorted((a, b) => late.joinPoints.indexOf(a) - late.joinPoints.indexOf(b)));
    late.disable();
    early.unweave();
    log.length = 0;
    new Orders().submit();
    orders.cancel();
    expect(log).toEqual([]);
    late.enable();
    new Orders().cancel();
    expect(log).toEqual(['made', 'late']);
  });

  test('an aspect disabled before the module loads stays disabled', async () => {
    const url = freshUrl();
    const handle = register([{ pointcut: here(url).and(named('submit').or(construct())), advice: say('advice') }]);
    handle.disable();
    const { Orders } = await run(edited('export class Orders { submit() {} }', url)!);
    new Orders().submit();
    expect([log, handle.enabled]).toEqual([[], false]);
    handle.enable();
    new Orders().submit();
    expect(log).toEqual(['advice', 'advice']);
  });

  test('explain lists what is woven where, and pointcuts that found nothing yet', async () => {
    const url = freshUrl();
    register([
      { pointcut: here(url).and(construct('Orders')), advice: before(() => undefined, { name: 'capture' }) },
      { pointcut: here(url).and(execution('Orders.sbumit')), advice: before(() => undefined, { name: 'typo' }) },
    ]);
    expect(explain().unmatched.map(({ advice }) => advice)).toEqual(expect.arrayContaining(['capture', 'typo']));
    await run(edited('export class Orders { submit() {} }', url)!);
    const { joinPoints, unmatched } = explain();
    expect(joinPoints).toContainEqual(
      expect.objectContaining({ joinPoint: 'new Orders', module: url, advice: [expect.objectContaining({ kind: 'before', name: 'capture', enabled: true })] }),
    );
    expect(unmatched.filter(({ pointcut }) => pointcut.includes(new URL(url).pathname)).map(({ advice }) => advice)).toEqual(['typo']);
  });

  test('a class that can no longer be woven stays as it is, with a warning', async () => {
    const url = freshUrl();
    register([{ pointcut: here(url).and(execution('submit')), advice: say('x') }]);
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    onTestFinished(() => warn.mockRestore());
    const { Orders } = await run(edited('export class Orders { submit() { return 1 } static { Object.freeze(this.prototype) } }', url)!);
    register([{ pointcut: here(url).and(execution('submit')), advice: say('late') }]);
    expect([new Orders().submit(), log]).toEqual([1, ['x']]);
    expect(warn).toHaveBeenCalledWith(expect.stringContaining('Orders'), expect.objectContaining({ code: 'SP_ASPECTS_LOAD_TIME_FAILED' }));
  });

  test('pointcuts must name their modules', () => {
    expect(() => registerLoadTimeAspect([{ pointcut: execution('submit'), advice: say('x') }])).toThrow(
      expect.objectContaining({ code: 'SP_ASPECTS_LOAD_TIME_NEEDS_WITHIN' }),
    );
    expect(() => registerLoadTimeAspect({})).toThrow(expect.objectContaining({ code: 'SP_ASPECTS_NOT_AN_ASPECT' }));
  });

  test('works through the module hook, for ESM and CommonJS', () => {
    const folder = mkdtempSync(join(tmpdir(), 'spark-proxy-weave-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const file = (name: string, text: string): string => {
      writeFileSync(join(folder, name), text);
      return pathToFileURL(join(folder, name)).href;
    };
    file('orders.mjs', 'export class Orders { submit(id) { return id } }\nexport const line = () => new Error().stack;');
    file('jobs.cjs', 'class Jobs { run() { return 1 } }\nmodule.exports = { Jobs };');
    const source = (path: string): string => JSON.stringify(new URL(`../../src/${path}`, import.meta.url).href);
    const main = file(
      'main.mjs',
      `import { addEditor, installHook } from ${source('loader/hook.ts')};
       import { before, construct, execution, loadTimeEditor, registerLoadTimeAspect, within } from ${source('aspects/index.ts')};
       const seen = [];
       registerLoadTimeAspect([{ pointcut: within('**/{orders.mjs,jobs.cjs}').and(execution('*').or(construct())), advice: before((jp) => void seen.push(String(jp))) }]);
       addEditor(loadTimeEditor);
       installHook();
       const { Orders, line } = await import('./orders.mjs');
       const { Jobs } = await import('./jobs.cjs');
       new Orders().submit(1);
       new Jobs().run();
       console.log(JSON.stringify({ seen, line: /orders\\.mjs:2:/.test(line()) }));`,
    );
    const child = spawnSync(process.execPath, [new URL(main).pathname], { encoding: 'utf8' });
    expect(child.stderr).toBe('');
    expect(JSON.parse(child.stdout)).toEqual({
      seen: ['construct(new Orders)', 'execution(Orders.submit)', 'construct(new Jobs)', 'execution(Jobs.run)', 'execution(line)'],
      line: true,
    });
  });
});
