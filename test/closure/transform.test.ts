import { readFileSync } from 'node:fs';
import vm from 'node:vm';
import { describe, expect, test } from 'vitest';
import { captureEditor } from '../../src/closure/index.ts';
import { applyEditors } from '../../src/loader/edit.ts';
import * as shapes from './fixtures/shapes.ts';

const plain = (await import(`./fixtures/shapes.ts?${'plain'}`)) as typeof shapes;

describe('a transformed module', () => {
  test('is really transformed', () => {
    expect(shapes.nested.toString()).toContain('__spc(');
  });

  test('keeps function names and lengths', () => {
    const expected = ['arrow', 1, 'fn', 'plain', 'quoted key', 'method', 'computed', 'assigned', 'field', '#secret', 'stat', 'dflt', 'declared', 1, 'Holder'];
    expect(shapes.names()).toEqual(expected);
    expect(shapes.default.name).toBe('default');
  });

  test('adds no property that a program can see', () => {
    expect(shapes.keysOfFunction()).toEqual([['length', 'name'], ['length', 'name', 'prototype'], null]);
  });

  test('keeps hoisting, the temporal dead zone and strictness', () => {
    expect([shapes.early, shapes.tdzEarly, shapes.tdz()]).toEqual(['declared', 'ReferenceError', '7']);
    expect(shapes.strictThis).toBeUndefined();
    expect(shapes.nested(1)(2)).toBe(10);
  });

  test('keeps generators, closures over changing bindings, loops and classes', () => {
    expect([...shapes.gen()]).toEqual([7]);
    shapes.counter.inc();
    expect([shapes.counter.inc(), shapes.counter.n, shapes.inLoop]).toEqual([2, 2, [8, 9]]);
    const derived = shapes.Derived.from([1, 2]) as shapes.Derived;
    expect([derived.sum(), derived.map((x) => x) instanceof shapes.Derived, derived.length]).toEqual([10, false, 2]);
  });

  test('keeps the text of a function that holds no other', () => {
    expect(shapes.text.toString()).toBe(plain.text.toString());
  });

  test('keeps lines, and columns where a function is a statement of its own', () => {
    const place = (fn: () => never): string | undefined => {
      try {
        return fn();
      } catch (e) {
        return /shapes\.ts[^:]*:(\d+:\d+)/.exec((e as Error).stack ?? '')?.[1];
      }
    };
    const lines = readFileSync(new URL('./fixtures/shapes.ts', import.meta.url), 'utf8').split('\n');
    const line = lines.findIndex((text) => text.includes('new Error(`at'));
    expect(place(shapes.thrower)).toBe(`${line + 1}:${(lines[line] as string).indexOf('new Error') + 1}`);
  });
});

describe('the capture editor', () => {
  const url = 'file:///app/main.js';
  const edited = (source: string, format: 'module' | 'commonjs' = 'module'): string =>
    (applyEditors([captureEditor()], { url, source, format }) ?? source).replace(/\n\/\/# spark-proxy=edited$/, '');

  test('keeps the number of lines, and each line begins as before', () => {
    const source = '#!/usr/bin/env node\n"use strict";\nconst a = 1;\nconst f = (x) =>\n  x + a;\nrun(function () {\n  return a;\n});\n';
    const lines = edited(source).split('\n');
    expect(lines.length).toBe(source.split('\n').length);
    expect(lines.slice(0, 2)).toEqual(['#!/usr/bin/env node', '"use strict";']);
    expect(lines[3]).toBe('const f = (x) =>');
  });

  test('keeps automatic semicolons, and keywords apart from what follows', () => {
    const source = [
      'const k = 7',
      'const a = () => k',
      'const b = [1, 2]',
      ';[b[0]] = [a()]',
      'const c = (x) => { if (x) return(y) => y + k',
      '}',
      'let d, e = d => typeof(z => z + k + d)',
      'if (k) var f = () => k',
      'for (var g = () => k; false;) {}',
      'var h = function () { return k }, i = h()',
      ';({ a: d = () => k } = {})',
      'const o = { get k() { return k }, set k(v) { d.v = v + k }, async m() { return k }, "x\\ny"() { return k } }',
      'o.k = 1',
      'switch (k) { case 7: function inner() { return k } }',
      '[b, e(1), c(1)(1), f(), g(), i, d.name, d.v, o.k, inner.name, o["x\\ny"]()]',
    ].join('\n');
    const expected = vm.runInThisContext(`(() => { ${source.replace(/\n(\[b, )/, ';return $1')} })()`) as unknown;
    const changed = edited(source.replace(/\n(\[b, )/, ';module.exports = $1'), 'commonjs');
    expect(changed).toContain('return __spc(');
    const module = { exports: undefined as unknown };
    (vm.compileFunction(changed, ['module']) as (m: object) => void)(module);
    expect(module.exports).toEqual(expected);
    expect(expected).toEqual([[7, 2], 'function', 8, 7, 7, 7, 'd', 8, 7, 'inner', 7]);
  });

  test('leaves functions that capture nothing alone', () => {
    expect(edited('console.log([1].map((x) => x + Math.max(x, 1)));')).toBe('console.log([1].map((x) => x + Math.max(x, 1)));');
  });

  test('reads a binding named like its own parameter', () => {
    expect(edited('const i = 1; run(() => i);')).toContain('i_=>i)');
  });

  test('is not for packages, nor for this package itself', () => {
    const editor = captureEditor();
    const own = new URL('../../src/core/clock.ts', import.meta.url).href;
    const wants = (at: string): boolean => editor.wants({ url: at, format: 'module', source: 'const a = () => 1' });
    expect([wants(url), wants('file:///app/node_modules/x/i.js'), wants(own), wants('data:text/javascript,1'), wants(import.meta.url)]).toEqual([
      true,
      false,
      false,
      false,
      true,
    ]);
  });

  test('edits a module once', () => {
    const once = applyEditors([captureEditor()], { url, source: 'const a = 1; run(() => a);', format: 'module' }) as string;
    expect(applyEditors([captureEditor()], { url, source: once, format: 'module' })).toBeUndefined();
  });
});
