/** The error tables of src/, found by the call that declares them, and where their rows are used. */
import { readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseSync, Visitor, type ObjectExpression } from 'oxc-parser';
import { globSync } from 'tinyglobby';
import { errorTable, SparkProxyError, type ErrorRow } from '../src/core/errors.ts';
import { ROOT } from './generated.ts';

/** One `defineErrors` table. */
export interface DeclaredTable {
  readonly file: string;
  readonly exportName: string;
  /** Row name -> what it says. */
  readonly rows: ReadonlyMap<string, ErrorRow>;
}

/** A place where a row makes an error. */
export interface RowUse {
  readonly file: string;
  readonly line: number;
  readonly row: ErrorRow;
  /** Names of the fields given; undefined where they cannot be read from the source. */
  readonly fields: readonly string[] | undefined;
}

const read = (file: string): string => readFileSync(join(ROOT, file), 'utf8');
const sources = (): string[] => globSync('src/**/*.ts', { cwd: ROOT }).sort();

/** Every table, by file. Modules are imported, so rows are what the program sees. */
export async function declaredTables(): Promise<DeclaredTable[]> {
  const tables: DeclaredTable[] = [];
  for (const file of sources()) {
    const exported = [...read(file).matchAll(/^export const (\w+) = defineErrors\(/gm)].map((match) => match[1] as string);
    if (exported.length === 0) continue;
    const module = (await import(pathToFileURL(join(ROOT, file)).href)) as Record<string, Record<string, () => unknown>>;
    for (const exportName of exported) {
      const rows = new Map<string, ErrorRow>();
      for (const [name, make] of Object.entries(module[exportName] ?? {})) {
        const error = make();
        const row = SparkProxyError.is(error) ? errorTable().find(({ code }) => code === error.code) : undefined;
        if (row !== undefined) rows.set(name, row);
      }
      tables.push({ file, exportName, rows });
    }
  }
  return tables;
}

/** Uses of the rows of all tables, as `<table>.<ROW>(fields)` or `<table>.<ROW>`. */
export function usesOf(tables: readonly DeclaredTable[]): RowUse[] {
  return sources().flatMap((file) => usesIn(file, read(file), tables));
}

function usesIn(file: string, source: string, tables: readonly DeclaredTable[]): RowUse[] {
  const { program, module } = parseSync(file, source);
  const local = new Map<string, DeclaredTable>(tables.filter((table) => table.file === file).map((table) => [table.exportName, table]));
  for (const { moduleRequest, entries } of module.staticImports) {
    const target = posix.join(posix.dirname(file), moduleRequest.value);
    for (const { importName, localName } of entries) {
      const table = tables.find((one) => one.file === target && one.exportName === importName.name);
      if (table !== undefined) local.set(localName.value, table);
    }
  }
  if (local.size === 0) return [];
  const uses: RowUse[] = [];
  const called = new Map<number, readonly string[] | undefined>();
  new Visitor({
    CallExpression({ callee, arguments: [first] }) {
      if (callee.type !== 'MemberExpression') return;
      called.set(callee.start, first === undefined ? [] : first.type === 'ObjectExpression' ? keysOf(first) : undefined);
    },
    MemberExpression({ object, property, computed, start }) {
      if (object.type !== 'Identifier' || computed || property.type !== 'Identifier') return;
      const row = local.get(object.name)?.rows.get(property.name);
      if (row !== undefined) uses.push({ file, line: source.slice(0, start).split('\n').length, row, fields: called.get(start) });
    },
  }).visit(program);
  return uses;
}

function keysOf({ properties }: ObjectExpression): readonly string[] | undefined {
  const keys: string[] = [];
  for (const property of properties) {
    if (property.type !== 'Property' || property.computed || property.key.type !== 'Identifier') return undefined;
    keys.push(property.key.name);
  }
  return keys;
}

/** Names in braces of a row's message and remedy. */
export function placeholders({ message, remedy }: ErrorRow): string[] {
  return [...new Set([...`${message} ${remedy}`.matchAll(/\{(\w+)\}/g)].map((match) => match[1] as string))];
}
