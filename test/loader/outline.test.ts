import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseSync } from 'oxc-parser';
import { describe, expect, test } from 'vitest';
import { outline } from '../../src/loader/outline.ts';

const MODULES = fileURLToPath(new URL('../../node_modules/', import.meta.url));
const emptied = (source: string): string => (outline(source) ?? 'all of it').replaceAll(/ +/g, ' ');

describe('the outline of a module', () => {
  test('has empty bodies, and is as long as the source', () => {
    const source = `import x from 'y';\nclass A { m(a = { b: 1 }) { return /}/.test(a) } get g() { return \`\${'}'}\` } }\nconst f = async () => { { x } };\nif (x) { y }`;
    expect(outline(source)).toHaveLength(source.length);
    expect(emptied(source)).toBe(`import x from 'y';\nclass A { m( ) { } get g() { } }\nconst f = async () => { };\nif (x) { }`);
  });

  test('keeps classes and private names wherever they are, and what is around them', () => {
    expect(emptied(`(function () { const a = () => { 1 }; class B { m() { 2 } } })()`)).toBe(`(function () { const a = () => { }; class B { m() { } } })()`);
    expect(emptied(`class A { #x; m() { return this.#x } n() { 1 } }`)).toBe(`class A { #x; m() { return this.#x } n() { } }`);
    expect(emptied(`class A extends mix(B, { c: 1 }) { m() { 1 } }`)).toBe(`class A extends mix(B, { c: 1 }) { m() { } }`);
    expect(emptied(`class A extends mix(B) { x = 1 }`)).toBe('all of it');
  });

  test.each([
    ['a division behind parentheses', `f = () => { (a + b) / 2; '}' / 1 }; x`, `f = () => { }; x`],
    ['a regular expression behind a condition', `f = () => { if (a) /}/.test(a) }; x`, `f = () => { }; x`],
    ['a method with the name of a statement', `f = () => { a.if(b) / 2 / '}' }; x`, `f = () => { }; x`],
    ['a keyword that is a property', `f = () => { a.return / 2 / '}' }; x`, `f = () => { }; x`],
    ['a keyword behind three dots', `f = () => { [...typeof /}/] }; x`, `f = () => { }; x`],
    ['a comment between', `f = (a) /* ) */ => /* { */ { a /* } */ } // }\nx`, `f = (a) /* ) */ => /* { */ { } // }\nx`],
    ['an object behind a comment that ends with a parenthesis', `x = // (a)\n{ a: 1 }; f = () => { 1 }`, `x = // (a)\n{ a: 1 }; f = () => { }`],
    ['a template in a template', 'f = () => { `${`}${{ a: 1 }.a}`}` }; x', 'f = () => { }; x'],
    ['a class of a regular expression', `f = () => { /[/}]/g.test(a) }; x`, `f = () => { }; x`],
    ['an option called extends', `x = { extends: [y], z() { 1 } }`, `x = { extends: [y], z() { } }`],
  ])('is not misled by %s', (_what, source, expected) => {
    expect(emptied(source)).toBe(expected);
  });

  test.each([
    ['a slash behind a block', `f = () => { {} /a}/g }`],
    ['a slash behind what may be a name', `f = () => { yield /a}/g }`],
    ['a slash behind ++', `f = () => { a++ /2/ 1 }`],
    ['a slash behind for await', `f = async () => { for await (a of b) /}/.test(a) }`],
    ['a slash behind a label', `f = () => { for (;;) break a\n/}/g }`],
    ['a comment of HTML', `f = () => { a <!-- } \n }`],
    ['an escape in a name', `f = () => { \\u{61} }`],
    ['a class that a class extends', `class A extends class { m() { 1 } } { x = 1 }`],
    ['a function that a class extends', `class A extends function () { 1 } () { x = 1 }`],
    ['brackets that do not match', `f = () => { ( } )`],
    ['a text without an end', `f = () => { 'a\n }`],
  ])('is none where it is not sure: %s', (_what, source) => {
    expect(outline(source)).toBeUndefined();
  });

  test('has no parameters, but those of constructors, setters and statements', () => {
    expect(emptied('class A { constructor(a) { 1 } m(a, b = 2) { 1 } set s(v) { 1 } static async t({ a }) { 1 } }')).toBe(
      'class A { constructor(a) { } m( ) { } set s(v) { } static async t( ) { } }',
    );
    expect(emptied('function f(a, b) { 1 } switch (a) { case 1: } for (const a of b) { 1 } try { 1 } catch ({ b }) { 2 }')).toBe(
      'function f( ) { } switch (a) { } for (const a of b) { } try { 1 } catch ({ b }) { }',
    );
    expect(emptied('function f(a = class {}) { 1 }')).toBe('function f(a = class {}) { }');
  });

  test('empties nothing but blocks and parameters, in all that this package depends on', () => {
    const [files, surely] = [filesOf(MODULES), { outlined: 0, not: 0 }];
    for (const path of files) {
      const source = readFileSync(path, 'utf8');
      const brief = outline(source);
      if (brief === undefined) {
        surely.not++;
        continue;
      }
      const parsed = (['module', 'commonjs'] as const).map((sourceType) => ({ sourceType, of: parseSync('m.js', source, { sourceType, lang: 'js' }) }));
      const readable = parsed.find(({ of }) => of.errors.length === 0);
      if (readable === undefined) continue;
      surely.outlined++;
      const again = parseSync('m.js', brief, { sourceType: readable.sourceType, lang: 'js' });
      expect([path, again.errors.length]).toEqual([path, 0]);
      const { blocks, bodies } = blocksOf(readable.of.program);
      const wrong = differences(source, brief).filter(([from, to]) => !isInside(source, blocks, from, to) && !areParameters(source, bodies, from, to));
      expect([path, wrong]).toEqual([path, []]);
    }
    expect(surely.outlined).toBeGreaterThan(200);
    expect(surely.not).toBeLessThan(surely.outlined / 2);
  });
});

