import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';

// Programs of their own, one after the other: on a loaded machine each takes seconds.
vi.setConfig({ testTimeout: 120_000 });

const REGISTER = new URL('../../src/register.ts', import.meta.url).href;
const PRELOAD = new URL('../../src/aspects/preload.ts', import.meta.url).href;
const ASPECTS = JSON.stringify(new URL('../../src/aspects/index.ts', import.meta.url).href);
const CLI = new URL('../../src/cli/main.ts', import.meta.url).pathname;
let root: string;

beforeAll(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'spark-proxy-register-')));
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

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

function run(args: readonly string[], { cwd = root, env = {} }: { cwd?: string; env?: Record<string, string> } = {}): Promise<Ended> {
  const own = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(NODE_OPTIONS|VITEST.*|SPARK_.*)$/.test(name)));
  return new Promise((resolve) => {
    execFile(process.execPath, [...args], { cwd, env: { ...own, ...env }, timeout: 60_000 }, (error, out, err) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : error === null ? 0 : 1, out, err });
    });
  });
}

/** Says each join point that is run, on standard output. */
const TRACE = (pointcut: string): string =>
  `import { before, parsePointcut } from ${ASPECTS};
   export const trace = [{ pointcut: parsePointcut(${JSON.stringify(pointcut)}), advice: before((jp) => console.log('> ' + jp)) }];`;

const lines = (text: string): string[] => text.trim().split('\n');

describe('weaving of a program from outside', () => {
  test('reaches hidden code, ESM and CommonJS, TypeScript and JavaScript; traces name the original', async () => {
    const at = files('hidden', {
      'package.json': '{"type":"module"}',
      'aspects.ts': TRACE("within('**/lib/**') && (execution('*') || construct())"),
      'main.ts': `import { start } from './lib/service.ts'; import cjs from './lib/old.cjs'; console.log(start(2)); console.log(cjs.run(1));`,
      'lib/service.ts': `interface Order { id: number }
class Hidden { #count: number = 0; #add(by: number): number { return (this.#count += by); } get size(): number { return this.#count; } add(by: number) { this.#add(by); return this; } static make() { return new Hidden(); } }
const twice = <T>(x: T): T[] => [x, x];
function where(): string { return new Error('x').stack!.split('\\n').slice(1, 3).map((line) => line.trim().replace(/file:.*\\//, '').replace(/.*\\/(lib)/, '$1')).join(' | '); }
export function start(n: number): string { return twice(Hidden.make().add(n).size).join() + ' ' + where(); }`,
      'lib/old.cjs': `class Job { go(n) { return n + 1 } }\nmodule.exports = { run: (n) => new Job().go(n) };`,
    });
    const { out, err, code } = await run(['--import', REGISTER, 'main.ts'], { cwd: at, env: { SPARK_PROXY_ASPECTS: './aspects.ts' } });
    expect(err).toBe('');
    expect(code).toBe(0);
    const said = lines(out);
    expect(said.filter((line) => line.startsWith('> '))).toEqual(
      [
        '> execution(start)',
        '> execution(static Hidden.make)',
        '> construct(new Hidden)',
        '> execution(Hidden.add)',
        '> execution(Hidden.#add)',
        '> execution(twice)',
        '> execution(where)',
        '> execution(default.run)',
        '> construct(new Job)',
        '> execution(Job.go)',
      ].map((line) => line.replace('default.run', 'run')),
    );
    // Its own name, line and column.
    expect(said.find((line) => line.startsWith('2,2'))).toMatch(/^2,2 at where \(service\.ts:4:\d+\) \| /);
  });

  test('is inherited by worker threads and forked processes, also with execArgv [] and env {}', async () => {
    const at = files('inherit', {
      'package.json': '{"type":"module","spark-proxy":{"aspects":["./aspects.js"]}}',
      'aspects.js': TRACE("within('**/job.js') && execution(job)"),
      'job.js': `export function job(from) { console.log('ran', from); }`,
      'child.js': `import { job } from './job.js'; import { workerData } from 'node:worker_threads'; job(workerData ?? process.argv[2]);`,
      'main.js': `import { Worker } from 'node:worker_threads'; import { fork } from 'node:child_process'; import { once } from 'node:events';
        for (const [workerData, options] of Object.entries({ plain: {}, bare: { execArgv: [] }, empty: { execArgv: [], env: {} } })) {
          const worker = new Worker(new URL('./child.js', import.meta.url), { workerData, ...options });
          if (!(worker instanceof Worker)) throw new Error('identity');
          await once(worker, 'exit');
        }
        for (const [name, options] of Object.entries({ forked: {}, 'forked bare': { execArgv: [] }, 'forked empty': { execArgv: [], env: {} } }))
          await once(fork(new URL('./child.js', import.meta.url).pathname, [name], options), 'exit');`,
    });
    const all = ['plain', 'bare', 'empty', 'forked', 'forked bare', 'forked empty'].flatMap((name) => ['> execution(job)', `ran ${name}`]);
    // What a thread has of the process is refused when it is named, and nobody has named it here.
    for (const options of [[], ['--max-old-space-size=200', '--no-memory-reducer']]) {
      const { out, err } = await run([...options, '--import', PRELOAD, 'main.js'], { cwd: at });
      expect(err).toBe('');
      expect(lines(out)).toEqual(all);
    }
    const named = await run(
      ['--import', PRELOAD, '--eval', `new (require('node:worker_threads').Worker)('./child.js', { execArgv: ['--max-old-space-size=200'] })`],
      { cwd: at },
    );
    expect(named.err).toContain('ERR_WORKER_INVALID_EXEC_ARGV');
  });

  test('is registered from code, with include and exclude, and switched', async () => {
    const at = files('code', {
      'package.json': '{"type":"module"}',
      'a.js': 'export const a = () => 1;',
      'b.js': 'export const b = () => 2;',
      'main.js': `import { around, execution, register } from ${ASPECTS};
        const handle = register({ aspects: [[{ pointcut: execution('?'), advice: around((_jp, proceed) => proceed() + 10) }]], include: ['**/code/*.js'], exclude: ['**/b.js'] });
        const { a } = await import('./a.js'); const { b } = await import('./b.js');
        console.log(a(), b()); handle.disable(); console.log(a()); handle.enable(); console.log(a(), handle.joinPoints.join()); handle.unweave(); console.log(a());`,
    });
    const { out, err } = await run(['main.js'], { cwd: at });
    expect([lines(out), err]).toEqual([['11 2', '1', '11 a', '1'], '']);
  });

  test('what is configured wrongly is refused with a code', async () => {
    const at = files('wrong', { 'package.json': '{"type":"module"}', 'none.js': 'export const x = 1;', 'main.js': '' });
    for (const [asked, code] of [
      ['./missing.js', 'SP_ASPECTS_ASPECT_MODULE'],
      ['./none.js', 'SP_ASPECTS_ASPECT_MODULE'],
      ['no-such-package', 'SP_ASPECTS_ASPECT_MODULE'],
      ['{"aspects":[1]}', 'SP_ASPECTS_CONFIGURATION'],
      ['{"aspects":["./none.js"],"inlude":[]}', 'SP_ASPECTS_CONFIGURATION'],
      ['{', 'SP_ASPECTS_CONFIGURATION'],
    ] as const) {
      const { code: status, err } = await run(['--import', PRELOAD, 'main.js'], { cwd: at, env: { SPARK_PROXY_ASPECTS: asked } });
      expect([asked, status, err.includes(code)]).toEqual([asked, 1, true]);
    }
  });
});

