import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseSync, type Program } from 'oxc-parser';
import { describe, expect, test } from 'vitest';
import { declarations } from '../../src/loader/declarations.ts';

const MODULES = fileURLToPath(new URL('../../node_modules/', import.meta.url));

interface Tree {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [key: string]: unknown;
}

const isTree = (value: unknown): value is Tree => typeof value === 'object' && value !== null && typeof (value as Tree).type === 'string';
const parts = (node: Tree): Tree[] => Object.values(node).flatMap((value) => (Array.isArray(value) ? value.filter(isTree) : isTree(value) ? [value] : []));
const all = (node: Tree): Tree[] => [node, ...parts(node).flatMap(all)];

/** A class as far as weaving asks. */
function described(node: Tree): unknown {
  const { id, superClass, body, start, end } = node as Tree & { id: Tree; superClass: Tree | null; body: Tree & { body: Tree[] } };
  const members = body.body.map((member) => [member.type, member.start, member['kind'], member['static'], (member['key'] as Tree)['name']]);
  return { start, end, name: id['name'], extends: superClass?.['name'] ?? superClass !== null, body: [body.start, body.end], members };
}

const classesOf = (program: unknown): unknown[] =>
  (program as { body: Tree[] }).body
    .map((statement) => (statement['declaration'] as Tree | undefined) ?? statement)
    .filter(({ type }) => type === 'ClassDeclaration')
    .map(described);

/** What a function at the top level may be called, the functions of objects included. */
function namesOf(program: Tree): readonly string[] {
  const names: string[] = [];
  const visit = (node: Tree): void => {
    if (node.type.startsWith('Class')) return;
    const { id, key, property, left, computed } = node as Tree & { id?: Tree; key?: Tree; property?: Tree; left?: Tree; computed?: boolean };
    for (const name of [id, key, property, left]) {
      if (name === undefined || name === null) continue;
      if (name.type === 'Identifier' && computed !== true) names.push(String(name['name']));
      else if (name.type === 'Literal' && ['string', 'number'].includes(typeof name['value'])) names.push(String(name['value']));
    }
    if (node.type.includes('Function') || /^(?:If|For|While|DoWhile|Switch|Try|Labeled|With|Template)/.test(node.type)) return;
    for (const part of parts(node)) visit(part);
  };
  visit(program);
  return names;
}

const parsed = (source: string): Program | undefined =>
  (['module', 'commonjs'] as const).map((sourceType) => parseSync('m.js', source, { sourceType, lang: 'js' })).find(({ errors }) => errors.length === 0)
    ?.program;

