import { mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { nodeRequire } from '../core/require.ts';
import { addEditor, installHook } from '../loader/hook.ts';
import { within } from './designators.ts';
import { errors } from './errors.ts';
import { explain } from './explain.ts';
import { carry, configured, type Carried } from './inherit.ts';
import { loadTimeEditor, onEdited, registerBindings, setDryRun } from './load-time.ts';
import { adviceOf } from './metadata.ts';
import { and, not, or, type Pointcut } from './pointcut.ts';
import { bindingsOf, type AdviceAt, type Binding, type WeaveHandle } from './weave.ts';

/** An aspect: an instance or a class with @Before, @Around..., a list of advice with pointcuts, or a module (path, URL or package) that exports such. */
export type AspectSource = object | readonly AdviceAt[] | string | URL;

export interface RegisterOptions {
  /** Modules are loaded at once (by `require`, so they have no top-level await), and again in worker threads and forked processes. */
  readonly aspects: readonly AspectSource[];
  /** Module globs and packages (`pkg:hono@^4`) for pointcuts that name no module. @defaultValue none: each pointcut must name its own */
  readonly include?: readonly string[];
  /** Module globs and packages that are never woven. @defaultValue none */
  readonly exclude?: readonly string[];
  /** When the process ends, a pointcut that has matched nothing makes it fail with SP_ASPECTS_NO_MATCH. @defaultValue false: `explain()` tells */
  readonly strict?: boolean;
  /** Nothing is woven: modules are only looked at, for `explain()`. @defaultValue false */
  readonly dryRun?: boolean;
  /** Directory for a copy of every woven source, as it runs. @defaultValue none */
  readonly dump?: string;
}

/**
 * Weaves modules that are loaded from now on, in this process; where aspects are given as modules, in its worker threads and forked
 * processes too. The handle switches all of it.
 * @throws SP_ASPECTS_LOAD_TIME_NEEDS_WITHIN, SP_ASPECTS_NOT_AN_ASPECT, SP_ASPECTS_ASPECT_MODULE, SP_LOADER_NO_HOOKS
 */
export function register(options: RegisterOptions): WeaveHandle {
  // Aspects may be TypeScript with decorators.
  installHook({ resolve: false });
  const bindings = bound(options.aspects.flatMap(aspectBindings), options);
  const handle = registerBindings(bindings);
  if (options.dryRun === true) setDryRun(true);
  if (options.dump !== undefined) dumpInto(resolve(options.dump));
  addEditor(loadTimeEditor);
  if (options.strict === true) process.once('exit', () => failWhereUnmatched(bindings));
  const modules = options.aspects.filter((aspect) => typeof aspect === 'string' || aspect instanceof URL).map((aspect) => moduleUrl(aspect));
  if (modules.length > 0) carry({ ...options, aspects: modules });
  return handle;
}

/** Two preloads of one process register once. */
let done = false;

/** Registers what the environment (SPARK_PROXY_ASPECTS), the thread's parent, or `spark-proxy` of the nearest package.json asks for; for preloads. */
export function registerConfigured(): WeaveHandle | undefined {
  if (done) return undefined;
  done = true;
  const asked: Carried | undefined = configured();
  if (asked === undefined) return undefined;
  const { explainInto, ...options } = asked;
  const handle = register(options);
  if (explainInto !== undefined) process.once('exit', () => writeFileSync(explainInto, JSON.stringify(explain())));
  return handle;
}

/** Which modules are meant, where pointcuts leave that open. */
export interface ModuleChoice {
  readonly include?: readonly string[] | undefined;
  readonly exclude?: readonly string[] | undefined;
}

function bound(bindings: readonly Binding[], { include = [], exclude = [] }: ModuleChoice): readonly Binding[] {
  return bindings.map((binding): Binding => {
    const pointcut = include.length === 0 || binding.pointcut.boundToModule ? binding.pointcut : and(anyOf(include), binding.pointcut);
    return { ...binding, pointcut: exclude.length === 0 ? pointcut : and(pointcut, not(anyOf(exclude))) };
  });
}

/**
 * The advice that modules export, by their URLs: for tools that weave when they build.
 * @throws SP_ASPECTS_ASPECT_MODULE, SP_ASPECTS_NOT_AN_ASPECT
 */
export function exportedBindings(modules: Readonly<Record<string, object>>, choice: ModuleChoice = {}): readonly Binding[] {
  return bound(
    Object.entries(modules).flatMap(([url, exported]) => aspectsOf(exported, url)),
    choice,
  );
}

/**
 * Registers the aspects that modules export, for modules that were woven when they were built: no module hook is needed. Called by what
 * the plugins of `spark-proxy/plugin` put into a bundle.
 * @throws SP_ASPECTS_ASPECT_MODULE, SP_ASPECTS_LOAD_TIME_NEEDS_WITHIN
 */
export function registerBuilt(modules: Readonly<Record<string, object>>, choice: ModuleChoice = {}): WeaveHandle {
  return registerBindings(exportedBindings(modules, choice));
}

const anyOf = (globs: readonly string[]): Pointcut => {
  const [first, ...others] = globs.map((glob) => within(glob));
  return or(first!, ...others);
};

function aspectBindings(aspect: AspectSource): readonly Binding[] {
  if (typeof aspect !== 'string' && !(aspect instanceof URL)) return bindingsOf(typeof aspect === 'function' ? construct(aspect) : aspect);
  const url = moduleUrl(aspect);
  let exported: object;
  try {
    exported = nodeRequire(fileURLToPath(url)) as object;
  } catch (error) {
    throw errors.ASPECT_MODULE({ url, why: error instanceof Error ? error.message : String(error) }, error);
  }
  return aspectsOf(exported, url);
}

function aspectsOf(exported: object, url: string): readonly Binding[] {
  const found = new Set<object>();
  for (const value of [exported, ...Object.values(exported)] as unknown[]) {
    if (Array.isArray(value) && value.length > 0) found.add(value);
    else if (typeof value === 'function' && isAspect((value as { prototype?: unknown }).prototype)) found.add(construct(value));
    else if (isAspect(value)) found.add(value);
  }
  if (found.size === 0) throw errors.ASPECT_MODULE({ url, why: 'it exports no aspect' });
  return [...found].flatMap((one) => bindingsOf(one));
}

const construct = (aspect: unknown): object => new (aspect as new () => object)();

function isAspect(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false;
  try {
    return adviceOf(value).length > 0;
  } catch {
    return false;
  }
}

/** Relative paths are relative to the working directory; other names are packages as seen from there. */
function moduleUrl(aspect: string | URL): string {
  const text = String(aspect);
  if (text.startsWith('file:')) return text;
  if (/^(?:\.{0,2}[\\/]|[A-Za-z]:[\\/])/.test(text)) return pathToFileURL(resolve(text)).href;
  try {
    return pathToFileURL(createRequire(join(process.cwd(), 'package.json')).resolve(text)).href;
  } catch (error) {
    throw errors.ASPECT_MODULE({ url: text, why: 'it is neither a path (./aspects.js) nor an installed package' }, error);
  }
}

/** A copy of each woven source below `folder`, under the path it was loaded from. */
function dumpInto(folder: string): void {
  onEdited(({ url }, text) => {
    const path = join(folder, url.startsWith('file:') ? fileURLToPath(url).replace(/^[A-Za-z]:/, '') : encodeURIComponent(url));
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text());
  });
}

function failWhereUnmatched(bindings: readonly Binding[]): void {
  const asked = new Set(bindings.map(({ pointcut }) => pointcut.toString()));
  const missed = explain().unmatched.filter(({ pointcut }) => asked.has(pointcut));
  for (const { pointcut, target } of missed) {
    const error = errors.NO_MATCH({ pointcut, target, candidates: 'see explain()' });
    process.stderr.write(`${error.code}: ${error.message}\n`);
  }
  if (missed.length > 0) process.exitCode = 1;
}
