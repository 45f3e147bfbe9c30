/**
 * What imports led to: recorded while a program loads, so that its modules can travel with their functions, and given on the
 * other side, where the modules have come from elsewhere.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { nodeRequire } from '../core/require.ts';

interface Resolutions {
  /** Module URL -> specifier as written -> URL of the module it names. */
  readonly recorded: Map<string, Map<string, string>>;
  readonly given: Map<string, ReadonlyMap<string, string>>;
  /** How often `recorded` has changed. */
  changes: number;
}

const globals = globalThis as { [key: symbol]: Resolutions | undefined };
const STATE = Symbol.for('spark-proxy.resolutions');
/** Shared by copies of this package, as the hook is. */
const state = (globals[STATE] ??= { recorded: new Map(), given: new Map(), changes: 0 });

/** A bundle that holds this package does not know; none of its modules is one of this package then. */
const HERE = (import.meta.url as string | undefined) ?? 'bundle:///spark-proxy/loader/resolutions.js';
const OWN = new URL('../../', HERE).href;
const OWN_CODE = [new URL('../', HERE).href, `${OWN}dist/`, `${OWN}node_modules/`];

/** True for the modules of this package and what it brought along: they are on every side. */
export function isOwnModule(url: string): boolean {
  return OWN_CODE.some((prefix) => url.startsWith(prefix));
}

export function recordResolution(parent: string | undefined, specifier: string, url: string): void {
  if (parent === undefined || !parent.startsWith('file:') || isOwnModule(parent)) return;
  let of = state.recorded.get(parent);
  if (of === undefined) state.recorded.set(parent, (of = new Map()));
  if (of.get(specifier) === url) return;
  of.set(specifier, url);
  state.changes++;
}

/** Changes when anything new is recorded. */
export function resolutionCount(): number {
  return state.changes;
}

/** What the imports of a loaded module have led to. */
export function recordedResolutions(parent: string): ReadonlyMap<string, string> {
  return state.recorded.get(parent) ?? required(parent);
}

const NONE: ReadonlyMap<string, string> = new Map();
const REQUIRE = /\brequire\s*\(\s*(['"])((?:(?!\1)[^\\\n])+)\1\s*\)/g;

/** The same of a CommonJS module that was loaded before anything was recorded: what its text names, as far as that is loaded. */
function required(parent: string): ReadonlyMap<string, string> {
  if (!parent.startsWith('file:') || isOwnModule(parent)) return NONE;
  const path = fileURLToPath(parent);
  if (nodeRequire.cache[path]?.loaded !== true) return NONE;
  const found = new Map<string, string>();
  try {
    const near = createRequire(path);
    for (const [, , specifier = ''] of readFileSync(path, 'utf8').matchAll(REQUIRE)) {
      const target = resolvedBy(near, specifier);
      if (target !== undefined && nodeRequire.cache[target] !== undefined) found.set(specifier, pathToFileURL(target).href);
    }
  } catch {
    return NONE;
  }
  state.recorded.set(parent, found);
  return found;
}

function resolvedBy(near: NodeJS.Require, specifier: string): string | undefined {
  try {
    return near.resolve(specifier);
  } catch {
    return undefined;
  }
}

/** From now on these imports of `parent` name these modules. */
export function giveResolutions(parent: string, resolutions: ReadonlyMap<string, string>): void {
  state.given.set(parent, new Map([...(state.given.get(parent) ?? []), ...resolutions]));
}

export function givenResolution(parent: string | undefined, specifier: string): string | undefined {
  return parent === undefined ? undefined : state.given.get(parent)?.get(specifier);
}

/** `own:<path>` for a module of this package, so that the other side uses its own. */
export function toOwnName(url: string): string | undefined {
  return isOwnModule(url) ? `own:${url.slice(OWN.length)}` : undefined;
}

/** The URL here of a name that `toOwnName` gave on the other side: sources there may be built code here. */
export function fromOwnName(name: string, exists: (path: string) => boolean): string {
  const path = name.slice('own:'.length);
  const built = path.replace(/^src\//, 'dist/').replace(/\.ts$/, '.js');
  const source = path.replace(/^dist\//, 'src/').replace(/\.js$/, '.ts');
  const here = [path, built, source].map((one) => new URL(one, OWN).href).find((url) => url.startsWith(OWN) && exists(fileURLToPath(url)));
  return here ?? new URL(path, OWN).href;
}
