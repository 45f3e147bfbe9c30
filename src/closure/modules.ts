/**
 * The modules of a program that its shipped functions import: collected where the program was loaded, installed where the
 * functions run, so that nothing has to be copied to other machines by hand.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { threadId } from 'node:worker_threads';
import { loadCount, resolveImports } from '../loader/hook.ts';
import { fromOwnName, giveResolutions, isOwnModule, recordedResolutions, resolutionCount, toOwnName } from '../loader/resolutions.ts';
import { compilerOptionsFor, type CompilerOptions } from '../loader/tsconfig.ts';
import { ClosureErrors } from './errors.ts';
import { isEntry } from './references.ts';
import type { ImportedModule } from './contract.ts';

// Where functions may travel, what their modules import must be known.
resolveImports();

/** Most bytes of modules that travel with the functions of one stage. */
const MAX_BYTES = 64 * 1024 * 1024;

interface Table {
  /** Files in the order of their bytes: URL there, size. */
  readonly files: readonly (readonly [url: string, size: number])[];
  /** Imports: of module, specifier as written, URL there or `own:` name. */
  readonly imports: readonly (readonly [parent: string, specifier: string, target: string])[];
  /** Folders of TypeScript modules, and what their tsconfig.json says. */
  readonly options: readonly (readonly [folder: string, options: CompilerOptions])[];
}

/** Bytes of files as they were when first asked for: what has been loaded does not change either. */
const contents = new Map<string, Uint8Array>();
const bundles = new Map<string, Uint8Array | undefined>();

function contentOf(path: string): Uint8Array | undefined {
  let content = contents.get(path);
  if (content !== undefined) return content;
  try {
    content = readFileSync(path);
  } catch {
    return undefined;
  }
  contents.set(path, content);
  return content;
}

/** The nearest package.json says what format a file is of, and what its package exports. */
function packageFileOf(path: string): string | undefined {
  for (let at = dirname(path); ; at = dirname(at)) {
    const file = join(at, 'package.json');
    if (existsSync(file)) return file;
    if (dirname(at) === at || basename(at) === 'node_modules') return undefined;
  }
}

function filesBelow(path: string): string[] {
  if (!existsSync(path)) return [];
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path, { recursive: true, withFileTypes: true }).flatMap((entry) => (entry.isFile() ? [join(entry.parentPath, entry.name)] : []));
}

/**
 * The modules that these imports need, all that those import in turn, and the files and directories of `more`; undefined when
 * there are none but modules of Node and of spark-proxy. The same modules give the same bytes.
 * @throws SP_CLOSURE_TOO_MUCH_CODE
 */
export function collectModules(imports: readonly ImportedModule[], more: readonly string[] = []): Uint8Array | undefined {
  if (imports.length === 0 && more.length === 0) return undefined;
  const key = JSON.stringify([loadCount(), more, imports.map(({ specifier, parent }) => `${parent} ${specifier}`).sort()]);
  if (bundles.has(key)) return bundles.get(key);
  if (bundles.size > 256) bundles.clear();
  const bundle = collect(imports, more);
  bundles.set(key, bundle);
  return bundle;
}

function targetOf(specifier: string, parent: string): string | undefined {
  return specifier.startsWith('file:') ? specifier : recordedResolutions(parent).get(specifier);
}

/** Modules that lead nowhere near the entry, as of `apartAt`. */
const apart = new Set<string>();
let apartAt = -1;

/** The modules from this import to the entry, which would run again wherever they are imported; undefined when they do not lead there. */
export function chainToEntry(specifier: string, parent: string): string[] | undefined {
  const start = targetOf(specifier, parent);
  if (start === undefined) return undefined;
  if (apartAt !== resolutionCount()) {
    apart.clear();
    apartAt = resolutionCount();
  }
  const importer = new Map<string, string | undefined>(apart.has(start) ? [] : [[start, undefined]]);
  for (const url of importer.keys()) {
    if (isEntry(url)) {
      const chain: string[] = [];
      for (let at: string | undefined = url; at !== undefined; at = importer.get(at)) chain.unshift(at);
      return chain;
    }
    for (const target of recordedResolutions(url).values()) if (!apart.has(target) && !importer.has(target)) importer.set(target, url);
  }
  for (const url of importer.keys()) apart.add(url);
  return undefined;
}

