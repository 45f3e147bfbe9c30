import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';

// Programs of their own, one after the other: on a loaded machine each takes seconds.
vi.setConfig({ testTimeout: 120_000 });

const REGISTER = new URL('../../src/register.ts', import.meta.url).href;
const HOOK = new URL('../../src/loader/hook.ts', import.meta.url).href;
let root: string;

beforeAll(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'spark-proxy-loader-')));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

function files(under: string, contents: Record<string, string>): string {
  for (const [name, text] of Object.entries(contents)) {
    const path = join(root, under, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
  return join(root, under);
}

function run(args: readonly string[], preload = REGISTER): Promise<{ code: number; out: string; err: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, ['--import', preload, ...args], { env: { ...process.env, NODE_OPTIONS: '' } }, (error, out, err) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : error === null ? 0 : 1, out, err });
    });
  });
}

describe('a TypeScript program under the preload', () => {
  test('is a module when it is written as one, whatever npm init wrote into its package.json', async () => {
    const at = files('init', {
      'package.json': '{"type": "commonjs"}',
      'main.ts': "import { old } from './old.ts';\nimport { young } from './young.ts';\nconsole.log(old, await young, typeof require);",
      'young.ts': 'export const young: Promise<number> = Promise.resolve(2);',
      'old.ts': "const answer: number = 1;\nexports.old = answer + (typeof require === 'function' ? 40 : 0);",
    });
    expect(await run([join(at, 'main.ts')])).toMatchObject({ code: 0, out: '41 2 undefined\n' });
  });

  test('runs: types, .js specifiers, queries, CommonJS, enums, decorators of both flavours, JSX, data files', async () => {
    const at = files('program', {
      'package.json': '{"type": "module"}',
      'main.ts': `
        import { dep } from './dep.js';
        import { dep as again } from './dep.js?again=1';
        import { Level } from './level.ts';
        import { Standard } from './standard.ts';
        import { Legacy, seen } from './legacy/legacy.ts';
        import cjs, { main } from './commonjs/lib.cts';
        import { Untyped } from './untyped/index.ts';
        import { view } from './view.tsx';
        import data from './data.json' with { type: 'json' };
        import { createRequire } from 'node:module';
        const require = createRequire(import.meta.url);
        interface Shape { x: number }
        const shape: Shape = { x: dep };
        console.log(JSON.stringify([shape, again === dep, Level.High, new Standard().hello('w'), new Legacy(3).value(), seen, cjs.answer, main, Untyped, view, data.n,
          require('./commonjs/lib.cjs').answer, require('./dep.js').dep, require('./data.json').n]));`,
      'dep.ts': 'export const dep: number = 42;',
      'level.ts': 'export enum Level { Low, High }',
      'standard.ts': `
        function wrap(f: (...a: string[]) => string, context: ClassMethodDecoratorContext) { return function (this: unknown, ...a: string[]) { return String(context.name) + ':' + f.apply(this, a); }; }
        export class Standard { @wrap hello(x: string): string { return x; } }`,
      'legacy/legacy.ts': `
        export const seen: unknown[] = [];
        function mark(target: object, key: string, d: PropertyDescriptor) { seen.push(key, typeof d.value); }
        export class Legacy { constructor(private n: number) {} @mark value() { return this.n; } }`,
      'legacy/tsconfig.json': '{ // comments\n "extends": "../configs/base", /* and */ "compilerOptions": {}, }',
      'configs/base.json': '{"compilerOptions": {"experimentalDecorators": true, "target": "ES2022"}}',
      'commonjs/lib.cts':
        'import path = require("node:path"); const answer: number = path.sep.length; exports.answer = answer; exports.main = typeof require.cache;',
      'untyped/package.json': '{}',
      'untyped/index.ts': 'export const Untyped: string = "esm by its syntax";',
      'view.tsx': 'const React = { createElement: (tag: string, _p: null, ...c: string[]) => tag + c.join() };\nexport const view: string = <p>hi</p>;',
      'data.json': '{"n": 5}',
    });
    const { code, out, err } = await run([join(at, 'main.ts')]);
    expect(err).toBe('');
    expect(JSON.parse(out)).toEqual([{ x: 42 }, true, 1, 'hello:w', 3, ['value', 'function'], 1, 'object', 'esm by its syntax', 'phi', 5, 1, 42, 5]);
    expect(code).toBe(0);
  });

  test('emits the design types of decorated members where tsconfig asks for them', async () => {
    const at = files('metadata', {
      'package.json': '{"type": "module"}',
      'tsconfig.json': '{"compilerOptions": {"experimentalDecorators": true, "emitDecoratorMetadata": true, "target": "es2022"}}',
      'service.ts': 'export class Service {}\nexport interface Options { a: number }',
      'main.ts': `
        import ${JSON.stringify(import.meta.resolve('reflect-metadata'))};
        import { Service, type Options } from './service.ts';
        const d: any = () => undefined;
        enum Level { A, B }
        type Alias = string;
        @d class Consumer<T> {
          constructor(private service: Service, @d public level: Level, options: Options, t: T, ...rest: string[]) {}
          @d name: string = '';
          @d maybe?: number | null;
          @d alias!: Alias;
          @d when!: Date;
          @d async run(a: string[], b: () => void, c: boolean = true): Promise<void> {}
          @d get size(): bigint { return 0n; }
          undecorated: string = '';
        }
        const show = (v: any): any => Array.isArray(v) ? v.map(show) : v?.name ?? null;
        const of = (key: string, member?: string) => show(member === undefined ? Reflect.getMetadata(key, Consumer) : Reflect.getMetadata(key, Consumer.prototype, member));
        console.log(JSON.stringify([of('design:paramtypes'), ['name', 'maybe', 'alias', 'when', 'run', 'size', 'undecorated'].map((m) => of('design:type', m)), of('design:paramtypes', 'run'), of('design:returntype', 'run')]));`,
    });
    const { out, err } = await run([join(at, 'main.ts')]);
    expect(err).toBe('');
    expect(JSON.parse(out)).toEqual([
      ['Service', 'Number', 'Object', 'Object', 'String'],
      ['String', 'Number', 'Object', 'Date', 'Function', 'BigInt', null],
      ['Array', 'Function', 'Boolean'],
      'Promise',
    ]);
  });

  test('reports lines and columns of the source as written, also where decorators are lowered', async () => {
    const at = files('traces', {
      'package.json': '{"type": "module"}',
      'erased.ts': 'interface A { x: number }\n\nexport const boom = (a: A, b: Array<string>): never => { throw new Error(`erased ${a.x}${b.length}`); };\n',
      'lowered.ts':
        'const keep = (f: unknown, _c: unknown) => f;\nenum E { A }\nexport class C {\n  @keep\n  boom(): never {\n    throw new Error(`lowered ${E.A}`);\n  }\n}\n',
      'main.ts':
        'import { boom } from "./erased.ts"; import { C } from "./lowered.ts";\nfor (const f of [() => boom({ x: 1 }, []), () => new C().boom()]) try { f(); } catch (e) { console.log((e as Error).stack!.split("\\n")[1]); }',
    });
    const { out } = await run([join(at, 'main.ts')]);
    expect(out).toContain('erased.ts:3:64');
    expect(out).toContain('lowered.ts:6:11');
  });

  test('reports a syntax error as Node does, with the name of the file', async () => {
    const at = files('broken', { 'main.ts': 'const a: = 1;' });
    const { code, err } = await run([join(at, 'main.ts')]);
    expect(code).toBe(1);
    expect(err).toContain('ERR_INVALID_TYPESCRIPT_SYNTAX');
    expect(err).toContain(join(at, 'main.ts'));
  });

  test('does not find what is not there, and does not strip packages', async () => {
    const at = files('missing', {
      'main.mts': 'for (const s of ["./none.js", "./dep", "pkg"]) await import(s).then(() => console.log("found"), (e) => console.log(e.code));',
      'dep.ts': 'export {}',
      'node_modules/pkg/package.json': '{"type": "module", "exports": "./index.ts"}',
      'node_modules/pkg/index.ts': 'export const a: number = 1;',
    });
    const { out } = await run([join(at, 'main.mts')]);
    expect(out.trim().split('\n')).toEqual([
      'ERR_MODULE_NOT_FOUND',
      'ERR_MODULE_NOT_FOUND',
      expect.stringMatching(/ERR_UNSUPPORTED_NODE_MODULES_TYPE_STRIPPING|ERR_UNKNOWN_FILE_EXTENSION/),
    ]);
  });

  test('is the same in worker threads, which inherit the preload', async () => {
    const at = files('threads', {
      'package.json': '{"type": "module"}',
      'main.ts': 'import { Worker } from "node:worker_threads"; new Worker(new URL("./job.ts", import.meta.url)).on("message", (m: number) => console.log(m));',
      'job.ts': 'import { parentPort } from "node:worker_threads"; import { E } from "./e.js"; parentPort!.postMessage(E.B);',
      'e.ts': 'export enum E { A = 6, B }',
    });
    expect((await run([join(at, 'main.ts')])).out).toBe('7\n');
  });
});

