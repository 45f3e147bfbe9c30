import { realpathSync } from 'node:fs';
import { builtinModules, createRequire } from 'node:module';
import { resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { isMainThread } from 'node:worker_threads';
import { types } from 'node:util';
import { loadCount } from '../loader/hook.ts';
import { recordedResolutions } from '../loader/resolutions.ts';
import { ATTACH, runtime } from './runtime.ts';
import type { SiteModule } from './runtime.ts';

/**
 * What both sides have: globals, builtin modules, modules of packages. Such values travel as their name, so that identity and
 * instanceof hold on the other side.
 */

/** A path from globalThis, such as ['Array', 'prototype', 'map']. */
export interface GlobalReference {
  readonly path: readonly string[];
}

/** `specifier` as imported by `parent`, then a path into the namespace (empty: the namespace itself). */
export interface ImportReference {
  readonly specifier: string;
  readonly parent: string;
  readonly path: readonly string[];
}

export type Reference = GlobalReference | ImportReference;

const require = createRequire(import.meta.url);

/** Globals of this Node, as they are before the program adds its own. */
const ORIGINAL = new Map(Object.entries(Object.getOwnPropertyDescriptors(globalThis)).filter(([name]) => name !== ATTACH));
const STANDARD: ReadonlySet<string> = new Set([...ORIGINAL.keys(), 'undefined', 'arguments']);

/** True for names that every Node process has, so that a function may use them anywhere. */
export function isStandardGlobal(name: string): boolean {
  return STANDARD.has(name);
}

/** Nothing may be called eval in strict code; where a console writes is a matter of its process, and test runners replace it. */
const NEVER_REPLACED = new Set(['eval', 'console']);

/** True where the program put something of its own in the place of a global of Node. */
export function isReplacedGlobal(name: string): boolean {
  const now = Object.getOwnPropertyDescriptor(globalThis, name);
  if (now === undefined || NEVER_REPLACED.has(name)) return false;
  return 'value' in now ? !isOriginal(name, now.value) : now.get !== ORIGINAL.get(name)?.get;
}

/** A global of Node, wherever the program put it; none is loaded to find out. */
function isNodes(name: string, value: unknown): boolean {
  const original = ORIGINAL.get(name);
  if (original?.get === undefined) return original?.value === value;
  return Object.getOwnPropertyDescriptor(globalThis, name)?.value === value && isOriginal(name, value);
}

function isOriginal(name: string, value: unknown): boolean {
  const original = ORIGINAL.get(name);
  return original !== undefined && Object.is(value, original.get === undefined ? original.value : loaded(name, original));
}

const loadedGlobals = new Map<string, unknown>();

/** What Node gives for a global that it loads when it is first read; reading it so puts it in its place, over what the program put there. */
function loaded(name: string, { get }: PropertyDescriptor): unknown {
  if (loadedGlobals.has(name)) return loadedGlobals.get(name);
  const now = Object.getOwnPropertyDescriptor(globalThis, name);
  const value: unknown = get?.call(globalThis);
  if (now !== undefined) Object.defineProperty(globalThis, name, now);
  loadedGlobals.set(name, value);
  return value;
}

function isReferable(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}

/** A symbol that is one of its kind: not of the registry, not of the language. */
export function isUnique(value: unknown): value is symbol {
  return typeof value === 'symbol' && Symbol.keyFor(value) === undefined && !WELL_KNOWN.has(value);
}

/** Symbols of the language, and their names on `Symbol`. */
export const WELL_KNOWN: ReadonlyMap<symbol, string> = new Map(
  Object.getOwnPropertyNames(Symbol)
    .filter((name) => typeof (Symbol as unknown as Record<string, unknown>)[name] === 'symbol')
    .map((name) => [(Symbol as unknown as Record<string, symbol>)[name] as symbol, name]),
);

/** Data properties only: getters of globalThis load things, and some of them warn. */
function dataProperties<T = object>(holder: object, wanted: (value: unknown) => value is T = isReferable as never): [key: string, value: T][] {
  const found: [string, T][] = [];
  for (const key of Object.getOwnPropertyNames(holder)) {
    const value: unknown = Object.getOwnPropertyDescriptor(holder, key)?.value;
    if (wanted(value)) found.push([key, value]);
  }
  return found;
}

/** Globals with members worth a name. Others (fetch, FormData, streams...) are looked up by their own name, because reading them loads them. */
const EAGER = (
  'Object Function Array Number parseFloat parseInt isNaN isFinite Boolean String Symbol BigInt Date Promise RegExp Error AggregateError EvalError RangeError ReferenceError SyntaxError ' +
  'TypeError URIError Math Intl JSON Reflect Proxy Map Set WeakMap WeakSet WeakRef FinalizationRegistry Iterator ArrayBuffer SharedArrayBuffer DataView Atomics Int8Array Uint8Array ' +
  'Uint8ClampedArray Int16Array Uint16Array Float16Array Int32Array Uint32Array Float32Array Float64Array BigInt64Array BigUint64Array WebAssembly Temporal ' +
  'process console Buffer URL URLSearchParams TextEncoder TextDecoder performance'
).split(' ');

let globalPaths: Map<object, Reference> | undefined;

function buildGlobals(): Map<object, Reference> {
  const paths = new Map<object, Reference>();
  const add = (value: object, path: readonly string[]): boolean => {
    if (paths.has(value)) return false;
    paths.set(value, { path });
    return true;
  };
  add(globalThis, []);
  const roots = EAGER.map((name): [string, unknown] => [name, ORIGINAL.get(name)?.value]).filter((root): root is [string, object] => isReferable(root[1]));
  for (const [name, value] of roots) add(value, [name]);
  for (const [name, value] of roots) {
    for (const [key, inner] of dataProperties(value)) {
      if (key === 'constructor' || !add(inner, [name, key])) continue;
      // Classes of a namespace object: Intl.Collator, WebAssembly.Module.
      const prototype = typeof inner === 'function' && typeof value === 'object' ? (inner as { prototype?: unknown }).prototype : undefined;
      if (isReferable(prototype)) add(prototype, [name, key, 'prototype']);
      if (key !== 'prototype') continue;
      for (const [method, fn] of dataProperties(inner)) if (method !== 'constructor') add(fn, [name, key, method]);
    }
  }
  const typedArray = Object.getPrototypeOf(Int8Array) as object;
  add(typedArray, ['Int8Array', '__proto__']);
  add((typedArray as { prototype: object }).prototype, ['Int8Array', '__proto__', 'prototype']);
  return paths;
}

let builtins = new Map<object | symbol, Reference>();
let builtinsLoaded = -1;

/** Builtin modules that are loaded; the list grows, and is read again when it has. */
function buildBuiltins(): void {
  const loaded = (process as unknown as { moduleLoadList?: readonly string[] }).moduleLoadList ?? [];
  if (loaded.length === builtinsLoaded) return;
  const present = new Set(loaded.filter((entry) => entry.startsWith('NativeModule ')).map((entry) => entry.slice('NativeModule '.length)));
  builtins = new Map();
  const add = (value: object | symbol, specifier: string, path: readonly string[]): void => {
    if (!builtins.has(value)) builtins.set(value, { specifier: `node:${specifier}`, parent: '', path });
  };
  for (const name of builtinModules) {
    if (name.startsWith('_') || name === 'sys' || name === 'punycode' || !present.has(name.replace(/^node:/, ''))) continue;
    const bare = name.replace(/^node:/, '');
    const exports = process.getBuiltinModule(name) as object | undefined;
    if (exports === undefined) continue;
    add(exports, bare, ['default']);
    for (const [key, symbol] of dataProperties(exports, isUnique)) add(symbol, bare, ['default', key]);
    for (const [key, value] of dataProperties(exports)) {
      add(value, bare, ['default', key]);
      const prototype = (value as { prototype?: unknown }).prototype;
      if (typeof value === 'function' && isReferable(prototype)) add(prototype, bare, ['default', key, 'prototype']);
    }
  }
  builtinsLoaded = loaded.length;
}

let imported = new Map<object, Reference>();
/** Symbols and objects that user modules imported by name, or that the inspector showed. */
const remembered = new WeakMap<WeakKey, Reference>();
let importedAt = -1;

/** What user modules imported from packages, and what CommonJS modules exported; built when an unknown function turns up. */
function buildImported(): void {
  const cache = require.cache;
  // With the hook, counting loads is enough (and cheap).
  const now = loadCount() ?? Object.keys(cache).length;
  if (now === importedAt) return;
  importedAt = now;
  imported = new Map();
  for (const module of runtime.modules) addImports(module);
  // By their keys: what Node puts there for an imported JSON module has no file name.
  for (const [filename, module] of Object.entries(cache)) {
    if (module === undefined || !module.loaded || !isReferable(module.exports)) continue;
    const url = pathToFileURL(filename).href;
    if (!isJson(url) && !isEntry(url)) addExports(module.exports as object, url, url);
  }
}

function addImports(module: SiteModule): void {
  module.imports.forEach(({ specifier, name }, slot) => {
    if (isEntry(specifierUrl(specifier, module.url)) || (name !== '*' && isJson(recordedResolutions(module.url).get(specifier) ?? specifier))) return;
    let value: unknown;
    try {
      value = module.importThunk?.(slot);
    } catch {
      // in a cycle, not yet initialised: looked at again when the next module has loaded
      importedAt = -1;
      return;
    }
    const path = name === '*' ? [] : [name];
    if (name !== '*') remember(value, { specifier, parent: module.url, path });
    if (!isReferable(value) || builtins.has(value)) return;
    const shareable = typeof value === 'function' || types.isModuleNamespaceObject(value) || name === 'default';
    if (!shareable) return;
    if (!imported.has(value)) imported.set(value, { specifier, parent: module.url, path });
    if (name === '*' || name === 'default') addExports(value, specifier, module.url, path);
  });
}

function addExports(value: object, specifier: string, parent: string, path: readonly string[] = ['default']): void {
  if (builtins.has(value) || globalPaths?.has(value) === true) return;
  if (!imported.has(value)) imported.set(value, { specifier, parent, path });
  for (const key of Object.keys(value)) {
    const inner: unknown = types.isModuleNamespaceObject(value) ? readExport(value, key) : Object.getOwnPropertyDescriptor(value, key)?.value;
    if (isUnique(inner)) remember(inner, { specifier, parent, path: [...path, key] });
    if (typeof inner === 'function' && !imported.has(inner)) imported.set(inner, { specifier, parent, path: [...path, key] });
  }
}

/** A symbol, or an object and the symbols it holds: statics of a class, members of an enumeration. The first name stays. */
function remember(value: unknown, { specifier, parent, path }: ImportReference): void {
  if (!isUnique(value) && !isReferable(value)) return;
  if (!remembered.has(value)) remembered.set(value, { specifier, parent, path });
  if (isUnique(value) || types.isProxy(value) || Array.isArray(value) || ArrayBuffer.isView(value)) return;
  for (const [key, symbol] of dataProperties(value, isUnique)) if (!remembered.has(symbol)) remembered.set(symbol, { specifier, parent, path: [...path, key] });
}

/** A plain object that says nothing its module does not say again when it is imported: empty, or frozen over plain values. */
function isConstant(value: object): boolean {
  const prototype = Object.getPrototypeOf(value) as object | null;
  if (prototype !== Object.prototype && prototype !== null) return false;
  const keys = Reflect.ownKeys(value);
  return keys.length === 0 || (Object.isFrozen(value) && keys.every((key) => isPrimitive(Object.getOwnPropertyDescriptor(value, key) as PropertyDescriptor)));
}

function isPrimitive(descriptor: PropertyDescriptor): boolean {
  return 'value' in descriptor && !isReferable(descriptor.value);
}

function readExport(namespace: object, key: string): unknown {
  try {
    return (namespace as Record<string, unknown>)[key];
  } catch {
    return undefined;
  }
}

/** Name of a symbol that a module of Node or of the program exports. */
export function symbolReference(value: symbol): Reference | undefined {
  buildBuiltins();
  buildImported();
  return builtins.get(value) ?? remembered.get(value);
}

/** True for classes of the program that are imported on the other side. */
export function isImportedThere(fn: object): boolean {
  const mark = runtime.markOf(fn);
  if (mark?.site.exported !== undefined && mark.owner === undefined) return !isEntry(mark.site.module.url);
  return (mark === undefined || mark.site.module.format === 'commonjs') && importReference(fn) !== undefined;
}

/** Name of a value of the language or of Node. */
export function builtinReference(value: object): Reference | undefined {
  globalPaths ??= buildGlobals();
  const found = globalPaths.get(value) ?? builtins.get(value);
  if (found !== undefined) return found;
  buildBuiltins();
  return builtins.get(value) ?? globalByName(value);
}

/** A global function, or the prototype of a global class, found by its name. */
function globalByName(value: object): Reference | undefined {
  const constructor: unknown = typeof value === 'function' ? value : Object.getOwnPropertyDescriptor(value, 'constructor')?.value;
  if (typeof constructor !== 'function' || !STANDARD.has(constructor.name) || !isNodes(constructor.name, constructor)) return undefined;
  if (constructor === value) return { path: [constructor.name] };
  return constructor.prototype === value ? { path: [constructor.name, 'prototype'] } : undefined;
}

/** Name of something that a package or another CommonJS module exports. */
export function importReference(value: object): Reference | undefined {
  buildImported();
  const found = imported.get(value);
  if (found !== undefined) return found;
  const known = remembered.get(value);
  return known !== undefined && (typeof value === 'function' || isConstant(value)) ? known : undefined;
}

/** An import binding that the inspector showed, in a module that was not transformed. */
export function rememberImport(value: unknown, specifier: string, parent: string, name: string): void {
  if ((isReferable(value) && builtinReference(value) !== undefined) || isEntry(specifierUrl(specifier, parent))) return;
  if (name !== '*' || typeof value === 'function') remember(value, { specifier, parent, path: name === '*' ? [] : [name] });
}

let entry: string | undefined;

/** The module that the process was started with: importing it on a worker would run the program again. */
export function isEntry(url: string): boolean {
  if (entry === undefined) {
    entry = '';
    const main = isMainThread ? process.argv[1] : undefined;
    try {
      if (main !== undefined) entry = pathToFileURL(realpathSync(require.resolve(resolve(main)))).href;
    } catch {
      // started with -e or from standard input
    }
  }
  return entry !== '' && url.split(/[?#]/, 1)[0] === entry;
}

/** JSON is data: the program may have changed it, and it needs no module elsewhere. */
export function isJson(url: string): boolean {
  return /\.json(?:[?#]|$)/.test(url);
}

/** URL of a relative specifier, found as the loader finds it (`./x.js` may be `./x.ts`); others are returned as they are. */
export function specifierUrl(specifier: string, parent: string): string {
  if (!/^(?:\.{1,2}\/|\/|file:)/.test(specifier) || parent === '') return specifier;
  const url = new URL(specifier, parent).href;
  const typescript = url.replace(/\.([cm]?)js(?=$|[?#])/, '.$1ts');
  return isEntry(typescript) ? typescript : url;
}

/** Path of a file: URL, for `require` and for messages. */
export function pathOf(url: string): string {
  try {
    return fileURLToPath(url);
  } catch {
    return url;
  }
}
