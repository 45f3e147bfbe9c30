import { createRequire, registerHooks } from 'node:module';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import vm from 'node:vm';
import { SparkProxyError } from '../core/errors.ts';
import { ClosureErrors } from './errors.ts';
import { IMPORT_META } from './source.ts';
import type { Template } from './wire.ts';

/** What a closure is made with: values that a class needs at once, `import.meta`, the prototype for `super`, `arguments` of an arrow. */
export interface Given {
  readonly early: readonly unknown[];
  readonly meta: unknown;
  readonly home: unknown;
  readonly args: readonly unknown[];
}

/** The closure, and the setter of its bindings. */
export type Closed = [made: unknown, bind: (values: readonly unknown[]) => void];

export type Factory = (given: Given, meta: unknown) => Closed;

const NO_FILE = 'spark-proxy:closure';
const cache = new Map<string, Factory>();
const MAX_CACHED = 5000;

/**
 * Compiles a template at the place where its source stands, so that stack traces name the user's file, line and column.
 * @throws SP_CLOSURE_COMPILE
 */
export function compileTemplate(template: Template, url: string, name: string): Factory {
  const key = [
    url,
    template.line,
    template.column,
    template.kind,
    template.strict,
    template.meta,
    template.home,
    template.args,
    template.early,
    name,
    template.names,
    template.uninitialised,
    template.code,
  ].join('\n');
  const known = cache.get(key);
  if (known !== undefined) return known;
  if (cache.size >= MAX_CACHED) cache.clear();
  const factory = compile(template, url, name);
  cache.set(key, factory);
  return factory;
}

function compile(template: Template, url: string, name: string): Factory {
  const { names, early, uninitialised, code, kind, home, args } = template;
  const label = name === '__proto__' ? '["__proto__"]' : JSON.stringify(name);
  // A method stands in an object literal as it did; a function gets its name from a property of that name, unless it has its own.
  const [open, close] = kind === 1 ? [home ? '{__proto__:__sp_g.home,' : '{', '}'] : [`({${label}:`, `})[${JSON.stringify(name)}]`];
  const declare = names.length === 0 ? '' : `let ${names.join()};`;
  const first = names.slice(0, early).map((variable, at) => `${variable}=__sp_g.early[${at}];`);
  const bind = names.map((variable, at) => `${variable}=__sp_v[${at}];`);
  // Declared after the return: these stay uninitialised, as they were.
  const dead = uninitialised.length === 0 ? '' : `;let ${uninitialised.join()}`;
  const prefix = `${template.strict ? "'use strict';" : ''}${declare}${first.join('')}return${args ? '(function(){return' : ''}[${open}`;
  const body = `${prefix}${code}${close},__sp_v=>{${bind.join('')}}]${args ? '}).apply(this,__sp_g.args)' : ''}${dead}`;
  const options = { filename: url === '' ? NO_FILE : url, lineOffset: template.line, columnOffset: template.column - prefix.length };
  const later = importsLater(template);
  if (later) takeNotice();
  try {
    return vm.compileFunction(body, ['__sp_g', IMPORT_META], later ? { ...options, importModuleDynamically: loader() } : options) as Factory;
  } catch (error) {
    throw ClosureErrors.COMPILE({ url: options.filename, reason: (error as Error).message }, error);
  }
}

/** True when the function may import modules as it runs. */
export function importsLater({ code }: Template): boolean {
  return /\bimport(?:\s|\/\*[^]*?\*\/|\/\/.*)*\(/.test(code);
}

/**
 * Runs a factory, which defines a class or makes a closure.
 * @throws SP_CLOSURE_COMPILE when the definition throws (heritage, computed keys)
 */
export function close(factory: Factory, receiver: unknown, given: Given, url: string): Closed {
  try {
    return factory.call(receiver, given, given.meta);
  } catch (error) {
    throw ClosureErrors.COMPILE({ url, reason: error instanceof Error ? error.message : String(error) }, error);
  }
}

/** Resolves dynamic imports as the module of that file name would. */
function loader(): number {
  return vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER;
}

type Importer = (specifier: string, options?: ImportCallOptions) => Promise<Record<string, unknown>>;
const importers = new Map<string, Importer>();

/**
 * `import(specifier)` as if written in `parent` (a module URL, or empty).
 * @throws SP_CLOSURE_IMPORT
 */
export async function importFrom(parent: string, specifier: string): Promise<Record<string, unknown>> {
  let importer = importers.get(parent);
  if (importer === undefined) {
    const options = parent === '' ? {} : { filename: parent };
    importer = vm.compileFunction('return import(s,o)', ['s', 'o'], { ...options, importModuleDynamically: loader() }) as Importer;
    importers.set(parent, importer);
  }
  const load = importer;
  try {
    return await withoutNotice(() => load(specifier)).catch((error: unknown) => {
      if ((error as { code?: unknown }).code !== 'ERR_IMPORT_ATTRIBUTE_MISSING') throw error;
      return load(specifier, { with: { type: 'json' } });
    });
  } catch (error) {
    // A module that may not be imported here has said why.
    if (SparkProxyError.is(error)) throw error;
    throw ClosureErrors.IMPORT({ specifier, parent: parent === '' ? 'a shipped function' : parent }, error);
  }
}

let noticed = false;

/** The first import would be one of the user's function, with the notice: one of ours comes before it. */
function takeNotice(): void {
  if (noticed) return;
  noticed = true;
  void importFrom('', 'node:process');
}

/** Node prints once that the default loader for vm code is experimental; the import starts within the call. */
function withoutNotice<T>(run: () => T): T {
  const emitWarning = process.emitWarning;
  process.emitWarning = ((warning: string | Error, ...rest: never[]) => {
    if (!String(warning).includes('USE_MAIN_CONTEXT_DEFAULT_LOADER')) emitWarning.call(process, warning, ...rest);
  }) as typeof process.emitWarning;
  try {
    return run();
  } finally {
    process.emitWarning = emitWarning;
  }
}

const metas = new Map<string, object>();

/** `import.meta` of the module a function came from. */
export function importMeta(url: string): object {
  let meta = metas.get(url);
  if (meta === undefined) {
    const known = new Map<string, string>();
    const resolve = (specifier: string): string => {
      let found = known.get(specifier);
      if (found === undefined) known.set(specifier, (found = resolveFrom(url, specifier)));
      return found;
    };
    meta = url.startsWith('file:') ? { url, filename: fileURLToPath(url), dirname: dirname(fileURLToPath(url)), main: false, resolve } : { url, resolve };
    metas.set(url, meta);
  }
  return meta;
}

let resolutions = 0;

/** What `import.meta.resolve` gives in the module `parent`: asked of Node in its name, under a specifier that was not asked for before. */
function resolveFrom(parent: string, specifier: string): string {
  const asked = `spark-proxy-resolve:${++resolutions}`;
  const hook = registerHooks({
    resolve: (wanted, context, next) => (wanted === asked ? next(specifier, { ...context, parentURL: parent }) : next(wanted, context)),
  });
  try {
    return import.meta.resolve(asked);
  } finally {
    hook.deregister();
  }
}

/** `require` of a CommonJS module. */
export function requireOf(url: string): NodeJS.Require {
  return createRequire(url === '' ? import.meta.url : url);
}