describe('a hook that resolves where it matters', () => {
  const RESOLUTIONS = new URL('../../src/loader/resolutions.ts', import.meta.url).href;
  const preload = (options: string): string =>
    `data:text/javascript,${encodeURIComponent(`import { installHook, resolveImports } from ${JSON.stringify(HOOK)}; import { recordedResolutions } from ${JSON.stringify(RESOLUTIONS)};
      Object.assign(globalThis, { resolveImports, recorded: (url) => [...recordedResolutions(url)].map(([name, to]) => name + ' ' + to.split('/').pop()).sort().join() });
      installHook(${options});`)}`;
  const show = 'console.log(recorded(import.meta.url));';

  test('records from the start, unless told not to', async () => {
    const at = files('recorded', { 'main.mjs': `import './a.mjs'; ${show}`, 'a.mjs': '' });
    expect(await run([join(at, 'main.mjs')], preload(''))).toMatchObject({ err: '', out: './a.mjs a.mjs\n' });
    expect(await run([join(at, 'main.mjs')], preload('{ resolve: false }'))).toMatchObject({ err: '', out: '\n' });
  });

  test('begins below a tsconfig.json, where TypeScript is beside or below the program, with the first module in TypeScript, and when it is asked to', async () => {
    const main = `import './a.js'; ${show}`;
    const below = files('below', { 'package.json': '{"type": "module"}', 'tsconfig.json': '{}', 'src/main.js': main, 'src/a.ts': 'export {};' });
    expect(await run([join(below, 'src', 'main.js')], preload('{ resolve: false }'))).toMatchObject({ err: '', out: './a.js a.ts\n' });
    const first = files('first', { 'package.json': '{"type": "module"}', 'main.ts': main, 'a.ts': 'export {};' });
    expect(await run([join(first, 'main.ts')], preload('{ resolve: false }'))).toMatchObject({ err: '', out: './a.js a.ts\n' });
    const beside = files('beside', { 'package.json': '{"type": "module"}', 'main.js': `import './lib/a.js'; ${show}`, 'lib/a.ts': 'export {};' });
    expect(await run([join(beside, 'main.js')], preload('{ resolve: false }'))).toMatchObject({ err: '', out: './lib/a.js a.ts\n' });
    const typed = files('typed', { 'main.mjs': `import './a.mjs'; ${show}`, 'a.mjs': '', 'a.d.mts': '', 'node_modules/b/b.ts': '' });
    expect(await run([join(typed, 'main.mjs')], preload('{ resolve: false }'))).toMatchObject({ err: '', out: '\n' });
    const asked = files('asked', { 'main.mjs': `resolveImports(); await import('./a.mjs'); ${show}`, 'a.mjs': '' });
    expect(await run([join(asked, 'main.mjs')], preload('{ resolve: false }'))).toMatchObject({ err: '', out: './a.mjs a.mjs\n' });
  });

  test('knows what CommonJS modules required before it began', async () => {
    const at = files('before', {
      'main.cjs': `require('./a.cjs'); require("node:fs"); if (false) require('./never.cjs'); try { require('./missing.cjs') } catch {}
        process.nextTick(() => console.log(recorded(require('node:url').pathToFileURL(__filename).href)));`,
      'a.cjs': '',
      'never.cjs': '',
    });
    const { out, err } = await run([join(at, 'main.cjs')], preload('{ resolve: false }'));
    expect([out, err]).toEqual(['./a.cjs a.cjs\n', '']);
  });
});

