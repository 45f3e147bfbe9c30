import { existsSync, opendirSync, readFileSync, type Dir } from 'node:fs';
import module from 'node:module';
import { dirname, join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { LoadFnOutput, LoadHookContext, LoadHookSync, ResolveHookSync } from 'node:module';
import type { SourceEditor } from './contract.ts';
import { applyEditors } from './edit.ts';
import { LoaderErrors } from './errors.ts';
import { detectFormat, packageType } from './format.ts';
import type { ModuleFormat } from './format.ts';
import { givenResolution, recordResolution } from './resolutions.ts';
import { stripTypes } from './typescript.ts';

/** Kept on globalThis, so that two copies of this package (a checkout and its dist) share one hook. */
interface LoaderState {
  readonly editors: SourceEditor[];
  installed: boolean;
  /** It is asked what imports lead to. */
  resolving?: boolean;
  /** That is wanted as soon as the hook is installed. */
  wanted?: boolean;
  /** Modules loaded so far. */
  loads: number;
}
const globals = globalThis as { [key: symbol]: LoaderState | undefined };
const STATE = Symbol.for('spark-proxy.loader');
const state = (globals[STATE] ??= { editors: [], installed: false, loads: 0 });

/** Of no use, and unknown, in a bundle. */
const ownRoot = (import.meta.url as string | undefined) === undefined ? undefined : fileURLToPath(new URL('../../', import.meta.url));
const TYPESCRIPT = /\.(?:[cm]?ts|tsx|jsx)$/;
const JAVASCRIPT = /\.[cm]?js$/;

export interface HookOptions {
  /**
   * What imports lead to is recorded from now on, and `./x.js` may name `./x.ts`. Where false, that begins once it can matter: with the first module in
   * TypeScript, below a tsconfig.json, where TypeScript is beside the program or below it, or when functions travel. It costs Node more than all else that is done about a module that stays as it is.
   * @defaultValue true
   */
  readonly resolve?: boolean;
}

/**
 * Installs the one module hook of this process (ESM, CommonJS and require()); later calls do nothing but begin to resolve.
 * @throws SP_LOADER_NO_HOOKS on Node before 22.15
 */
export function installHook({ resolve: wanted = true }: HookOptions = {}): void {
  if (!state.installed) {
    if (typeof module.registerHooks !== 'function') throw LoaderErrors.NO_HOOKS({ version: process.version });
    state.installed = true;
    module.registerHooks({ load });
  }
  if (wanted || state.wanted === true || isTypeScriptProgram()) resolveImports();
}

/** Records what imports lead to, from now on or as soon as the hook is installed. */
export function resolveImports(): void {
  state.wanted = true;
  if (!state.installed || state.resolving === true) return;
  state.resolving = true;
  module.registerHooks({ resolve });
}

/** Whether the program is below a tsconfig.json, or has TypeScript beside or below it. */
function isTypeScriptProgram(): boolean {
  const main = process.argv[1];
  const home = main === undefined ? process.cwd() : dirname(main);
  for (let folder = home; ; folder = dirname(folder)) {
    if (existsSync(join(folder, 'tsconfig.json'))) return true;
    if (folder === dirname(folder)) return holdsTypeScript(home);
  }
}

/** Where a program may be among much else, no more is looked at. */
const MAX_ENTRIES = 500;

function holdsTypeScript(home: string): boolean {
  const folders = [home];
  let count = 0;
  for (const folder of folders) {
    let entries: Dir | undefined;
    try {
      entries = opendirSync(folder);
      for (let entry = entries.readSync(); entry !== null; entry = entries.readSync()) {
        if (++count > MAX_ENTRIES) return false;
        if (entry.isDirectory() && entry.name !== 'node_modules' && !entry.name.startsWith('.')) folders.push(join(folder, entry.name));
        else if (entry.isFile() && TYPESCRIPT.test(entry.name) && !/\.d\.[cm]?ts$/.test(entry.name)) return true;
      }
    } catch {
      // not to be read
    } finally {
      entries?.closeSync();
    }
  }
  return false;
}

/** Adds a change to source, for modules loaded from now on. A second editor of the same name replaces the first. */
export function addEditor(editor: SourceEditor): void {
  const at = state.editors.findIndex((known) => known.name === editor.name);
  if (at >= 0) state.editors[at] = editor;
  else state.editors.push(editor);
}

/** How many modules were loaded since the hook was installed; undefined when it is not. */
export function loadCount(): number | undefined {
  return state.installed ? state.loads : undefined;
}

/** True while a hook loads its own tools (the parser, esbuild): those modules pass untouched. */
let busy = false;

const resolve: ResolveHookSync = (specifier, context, next) => {
  const given = givenResolution(context.parentURL, specifier);
  // Not asked of Node: require() knows no file: URLs.
  if (given !== undefined) return { url: given, shortCircuit: true };
  const found = find(specifier, context, next);
  if (!busy) recordResolution(context.parentURL, specifier, found.url);
  return found;
};

const find: ResolveHookSync = (specifier, context, next) => {
  try {
    return next(specifier, context);
  } catch (error) {
    const typescript = busy ? undefined : typescriptSpelling(specifier, context.parentURL);
    if (typescript === undefined) throw error;
    try {
      return next(typescript, context);
    } catch {
      throw error;
    }
  }
};

/** `./x.js` names `./x.ts` in TypeScript programs, where that is the only file there. */
function typescriptSpelling(specifier: string, parent: string | undefined): string | undefined {
  const match = /^((?:\.{0,2}\/|file:).*)\.([cm]?)js(x?)((?:[?#].*)?)$/.exec(specifier);
  if (match === null || (parent !== undefined && inNodeModules(parent))) return undefined;
  const [, stem, kind = '', jsx, query = ''] = match;
  const names = kind !== '' ? [`${stem}.${kind}ts`] : jsx === 'x' ? [`${stem}.tsx`] : [`${stem}.ts`, `${stem}.tsx`];
  for (const name of names) {
    try {
      const file = name.startsWith('/') ? name : fileURLToPath(new URL(name, parent));
      if (existsSync(file)) return name + query;
    } catch {
      // not a file: URL
    }
  }
  return undefined;
}

const load: LoadHookSync = (url, context, next) => {
  state.loads++;
  if (busy || !url.startsWith('file:')) return next(url, context);
  // Most URLs tell without being taken apart.
  const isPlain = JAVASCRIPT.test(url);
  const path = isPlain ? url : pathOf(url);
  if (path === undefined) return next(url, context);
  if (!isPlain && TYPESCRIPT.test(path) && (!inNodeModules(path) || (ownRoot !== undefined && path.startsWith(ownRoot))))
    return loadTypeScript(url, path, context, next);
  const loaded = next(url, context);
  const { format } = loaded;
  const unsaid = (format === undefined || format === null) && (isPlain || JAVASCRIPT.test(path));
  if (format !== 'module' && format !== 'commonjs' && !unsaid) return loaded;
  if (loaded.source === undefined || loaded.source === null) return format === 'commonjs' ? loadWithheld(url, context, loaded) : loaded;
  const viaRequire = format === 'commonjs' && mustLoadThroughRequire(url, context);
  if (state.editors.length === 0 && !viaRequire) return loaded;
  const source = textOf(loaded.source);
  const edited = quietly(() => applyEditors(state.editors, { url, source, format: unsaid ? detectFormat(source) : (format as ModuleFormat) }));
  // Node need not decode it once more.
  if (edited === undefined && !viaRequire) return { ...loaded, source };
  return { ...loaded, source: edited ?? source, format: viaRequire ? COMMONJS_SYNC : format };
};

/** Hooks that ran before this one may leave the source of CommonJS to Node, which then reads the file itself: import-in-the-middle does. */
function loadWithheld(url: string, context: LoadHookContext, loaded: LoadFnOutput): LoadFnOutput {
  if (state.editors.length === 0) return loaded;
  let source: string;
  try {
    source = readFileSync(new URL(url), 'utf8');
  } catch {
    return loaded;
  }
  const edited = quietly(() => applyEditors(state.editors, { url, source, format: 'commonjs' }));
  if (edited === undefined) return loaded;
  return { ...loaded, source: edited, format: mustLoadThroughRequire(url, context) ? COMMONJS_SYNC : 'commonjs' };
}

function loadTypeScript(url: string, path: string, context: LoadHookContext, next: Parameters<LoadHookSync>[2]): LoadFnOutput {
  resolveImports();
  // A package.json that says commonjs, as `npm init` writes it, may have been there before the program in ES modules was.
  const ofPackage = packageType(dirname(path)) === 'module' ? 'module' : undefined;
  const said = path.endsWith('.mts') ? 'module' : path.endsWith('.cts') ? 'commonjs' : ofPackage;
  const loaded = next(url, { ...context, format: said ?? 'module' });
  if (loaded.source === undefined || loaded.source === null) return loaded;
  const text = textOf(loaded.source);
  const { source } = quietly(() => stripTypes(path, text));
  const format = said ?? quietly(() => detectFormat(source));
  const edited = quietly(() => applyEditors(state.editors, { url, source, format }));
  const viaRequire = format === 'commonjs' && mustLoadThroughRequire(url, context);
  return { ...loaded, format: viaRequire ? COMMONJS_SYNC : format, source: edited ?? source, shortCircuit: true };
}

function quietly<T>(run: () => T): T {
  busy = true;
  try {
    return run();
  } finally {
    busy = false;
  }
}

const [major = 0, minor = 0, patch = 0] = process.versions.node.split('.').map(Number);
const since = (m: number, n: number, p: number): boolean => major === m && (minor > n || (minor === n && patch >= p));
const WHOLE_REQUIRE = major > 25 || since(25, 1, 0) || since(24, 11, 1) || since(22, 22, 3);

/** Node's own name for a CommonJS module that require() loads. */
const COMMONJS_SYNC = 'commonjs-sync' as 'commonjs';

/**
 * Older Node lines give an imported CommonJS module a `require` without cache, main and extensions as soon as any load hook exists.
 * The format that Node uses when require() loads such a module sends it through Module._load, where `require` is whole.
 */
function mustLoadThroughRequire(url: string, context: LoadHookContext): boolean {
  if (WHOLE_REQUIRE || url.includes('?')) return false;
  const conditions = context.conditions as unknown as Iterable<string>;
  return [...conditions].includes('import');
}

function pathOf(url: string): string | undefined {
  try {
    return fileURLToPath(url);
  } catch {
    return undefined;
  }
}

function inNodeModules(path: string): boolean {
  return path.includes(`${sep}node_modules${sep}`) || path.includes('/node_modules/');
}

/** Twice as fast as a buffer's toString(). */
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

function textOf(source: NonNullable<LoadFnOutput['source']>): string {
  return typeof source === 'string' ? source : decoder.decode(source as Uint8Array);
}
