import { describe, expect, test } from 'vitest';
import { applyEditors } from '../../src/loader/edit.ts';
import type { SourceEditor } from '../../src/loader/contract.ts';
import { detectFormat } from '../../src/loader/format.ts';
import { jsoncToJson } from '../../src/loader/tsconfig.ts';
import { stripTypes } from '../../src/loader/typescript.ts';

test('comments and trailing commas go, strings stay', () => {
  const text = '\uFEFF{ // one\n "a": "// not, } a comment", /* two */ "b": [1, 2, ], "c": "\\"/*", }';
  expect(JSON.parse(jsoncToJson(text))).toEqual({ a: '// not, } a comment', b: [1, 2], c: '"/*' });
});

test('the format of a module that does not say it follows its syntax', () => {
  const formats = [
    'export {}',
    'import "a"',
    'import.meta.url',
    'await 1',
    'exports.a = 1',
    'import("a")',
    'async () => await 1',
    'const require = 1; // await',
  ].map(detectFormat);
  expect(formats).toEqual(['module', 'module', 'module', 'module', 'commonjs', 'commonjs', 'commonjs', 'commonjs']);
});

test('static fields and blocks of a decorated class see the class', async () => {
  const source = [
    'const same = (value, _context) => value;',
    'function mixin(o) { return class { static o = o }; }',
    '@same class Single { static one = new Single(); #p = 1; get p() { return this.#p; } }',
    '@same class Derived extends Single { static me = Derived.name; static { Derived.two = new Derived(); } }',
    '@same class Mixed extends mixin({ a: 1 }) { b = Mixed.o.a; }',
    '@same class Empty {}',
    'export const seen = [Single.one.p, typeof Derived.me, Derived.two instanceof Single, new Mixed().b, new Empty() instanceof Empty];',
  ];
  const { source: code } = stripTypes('/app/decorated.ts', source.join('\n'));
  const { seen } = (await import(`data:text/javascript,${encodeURIComponent(code)}`)) as { seen: unknown };
  expect(seen).toEqual([1, 'string', true, 1, true]);
});

describe('editors on one module', () => {
  const append = (name: string, text: string, wants = true): SourceEditor => ({
    name,
    wants: () => wants,
    edit: (module) => {
      module.edit.append(text);
      return true;
    },
  });
  const module = { url: 'file:///a.js', format: 'module', source: 'let a;' } as const;

  test('share one parse and one text, in the order they were added', () => {
    expect(applyEditors([append('x', '/*x*/'), append('y', '/*y*/')], module)).toMatch(/^let a;\/\*x\*\/\/\*y\*\//);
  });

  test('change nothing when none wants it, when it was edited before, when it is huge or cannot be parsed', () => {
    const editors = [append('x', '/*x*/')];
    const again = applyEditors(editors, module) as string;
    expect(applyEditors([append('x', '', false)], module)).toBeUndefined();
    expect(applyEditors(editors, { ...module, source: again })).toBeUndefined();
    expect(applyEditors(editors, { ...module, source: `/*${' '.repeat(3_000_000)}*/` })).toBeUndefined();
    expect(applyEditors(editors, { ...module, source: 'let = ;' })).toBeUndefined();
  });
});