describe('what cannot be woven runs as it is', () => {
  test('hashbang, top-level await, JSON, CommonJS with return, huge, woven already, syntax errors', async () => {
    const huge = `export const huge = () => 'huge';\n//${'x'.repeat(2 * 1024 * 1024)}\n`;
    const at = files('odd', {
      'package.json': '{"type":"module"}',
      'aspects.js': TRACE("within('**/odd/*') && execution('*') && !within('**/aspects.js')"),
      'hash.js': '#!/usr/bin/env node\nexport function hash() { return "hash"; }',
      'await.js': 'const value = await Promise.resolve("tla"); export const tla = () => value;',
      'data.json': '{"execution": 1}',
      'returns.cjs': '"use strict"; function early() { return this === undefined } exports.early = early; return; unreachable();',
      'huge.js': huge,
      'bom.js': '\uFEFFexport function bom() { return "bom" }',
      'empty.js': '',
      'woven.js': 'export const woven = () => globalThis[Symbol.for("spark-proxy.weave")] !== undefined;',
      'broken.js': 'export function broken( { return 1 }',
      'main.js': `import { hash } from './hash.js'; import { tla } from './await.js'; import data from './data.json' with { type: 'json' }; import cjs from './returns.cjs'; import { huge } from './huge.js';
        import { bom } from './bom.js'; import './empty.js'; import { woven } from './woven.js';
        console.log(hash(), tla(), data.execution, (0, cjs.early)(), huge(), bom(), woven());
        await import('./broken.js').catch((e) => console.log(e.name));`,
    });
    const { out, err, code } = await run(['--import', PRELOAD, 'main.js'], { cwd: at, env: { SPARK_PROXY_ASPECTS: './aspects.js' } });
    expect(lines(out)).toEqual([
      '> execution(hash)',
      '> execution(tla)',
      '> execution(early)',
      '> execution(bom)',
      'hash tla 1 true huge bom true',
      'SyntaxError',
    ]);
    expect(err).toMatch(/SP_ASPECTS_NOT_WOVEN.*huge\.js is not woven: it has more than/);
    expect(err).toMatch(/SP_ASPECTS_NOT_WOVEN.*broken\.js is not woven: it has a syntax error/);
    expect(code).toBe(0);
  });

  test('another hook that drops woven CommonJS source is told of', async () => {
    const at = files('dropped', {
      'lib.cjs': 'exports.lib = function lib() { return 1 };',
      'main.mjs': `import { registerHooks } from 'node:module'; import { createRequire } from 'node:module'; import { setImmediate } from 'node:timers/promises';
        import { before, execution, register, within } from ${ASPECTS};
        register({ aspects: [[{ pointcut: within('**/lib.cjs').and(execution('lib')), advice: before(() => console.log('woven')) }]] });
        registerHooks({ load(url, context, next) { const loaded = next(url, context); return url.endsWith('lib.cjs') ? { ...loaded, source: 'exports.lib = () => 2' } : loaded; } });
        console.log(createRequire(import.meta.url)('./lib.cjs').lib()); await setImmediate(); await setImmediate();`,
    });
    const { out, err } = await run(['main.mjs'], { cwd: at });
    expect(lines(out)).toEqual(['2']);
    expect(err).toMatch(/SP_ASPECTS_DROPPED.*lib\.cjs did not run: another module hook/);
  });
});

