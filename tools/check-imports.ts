/**
 * Checks that each folder of src/ imports only from the folders that its row in ARCHITECTURE.md's table names.
 * A cell lists folders, separated by commas; `storage (types)` allows `import type` only; `nothing`, `all above` and
 * `all` are what they say. `src/core` may be imported by all. Files directly in src/ may import anything.
 *
 * `node tools/check-imports.ts` prints what breaks the table and ends with 1 if anything does.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { posix } from 'node:path';
import { parseSync } from 'oxc-parser';
import { globSync } from 'tinyglobby';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** What one folder may import: every name of a folder it may reach, and whether values may be. */
export interface Allowance {
  readonly anything: boolean;
  readonly folders: ReadonlyMap<string, 'values' | 'types'>;
}

export interface FolderImport {
  readonly file: string;
  readonly line: number;
  readonly from: string;
  readonly to: string;
  readonly typeOnly: boolean;
}

/** Rows `| src/<folder>/ | question | may import |` of the Markdown, in order. Throws on a cell that it cannot read. */
export function readTable(markdown: string): Map<string, Allowance> {
  const rows = new Map<string, Allowance>();
  for (const line of markdown.split('\n')) {
    const cells = line.split('|').map((cell) => cell.trim());
    const folder = /^`src\/([\w-]+)\/`/.exec(cells[1] ?? '')?.[1];
    if (folder === undefined || cells.length !== 5) continue;
    if (rows.has(folder)) throw new Error(`ARCHITECTURE.md has two rows for src/${folder}/`);
    rows.set(folder, allowance(folder, cells[3] as string, [...rows.keys()]));
  }
  for (const [folder, { folders }] of rows) {
    for (const named of folders.keys()) if (!rows.has(named)) throw new Error(`ARCHITECTURE.md lets src/${folder}/ import src/${named}/, which has no row`);
  }
  return rows;
}

function allowance(folder: string, cell: string, above: readonly string[]): Allowance {
  const folders = new Map<string, 'values' | 'types'>();
  if (cell === 'all') return { anything: true, folders };
  for (const part of cell.split(',').map((text) => text.trim())) {
    const match = /^([\w-]+|all above)(?: \(([\w ]*)types\))?$/.exec(part);
    if (match === null) throw new Error(`ARCHITECTURE.md: "${part}" in the row of src/${folder}/ names no folder`);
    const kind = match[2] === undefined ? 'values' : 'types';
    if (match[1] === 'all above') for (const one of above) folders.set(one, kind);
    else if (match[1] !== 'nothing') folders.set(match[1] as string, kind);
  }
  return { anything: false, folders };
}

interface Request {
  readonly specifier: string;
  readonly at: number;
  readonly typeOnly: boolean;
}

function requestsOf(file: string, source: string): Request[] {
  const { module, errors } = parseSync(file, source);
  if (errors.length > 0) throw new Error(`${file} cannot be parsed: ${errors[0]?.message}`);
  const found: Request[] = [];
  for (const { moduleRequest, entries } of module.staticImports) {
    const typeOnly = entries.length > 0 && entries.every((entry) => entry.isType);
    found.push({ specifier: moduleRequest.value, at: moduleRequest.start, typeOnly });
  }
  for (const { entries } of module.staticExports) {
    for (const { moduleRequest, isType } of entries) {
      if (moduleRequest) found.push({ specifier: moduleRequest.value, at: moduleRequest.start, typeOnly: isType });
    }
  }
  for (const { moduleRequest } of module.dynamicImports) {
    const text = source.slice(moduleRequest.start, moduleRequest.end);
    const literal = /^['"](.*)['"]$/.exec(text)?.[1];
    if (literal !== undefined) found.push({ specifier: literal, at: moduleRequest.start, typeOnly: false });
  }
  return found;
}

/** Imports of one file that leave its folder. `file` is relative to the root, such as `src/rdd/rdd.ts`. */
export function importsOf(file: string, source: string): FolderImport[] {
  const parts = file.split('/');
  const from = parts.length > 2 ? (parts[1] as string) : '';
  return requestsOf(file, source).flatMap(({ specifier, at, typeOnly }) => {
    if (!specifier.startsWith('.')) return [];
    const target = posix.join(posix.dirname(file), specifier).split('/');
    const to = target.length > 2 ? (target[1] as string) : '';
    if (target[0] !== 'src' || to === from) return [];
    return [{ file, line: source.slice(0, at).split('\n').length, from, to, typeOnly }];
  });
}

/** Every import between folders of src/. */
export function folderImports(root = ROOT): FolderImport[] {
  return globSync('src/**/*.ts', { cwd: root })
    .sort()
    .flatMap((file) => importsOf(file, readFileSync(posix.join(root, file), 'utf8')));
}

/** A sentence for each import that the table does not allow. */
export function violations(table: ReadonlyMap<string, Allowance>, imports: readonly FolderImport[]): string[] {
  const found = new Set<string>();
  for (const { file, line, from, to, typeOnly } of imports) {
    if (from === '' || to === 'core') continue;
    const row = table.get(from);
    if (row === undefined) {
      found.add(`src/${from}/ has no row in ARCHITECTURE.md`);
      continue;
    }
    const kind = row.anything ? 'values' : row.folders.get(to);
    if (kind === 'values' || (kind === 'types' && typeOnly)) continue;
    const why = kind === 'types' ? `may import types of src/${to}/ only` : `may not import src/${to}/`;
    found.add(`${file}:${line}: src/${from}/ ${why}${typeOnly ? ' (a type)' : ''}`);
  }
  return [...found];
}

if (import.meta.main) {
  const found = violations(readTable(readFileSync(posix.join(ROOT, 'ARCHITECTURE.md'), 'utf8')), folderImports());
  for (const line of found) console.error(line);
  if (found.length > 0) process.exitCode = 1;
}
