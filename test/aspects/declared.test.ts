import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseSync } from 'oxc-parser';
import { describe, expect, test } from 'vitest';
import { createEditor } from '../../src/aspects/load-time-editor.ts';
import { execution, within, type Pointcut } from '../../src/aspects/index.ts';
import { Report } from '../../src/aspects/report.ts';
import type { SourceEditor, SourceModule } from '../../src/loader/contract.ts';
import { declarations } from '../../src/loader/declarations.ts';
import { applyEditors } from '../../src/loader/edit.ts';

const MODULES = fileURLToPath(new URL('../../node_modules/', import.meta.url));

/** What is woven, with the parser or, where that is enough, without. */
function woven(module: SourceModule, pointcut: Pointcut, parses: boolean) {
  const report = new Report();
  const { readsDeclarations, ...editor } = createEditor({ bindings: () => [{ pointcut, label: String(pointcut) }], report });
  let read = false;
  const looks: Partial<SourceEditor> = parses ? {} : { readsDeclarations: (...given) => (read = readsDeclarations!(...given)) };
  const text = applyEditors([{ ...editor, ...looks }], module);
  return { text, read, matched: report.rows.matched.toSorted((a, b) => a.line - b.line), skipped: report.rows.skipped };
}

const at = (source: string): SourceModule => ({ url: 'file:///app/m.js', format: 'module', source });

describe('modules that are woven as they are declared, without a parser', () => {
  test('are those of which only methods of plain classes are asked for', () => {
    const source = `export class Orders { submit() {} }\nexport const other = { list() {} };`;
    const read = (pointcut: Pointcut, text = source): boolean => woven(at(text), within('**').and(pointcut), false).read;
    expect(read(execution('Orders.submit'))).toBe(true);
    expect(read(execution('Orders.*'))).toBe(true);
    expect(read(execution('submit'))).toBe(true);
    expect(read(execution('*.submit'))).toBe(true);
    expect(read(execution('list'))).toBe(false);
    expect(read(execution('other.list'))).toBe(false);
    expect(read(execution('*'))).toBe(false);
    expect(read(execution('submit').not())).toBe(false);
    expect(read(execution('submit'), `${source}\nexports['submit'] = () => 1;`)).toBe(false);
    expect(read(execution('submit'), `${source}\nfunction submit() {}`)).toBe(false);
    expect(read(execution('submit'), `${source}\nfunction f() { submit(); }`)).toBe(true);
  });

  test('have the same join points as with the parser, in all that this package depends on', () => {
    let count = 0;
    for (const path of filesOf(MODULES)) {
      const source = readFileSync(path, 'utf8');
      const classes = declarations(source)?.program.body.filter(({ type }) => type === 'ClassDeclaration') ?? [];
      if (classes.length === 0) continue;
      const format = parseSync('m.js', source, { sourceType: 'module', lang: 'js' }).errors.length === 0 ? 'module' : 'commonjs';
      for (const { id, body } of classes as unknown as readonly Declared[]) {
        const method = body.body.findLast(({ type, kind }) => type === 'MethodDefinition' && kind === 'method');
        const pointcut = within('**').and(execution(`${id.name}.${method?.key.name ?? '*'}`));
        const [plain, parsed] = [false, true].map((parses) => woven({ url: `file://${path}`, format, source }, pointcut, parses)) as [Woven, Woven];
        if (!plain.read) continue;
        count++;
        expect([path, plain.matched, plain.skipped]).toEqual([path, parsed.matched, parsed.skipped]);
        expect([path, plain.text === undefined]).toEqual([path, parsed.text === undefined]);
        expect([path, parseSync('m.js', plain.text ?? '', { sourceType: format, lang: 'js' }).errors]).toEqual([path, []]);
        expect(plain.text?.split('\n').length).toBe(parsed.text?.split('\n').length);
      }
    }
    expect(count).toBeGreaterThan(40);
  });
});

interface Declared {
  readonly id: { readonly name: string };
  readonly body: { readonly body: readonly { readonly type: string; readonly kind?: string; readonly key: { readonly name: string } }[] };
}

type Woven = ReturnType<typeof woven>;

/** Files of packages of all kinds, not too many. */
function filesOf(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.[cm]?js$/.test(entry.name))
    .map(({ name, parentPath }) => join(parentPath, name))
    .toSorted()
    .filter((_, n) => n % 7 === 0);
}