describe('the declarations of a module, seen without a parser', () => {
  test('are its classes, with their members', () => {
    const source = `import a from './a.js';
export class One { x = 1; y; static z = () => { 1 }; constructor(a = { b: ')' }) { this.a = a } m() { return /}/.test(a) } }
/* class Two {} */
export default class Three extends One { get g() { return \`\${'}'}\` } set g(v) {} static async *s({ a } = {}) {} get() {} static static() {} async
 = 1; }
const four = class5 => { class5.class }; // the last`;
    const found = declarations(source)!;
    expect(classesOf(found.program)).toEqual(classesOf(parsed(source)));
    expect(classesOf(found.program)).toHaveLength(2);
    expect(found.program.body.at(-1)).toMatchObject({ type: 'EmptyStatement', end: source.indexOf(' // the last') });
  });

  test('name whatever else is there, but for what is inside of functions', () => {
    const { names } = declarations(`import { a } from 'b';\nclass C { d() {} }\nfunction e(f) { g }\nexports.h = { 'i j': () => { k } };\nexport { l as m };`)!;
    expect([...names]).toEqual(expect.arrayContaining(['a', 'b', 'e', 'h', 'i j', 'l', 'm']));
    for (const name of ['C', 'd', 'g', 'k']) expect(names.has(name)).toBe(false);
  });

  test.each([
    ['a class in a function', 'function f() { class A {} }'],
    ['a class that is a value', 'const a = class A {}'],
    ['a class that is spread', 'const a = { ...class A {} }'],
    ['a class in a loop', 'for (let i = 0; class A {}.x; ) {}'],
    ['a class without a name', 'export default class { a() {} }'],
    ['a class that extends more than a name', 'class A extends mix(B) { a() {} }'],
    ['a class that extends null', 'class A extends null { a() {} }'],
    ['a name that compilers give', 'let _A = class {}; class _B { a() {} }'],
    ['a private member', 'class A { #a() {} }'],
    ['a member with a computed name', 'class A { [a]() {} }'],
    ['a member that has a text as its name', `class A { 'a'() {} }`],
    ['a member that has a number as its name', 'class A { 1() {} }'],
    ['a static block', 'class A { static { 1 } }'],
    ['a decorator', 'class A { @b c() {} }'],
    ['an accessor', 'class A { accessor b = 1 }'],
    ['fields without semicolons', 'class A { a = 1\n b() {} }'],
    ['a field of that kind before a getter', 'class A { a = b\n get c() {} }'],
    ['a field of that kind, a function', 'class A { a = () => {}\n b() {} }'],
    ['a field without a value before a method', 'class A { a\n b() {} }'],
    ['a function in a field', 'class A { a = function () {}; b() {} }'],
    ['an escape in a name', 'class A { \\u{61}() {} }'],
    ['an escape in a text that may be a name', `exports['\\x61'] = 1; class A {}`],
    ['a number that may be a name', 'const a = { 0x10() {} }; class A {}'],
    ['a number with a point that may be a name', 'const a = { .5: 1 }; class A {}'],
    ['a slash behind a block', 'function f() { {} /a}/g }'],
    ['a comment of HTML', 'x = 1 <!-- a\nclass A {}'],
    ['a text without an end', `class A { a() { 'b\n } }`],
    ['a brace without its brace', 'class A { a() { }'],
  ])('are none where it is not sure: %s', (_what, source) => {
    expect(declarations(source)).toBeUndefined();
  });

  test.each([
    ['a regular expression behind a condition', 'class A { m() { if (a) /}/.test(b) } }'],
    ['a division behind parentheses', `class A { m() { (a + b) / 2; '}' / 1 } }`],
    ['a template in a template', 'class A { m() { `${`}${{ a: 1 }.a}`}` } }'],
    ['texts and comments in parameters', `class A { m(a = ')', /* ) { */ b = { c: [')'] }) /* { */ { '}' // }\n } }`],
    ['properties that are called class', 'class A { m() { a.class = { class: 1 } } }'],
    ['words in comments', 'class A { /** a class */ m() { /* class */ } // class\n }'],
  ])('are not misled by %s', (what, source) => {
    const expected = all(parsed(source) as unknown as Tree).filter(({ type }) => type.startsWith('Class') && type !== 'ClassBody');
    expect([what, classesOf(declarations(source)!.program)]).toEqual([what, expected.map(described)]);
  });

  test('are those that a parser finds, in all that this package depends on', () => {
    let surely = 0;
    for (const path of filesOf(MODULES)) {
      const source = readFileSync(path, 'utf8');
      if (!/\bclass\b/.test(source)) continue;
      const found = declarations(source);
      const program = found === undefined ? undefined : parsed(source);
      if (found === undefined || program === undefined) continue;
      surely++;
      const tree = program as unknown as Tree;
      expect([path, classesOf(found.program)]).toEqual([path, classesOf(program)]);
      expect([path, found.program.body.at(-1)!.end]).toEqual([path, program.body.at(-1)?.end ?? found.program.body.at(-1)!.end]);
      const inside = all(tree).filter(({ type }) => type === 'ClassExpression' || type === 'ClassDeclaration' || type === 'PrivateIdentifier');
      expect([path, inside.length]).toEqual([path, classesOf(program).length]);
      expect([path, namesOf(tree).filter((name) => !found.names.has(name))]).toEqual([path, []]);
    }
    expect(surely).toBeGreaterThan(60);
  });

  test.each([
    ['plain text', 'aaaaaaaaaa'],
    ['words', 'cx subclass <x -y '],
    ['texts', `'aa';"b";`],
    ['templates', '`a${b}`;;'],
    ['blocks', '{x;{y;}}'],
    ['braces that stay open for long', '{'],
  ])('take time in proportion to a method, whatever is in it: %s', (_name, unit) => {
    const body = unit.repeat(1_000_000 / unit.length) + (unit === '{' ? '}'.repeat(1_000_000) : '');
    for (const end of ['', ' a / b;', ' x = /[/]/.test(a);']) {
      const start = performance.now();
      const found = declarations(`class A { m(a) {${body}${end}} n() {} }`);
      expect(classesOf(found?.program)).toEqual([expect.objectContaining({ members: [expect.anything(), expect.anything()] })]);
      expect(performance.now() - start).toBeLessThan(5000);
    }
    expect(declarations(`class A { m(a) {${body}{ n() {} }`)).toBeUndefined();
  });
});

/** Files of packages of all kinds, not too many. */
function filesOf(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.[cm]?js$/.test(entry.name))
    .map(({ name, parentPath }) => join(parentPath, name))
    .toSorted()
    .filter((_, n) => n % 6 === 0);
}