function collect(imports: readonly ImportedModule[], more: readonly string[]): Uint8Array | undefined {
  const found = new Map<string, Uint8Array>();
  const edges: [string, string, string][] = [];
  const queue: string[] = [];
  const follow = (parent: string, specifier: string, target: string): void => {
    const own = toOwnName(target);
    if (own === undefined && !target.startsWith('file:')) return;
    edges.push([parent, specifier, own ?? target]);
    if (own === undefined) queue.push(target.split(/[?#]/, 1)[0] as string);
  };
  for (const { specifier, parent } of imports) {
    const target = targetOf(specifier, parent);
    if (target !== undefined && !(isOwnModule(target) && parent === '')) follow(parent, specifier, target);
  }
  let size = 0;
  const add = (path: string): boolean => {
    const url = pathToFileURL(path).href;
    const content = found.has(url) ? undefined : contentOf(path);
    if (content === undefined) return false;
    size += content.byteLength;
    if (size > MAX_BYTES) throw ClosureErrors.TOO_MUCH_CODE({ limit: MAX_BYTES, path });
    found.set(url, content);
    return true;
  };
  for (let url = queue.pop(); url !== undefined; url = queue.pop()) {
    const path = fileURLToPath(url);
    if (!add(path)) continue;
    const manifest = packageFileOf(path);
    if (manifest !== undefined) add(manifest);
    for (const [specifier, target] of recordedResolutions(url)) follow(url, specifier, target);
  }
  for (const path of more.flatMap((one) => filesBelow(resolve(one)))) add(path);
  if (found.size === 0) return undefined;
  const files = [...found.keys()].sort();
  const table: Table = {
    files: files.map((url) => [url, (found.get(url) as Uint8Array).byteLength]),
    imports: edges.sort((a, b) => (a.join(' ') < b.join(' ') ? -1 : 1)),
    options: optionsOf(files),
  };
  const header = Buffer.from(JSON.stringify(table));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(header.length);
  return Buffer.concat([length, header, ...files.map((url) => found.get(url) as Uint8Array)]);
}

/** How the TypeScript among these files is compiled where it is; `extends` may lead anywhere, so the outcome travels. */
function optionsOf(files: readonly string[]): Table['options'] {
  const folders = new Set(files.filter((url) => TYPESCRIPT.test(url)).map((url) => dirname(fileURLToPath(url))));
  return [...folders].map((folder) => [pathToFileURL(folder).href, compilerOptionsFor(folder)]);
}

const TYPESCRIPT = /\.(?:[cm]?ts|tsx|jsx)$/;

/** The URL here of a module of the program that was loaded elsewhere. */
export type ModuleMap = (url: string) => string;

const SAME: ModuleMap = (url) => url;

/**
 * Makes the modules of a bundle importable here. Where all its files are at their own paths already (the same machine, a shared
 * directory), they are used there; else they are written below `directory`, each once.
 * @throws SP_CLOSURE_BAD_MODULES
 */
export function installModules(bundle: Uint8Array, directory: string): ModuleMap {
  const { table, files } = unpack(bundle);
  if ([...files].every(([url, content]) => isSame(fileURLToPath(url), content))) return SAME;
  const map: ModuleMap = (url) => {
    if (!url.startsWith('file:')) return url;
    const path = join(directory, fileURLToPath(url.split(/[?#]/, 1)[0] as string).replaceAll(':', '_'));
    if (!path.startsWith(directory + sep)) throw ClosureErrors.BAD_MODULES({ reason: `${url} is outside` });
    return pathToFileURL(path).href;
  };
  for (const [url, content] of files) {
    const path = fileURLToPath(map(url));
    if (!isSame(path, content)) writeWhole(path, content);
  }
  for (const [folder, compilerOptions] of table.options) {
    const path = join(fileURLToPath(map(folder)), 'tsconfig.json');
    if (!existsSync(path)) writeWhole(path, JSON.stringify({ compilerOptions }));
  }
  const byParent = new Map<string, Map<string, string>>();
  for (const [parent, specifier, target] of table.imports) {
    const here = parent === '' ? '' : map(parent);
    let of = byParent.get(here);
    if (of === undefined) byParent.set(here, (of = new Map()));
    of.set(specifier, target.startsWith('own:') ? fromOwnName(target, existsSync) : map(target));
  }
  for (const [parent, resolutions] of byParent) giveResolutions(parent, resolutions);
  return map;
}

/** Several threads may be doing the same: each file appears whole. */
function writeWhole(path: string, content: Uint8Array | string): void {
  mkdirSync(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}-${threadId}.tmp`;
  writeFileSync(temporary, content);
  renameSync(temporary, path);
}

function isSame(path: string, content: Uint8Array): boolean {
  try {
    return statSync(path).size === content.byteLength && Buffer.from(content.buffer, content.byteOffset, content.byteLength).equals(readFileSync(path));
  } catch {
    return false;
  }
}

function checkTable(table: Table): Table {
  const rows = (value: unknown, shape: readonly string[]): boolean =>
    Array.isArray(value) && value.every((row) => Array.isArray(row) && row.length === shape.length && shape.every((type, i) => typeof row[i] === type));
  if (!rows(table.files, ['string', 'number']) || !rows(table.imports, ['string', 'string', 'string']) || !rows(table.options, ['string', 'object']))
    throw new TypeError('its table is malformed');
  // Throws when it names no file.
  for (const [url] of [...table.files, ...table.options]) fileURLToPath(url);
  return table;
}

function unpack(bundle: Uint8Array): { readonly table: Table; readonly files: ReadonlyMap<string, Uint8Array> } {
  const bytes = Buffer.from(bundle.buffer, bundle.byteOffset, bundle.byteLength);
  try {
    const end = 4 + bytes.readUInt32BE(0);
    if (end > bytes.length) throw new RangeError('it is cut off');
    const table = checkTable(JSON.parse(bytes.toString('utf8', 4, end)) as Table);
    const files = new Map<string, Uint8Array>();
    let at = end;
    for (const [url, size] of table.files) {
      if (!Number.isSafeInteger(size) || size < 0 || at + size > bytes.length) throw new RangeError(`${url} is cut off`);
      files.set(url, bytes.subarray(at, at + size));
      at += size;
    }
    return { table, files };
  } catch (cause) {
    throw ClosureErrors.BAD_MODULES({ reason: (cause as Error).message }, cause);
  }
}