describe('editors', () => {
  const preload = (body: string): string =>
    `data:text/javascript,${encodeURIComponent(`import { installHook, addEditor } from ${JSON.stringify(HOOK)}; installHook(); installHook(); ${body}`)}`;

  test('edit ESM, imported and required CommonJS and stripped TypeScript, each module once', async () => {
    const at = files('edited', {
      'package.json': '{}',
      'main.mjs':
        'import c from "./c.cjs"; import "./t.ts"; import "./t.ts?again"; import { createRequire } from "node:module"; createRequire(import.meta.url)("./d.js"); console.log(c.ok);',
      'c.cjs': '#!/usr/bin/env node\nrequire("./e.cjs"); exports.ok = require.cache[__filename] === module;',
      'd.js': 'exports.d = 1;',
      'e.cjs': 'exports.e = 1;',
      't.ts': 'const t: number = 1; export { t };',
    });
    const editor = `addEditor({ name: 'log', wants: (m) => m.url.startsWith('file:') && !m.url.includes('/src/') && !m.url.includes('node_modules'),
      edit: (m) => { m.edit.append('\\n;console.log(' + JSON.stringify(m.url.split('/').pop() + ' ' + m.format + ' ' + m.program.type) + ')'); return true; } });`;
    const { out, err } = await run([join(at, 'main.mjs')], preload(editor));
    expect(err).toBe('');
    const lines = out.trim().split('\n');
    expect(lines.sort()).toEqual(
      [
        'e.cjs commonjs Program',
        'c.cjs commonjs Program',
        't.ts module Program',
        't.ts?again module Program',
        'd.js commonjs Program',
        'true',
        'main.mjs module Program',
      ].sort(),
    );
  });

  test('one that throws is reported and leaves the module and the other editors alone', async () => {
    const at = files('throwing', { 'main.mjs': 'console.log("ran", globalThis.edited);' });
    const editor = `addEditor({ name: 'bad', wants: () => true, edit: (m) => { m.edit.append('syntax error ('); throw new Error('oops'); } });
      addEditor({ name: 'good', wants: (m) => m.url.endsWith('main.mjs'), edit: (m) => { m.edit.prepend('globalThis.edited = 1;'); return true; } });`;
    const { out, err } = await run([join(at, 'main.mjs')], preload(editor));
    expect(out).toBe('ran 1\n');
    expect(err).toMatch(/editor bad failed on file:.*main\.mjs/);
  });

  test('see nothing of syntax errors, JSON and wasm, which Node loads as ever', async () => {
    const at = files('odd', {
      'main.mjs':
        'import { createRequire } from "node:module"; const r = createRequire(import.meta.url); try { r("./bad.cjs") } catch (e) { console.log(e.name, r("./d.json").n) }',
      'bad.cjs': 'const = 1;',
      'd.json': '{"n": 1}',
    });
    const editor = `addEditor({ name: 'all', wants: (m) => { if (m.url.endsWith('.json')) throw new Error('json'); return m.url.includes('/odd/'); }, edit: () => true });`;
    const { out, err } = await run([join(at, 'main.mjs')], preload(editor));
    expect([out, err]).toEqual(['SyntaxError 1\n', '']);
  });
});