describe('spark-proxy explain', () => {
  const program = (): string =>
    files('explain', {
      'package.json': '{"type":"module"}',
      'aspects.js': `import { around, parsePointcut } from ${ASPECTS};
        export default ["within('**/orders.js') && execution(Orders.submit)", "within('**/orders.js') && execution(Orders.sbumit)", "within('**/orders.js') && call(fetch)"]
          .map((text) => ({ pointcut: parsePointcut(text), advice: around((_jp, proceed) => 'advised ' + proceed(), { name: 'adv' }) }));`,
      'orders.js': 'export class Orders {\n  submit() { return fetch?.name; }\n  again(client) { return client?.fetch(); }\n}',
      'main.js': `import { Orders } from './orders.js'; console.log(new Orders().submit(), process.argv[2]);`,
    });

  test('says what matched, what did not, and what was skipped', async () => {
    const at = program();
    const { out, err, code } = await run([CLI, 'explain', '--aspects', './aspects.js', '--json', 'main.js', 'arg'], { cwd: at });
    expect(code).toBe(0);
    expect(err).toContain('advised fetch arg');
    const report = JSON.parse(out) as { shadows: object[]; unmatched: { pointcut: string }[]; skipped: object[] };
    const module = `file://${at}/orders.js`;
    expect(report.shadows).toEqual([
      { joinPoint: 'Orders.submit', kind: 'execution', module, line: 2, pointcuts: ["within('**/orders.js') && execution('Orders.submit')"] },
    ]);
    expect(report.unmatched.map(({ pointcut }) => pointcut)).toEqual([
      "within('**/orders.js') && execution('Orders.sbumit')",
      "within('**/orders.js') && call('fetch')",
    ]);
    expect(report.skipped).toEqual([{ joinPoint: 'call fetch', module, line: 3, why: 'it is part of an optional chain' }]);
  });

  test('weaves nothing in a dry run, is strict when asked, and dumps what was woven', async () => {
    const at = program();
    const dry = await run([CLI, 'explain', '--dry-run', '--strict', 'main.js', 'arg'], { cwd: at, env: { SPARK_PROXY_ASPECTS: './aspects.js' } });
    expect(dry.err).toContain('fetch arg');
    expect(dry.err).not.toContain('advised');
    expect(dry.err).toMatch(/SP_ASPECTS_NO_MATCH: pointcut within.*sbumit/);
    expect(dry.code).toBe(1);
    expect(dry.out).toMatch(/^1 join points matched\n[^]*Orders\.submit +file:.*orders\.js:2[^]*matched nothing\n[^]*sbumit[^]*skipped\n +call fetch/);
    const dumped = await run([CLI, 'explain', '--dump', 'dump', '--aspects', './aspects.js', 'main.js'], { cwd: at });
    expect(dumped.code).toBe(0);
    expect(readFileSync(join(at, 'dump', at, 'orders.js'), 'utf8')).toMatch(
      /^export class Orders \{static\{\$sp\(0\)\(this\)\}\n {2}submit\(\) \{ return fetch\?\.name; \}\n/,
    );
  });

  test('a program without aspects, or that is not there, is refused', async () => {
    const at = program();
    expect((await run([CLI, 'explain', 'main.js'], { cwd: at })).err).toContain('SP_CLI_NOTHING_TO_EXPLAIN');
    expect((await run([CLI, 'explain', 'none.js'], { cwd: at })).err).toContain('SP_CLI_NO_SUCH_FILE');
  });
});
