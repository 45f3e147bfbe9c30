import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { collectModules, deserializeGraph, installModules, serializeGraph } from '../../src/closure/index.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'modules-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

async function program(files: Record<string, string>): Promise<Record<string, unknown>> {
  const home = join(directory, 'program');
  for (const [name, text] of Object.entries({ 'package.json': '{"type":"module"}', ...files })) {
    mkdirSync(join(home, name, '..'), { recursive: true });
    writeFileSync(join(home, name), text);
  }
  return (await import(pathToFileURL(join(home, 'main.ts')).href)) as Record<string, unknown>;
}

/** The function as a machine without the program gets it. */
async function elsewhere<T>(value: T, code: string[] = []): Promise<T> {
  const { bytes, imports } = serializeGraph(value);
  const bundle = collectModules(imports, code) as Uint8Array;
  renameSync(join(directory, 'program'), join(directory, 'hidden'));
  return (await deserializeGraph(bytes, {}, { modules: installModules(bundle, join(directory, 'here')) })) as T;
}

const install = (table: unknown, ...contents: string[]): unknown => {
  const header = Buffer.from(typeof table === 'string' ? table : JSON.stringify(table));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(header.length);
  return installModules(Buffer.concat([length, header, ...contents.map((text) => Buffer.from(text))]), join(directory, 'here'));
};
const bad = expect.objectContaining({ code: 'SP_CLOSURE_BAD_MODULES' });

test('relative imports, index files and cycles are found again; each file is there once', async () => {
  const { f } = await program({
    'main.ts': `import { a } from './lib/a.ts'; export const f = ((k) => (x) => a(x) + k)(1);`,
    'lib/a.ts': `import { b } from '../other/b.ts'; export const a = (x: number): number => b(x) * 2; export const one = 1;`,
    'other/b.ts': `import { one } from '../lib/a.ts'; export const b = (x: number): number => x + one;`,
    'other/unused.ts': 'throw new Error("never loaded")',
  });
  const g = await elsewhere(f as (x: number) => number);
  expect(g(3)).toBe(9);
  const files = readdirSync(join(directory, 'here'), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
  expect(files.map((name) => name.split('/').at(-1)).sort()).toEqual(['a.ts', 'b.ts']);
});

test('TypeScript is compiled as the tsconfig.json of the program says, whatever it extends', async () => {
  const { f } = await program({
    'main.ts': `import { names } from './decorated.ts'; export const f = ((k) => () => [...names, k])('end');`,
    'decorated.ts': `export const names: string[] = [];
      function mark(target: object, name: string): void { names.push(typeof name + ' ' + name); }
      export class A { @mark run(): void {} }`,
    'base.json': '{ "compilerOptions": { "experimentalDecorators": true } }',
    'tsconfig.json': '{ "extends": "./base.json" }',
  });
  expect((await elsewhere(f as () => string[]))()).toEqual(['string run', 'end']);
});

test('JSON is found where the modules are that import it', async () => {
  const { f } = await program({
    'main.ts': `import { a } from './a.ts'; import * as all from './d.json' with { type: 'json' }; export const f = ((k) => () => a() + all.default.k + k)(1);`,
    'a.ts': `import d from './d.json' with { type: 'json' }; export const a = () => d.k;`,
    'd.json': '{ "k": 20 }',
  });
  expect((await elsewhere(f as () => number))()).toBe(41);
});

test('files that code names itself travel when application.code says so: import(), import.meta', async () => {
  const { f } = await program({
    'main.ts': `import { readFileSync } from 'node:fs'; import { z } from './zero.ts';
      export const f = async () => [z, (await import('./later.ts')).later, readFileSync(new URL('./words.txt', import.meta.url), 'utf8')];`,
    'zero.ts': 'export const z = () => 0;',
    'later.ts': 'export const later: string = "later";',
    'words.txt': 'words',
  });
  const g = await elsewhere(
    (
      (h) => () =>
        h()
    )(f as () => Promise<unknown[]>),
    [join(directory, 'program', 'later.ts'), join(directory, 'program', 'words.txt')],
  );
  expect((await g()).slice(1)).toEqual(['later', 'words']);
});

test('where the files are already the same, they are used there and nothing is written', async () => {
  const { f } = await program({ 'main.ts': `import { a } from './a.ts'; export const f = ((k) => () => a() + k)(1);`, 'a.ts': 'export const a = () => 1;' });
  const { imports } = serializeGraph(f);
  const map = installModules(collectModules(imports) as Uint8Array, join(directory, 'here'));
  expect(map('file:///x.ts')).toBe('file:///x.ts');
  expect(existsSync(join(directory, 'here'))).toBe(false);
});

test('the same modules give the same bytes; those of Node and of spark-proxy do not travel', async () => {
  const { f } = await program({ 'main.ts': `import { a } from './a.ts'; export const f = ((k) => () => a() + k)(1);`, 'a.ts': 'export const a = () => 1;' });
  const { imports } = serializeGraph(f);
  expect(collectModules(imports, [])).toEqual(collectModules([...imports], []));
  expect(collectModules(serializeGraph({ readFileSync, expect: serializeGraph }).imports)).toBeUndefined();
});

test('a file that is too large is named', async () => {
  await program({ 'main.ts': 'export {};' });
  writeFileSync(join(directory, 'program', 'big.bin'), Buffer.alloc(65 * 1024 * 1024));
  expect(() => collectModules([], [join(directory, 'program')])).toThrow(
    expect.objectContaining({ code: 'SP_CLOSURE_TOO_MUCH_CODE', message: expect.stringContaining('big.bin') }),
  );
});

test.each([
  ['no table', ''],
  ['not JSON', '{'],
  ['null', 'null'],
  ['no rows', { files: {}, imports: [], options: [] }],
  ['a name that is no file', { files: [['http://127.0.0.1/x.js', 0]], imports: [], options: [] }],
  ['a file of another host', { files: [['file://elsewhere/x.js', 0]], imports: [], options: [] }],
  ['a size below zero', { files: [['file:///x.js', -1]], imports: [], options: [] }],
  ['more than there is', { files: [['file:///x.js', 5]], imports: [], options: [] }],
  ['options of no folder', { files: [], imports: [], options: [['data:,', {}]] }],
])('a damaged bundle (%s) is refused by code', (_, table) => {
  expect(() => install(table)).toThrow(bad);
  expect(() => installModules(Uint8Array.of(0, 0, 255, 255, 1), join(directory, 'here'))).toThrow(bad);
});

test('a name with dots stays below the directory', () => {
  const at = (url: string): unknown => install({ files: [[url, 1]], imports: [], options: [] }, 'x');
  at('file:///../../x.js');
  at('file:///a/%2e%2e/%2e%2e/y.js');
  expect(() => at('file:///a/..%2f..%2fx.js')).toThrow(bad);
  expect(readdirSync(directory)).toEqual(['here']);
  expect(readdirSync(join(directory, 'here')).sort()).toEqual(['x.js', 'y.js']);
});