/** Files of packages of all kinds, not too many. */
function filesOf(folder: string): readonly string[] {
  const found: string[] = [];
  for (const { name, isFile, parentPath } of readdirSync(folder, { recursive: true, withFileTypes: true }).map((entry) => ({
    name: entry.name,
    isFile: entry.isFile(),
    parentPath: entry.parentPath,
  })))
    if (isFile && /\.[cm]?js$/.test(name)) found.push(join(parentPath, name));
  return found.toSorted().filter((_, n) => n % 8 === 0);
}

interface Blocks {
  /** By where they end: where they begin, -1: not known. */
  readonly blocks: Map<number, number>;
  /** By where bodies of functions begin: the first and the last parameter. */
  readonly bodies: Map<number, readonly { readonly start: number; readonly end: number }[]>;
}

function blocksOf(program: unknown): Blocks {
  const found: Blocks = { blocks: new Map(), bodies: new Map() };
  const visit = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return;
    const { type, start, end, params, body } = node as { type?: string; start: number; end: number; params?: []; body?: { start: number } };
    if (type === 'BlockStatement' || type === 'SwitchStatement') found.blocks.set(end - 1, type === 'SwitchStatement' ? -1 : start + 1);
    if (params !== undefined && body !== undefined) found.bodies.set(body.start, params);
    for (const value of Object.values(node)) if (typeof value === 'object') visit(value);
  };
  visit(program);
  return found;
}

/** What was changed, spaces around it included. */
function differences(source: string, brief: string): readonly (readonly [from: number, to: number])[] {
  const found: [number, number][] = [];
  for (let at = 0; at < source.length; at++) {
    if (source[at] === brief[at]) continue;
    let to = at;
    while (brief[to] === ' ') to++;
    found.push([at, to]);
    at = to;
  }
  return found;
}

/** What was emptied goes from a brace to its brace. */
function isInside(source: string, blocks: ReadonlyMap<number, number>, from: number, to: number): boolean {
  if (source[to] !== '}') return false;
  const start = blocks.get(to);
  return start !== undefined && (start < 0 || (start <= from && source.slice(start, from).trim() === ''));
}

/** What was emptied are all parameters of the function whose body follows. */
function areParameters(source: string, bodies: Blocks['bodies'], from: number, to: number): boolean {
  const behind = /^\)(?:\s|\/\*[^]*?\*\/|\/\/.*\n)*/.exec(source.slice(to, to + 1000));
  const params = behind === null ? undefined : bodies.get(to + behind[0].length);
  return params !== undefined && params.every(({ start, end }) => start >= from && end <= to);
}
