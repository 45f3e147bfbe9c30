import { fileURLToPath } from 'node:url';
import { nodeRequire } from '../core/require.ts';
import { errors } from './errors.ts';
import { applyEditors } from '../loader/edit.ts';
import type { SourceEditor, SourceModule } from '../loader/contract.ts';
import { createEditor, type EditorOptions } from './load-time-editor.ts';
import { openSites, type SiteHost } from './load-time-sites.ts';
import type { PartialShadow } from './pointcut.ts';
import { Report, type MatchedShadow, type Skipped } from './report.ts';
import { atSite, type TypesOf } from './residue.ts';
import { allSites, type Entry, type Site } from './site.ts';
import {
  bindingsOf,
  makeEntries,
  reportUnmatchedFrom,
  weaveEntries,
  type AdviceAt,
  type Binding,
  type PlacedEntry,
  type Unmatched,
  type WeaveHandle,
} from './weave.ts';
import { GLOBAL, type SiteText } from './woven-text.ts';

/** What an aspect registered later may still reach: what came through the editor, for as long as it lives. */
type Reachable =
  | { readonly target: WeakRef<object>; readonly name: string; readonly url: string }
  | { readonly site: WeakRef<Site>; readonly shadow: PartialShadow; readonly typesOf: TypesOf | undefined };

const report = new Report();
/** Kept on globalThis: a bundle may hold a copy of this package, and a preload another, and either may open the sites of a module. */
const registrations = ((globalThis as Record<symbol, unknown>)[Symbol.for('spark-proxy.registrations')] ??= new Set()) as Set<Registration>;
let reachable: Reachable[] = [];
let pruneAt = 1000;

function remember(one: Reachable): void {
  reachable.push(one);
  if (reachable.length < pruneAt) return;
  reachable = reachable.filter((known) => ('site' in known ? known.site : known.target).deref() !== undefined);
  pruneAt = 1000 + 2 * reachable.length;
}

const ownAt = (site: Site, own: readonly Entry[]): readonly Entry[] => site.entries.filter((entry) => own.includes(entry.base ?? entry));

class Registration implements WeaveHandle {
  readonly bindings: readonly Binding[];
  readonly entries: readonly PlacedEntry[];
  readonly #matched = new Set<string>();
  #enabled = true;

  constructor(bindings: readonly Binding[]) {
    this.bindings = bindings;
    this.entries = makeEntries(bindings);
  }

  get #own(): readonly Entry[] {
    return this.entries.map(({ entry }) => entry);
  }

  get #sites(): readonly Site[] {
    const own = this.#own;
    return allSites().filter((site) => ownAt(site, own).length > 0);
  }

  get joinPoints(): readonly string[] {
    return [...new Set(this.#sites.map((site) => site.signature.toString()))];
  }

  get enabled(): boolean {
    return this.#enabled && registrations.has(this);
  }

  get unmatched(): readonly Unmatched[] {
    return this.bindings
      .filter(({ implied }) => implied !== true)
      .map(({ pointcut, advice }) => ({ pointcut: pointcut.toString(), advice: advice.name, target: 'modules loaded so far' }))
      .filter(({ pointcut }) => !this.#matched.has(pointcut) && !report.hit(pointcut));
  }

  matched(pointcuts: readonly string[]): void {
    for (const pointcut of pointcuts) this.#matched.add(pointcut);
  }

  /** Its advice for one join point; what its pointcuts leave open is asked when that runs. */
  entriesFor(shadow: PartialShadow, typesOf: TypesOf | undefined): readonly Entry[] {
    return this.entries.flatMap(({ pointcut, entry }) => {
      const residue = pointcut.residue(shadow);
      return residue === false ? [] : [atSite(entry, residue, shadow, typesOf)];
    });
  }

  enable(): void {
    this.#switch(true);
  }

  disable(): void {
    this.#switch(false);
  }

  #switch(enabled: boolean): void {
    this.#enabled = enabled;
    for (const entry of this.#own) entry.enabled = enabled;
    for (const site of this.#sites) {
      // What was switched off at one site comes back with all of it.
      if (enabled) site.mute(ownAt(site, this.#own), false);
      else site.refresh();
    }
  }

  unweave(): void {
    registrations.delete(this);
    const own = this.#own;
    for (const site of this.#sites) site.remove(own);
  }

  [Symbol.dispose](): void {
    this.unweave();
  }
}

/** Weaves the public members of a class, or the functions of an object, as it is made. */
function weaveMembers(registration: Registration, target: object, name: string, url: string, names?: readonly string[]): void {
  try {
    const { matched } = weaveEntries(target, registration.entries, { module: url, className: name, quiet: true, membersOnly: true, names });
    registration.matched(matched);
  } catch (error) {
    // The module must load all the same.
    const coded = errors.LOAD_TIME_FAILED({ name, url, why: error instanceof Error ? error.message : String(error) }, error);
    warn(coded);
  }
}

const host: SiteHost = {
  entriesFor: (shadow, typesOf) => [...registrations].flatMap((registration) => registration.entriesFor(shadow, typesOf)),
  placed: (site, shadow, typesOf) => remember({ site: new WeakRef(site), shadow, typesOf }),
  made(target, name, url, names) {
    remember({ target: new WeakRef(target), name, url });
    const known = upToDate.has(url) ? names : undefined;
    for (const registration of registrations) weaveMembers(registration, target, name, url, known);
  },
};

/** Modules edited since an aspect was registered last: their text says all that is to be woven. */
const upToDate = new Set<string>();
/** Edited modules that have not run yet. */
const awaited = new Map<string, SourceModule['format']>();
const editListeners = new Set<(module: SourceModule, text: () => string) => void>();

/** Called with each woven module and its text. */
export function onEdited(listener: (module: SourceModule, text: () => string) => void): void {
  editListeners.add(listener);
}

function warn(coded: Error & { readonly code: string }): void {
  process.emitWarning(coded.message, { type: 'SparkProxyWarning', code: coded.code });
}

/** A CommonJS module that has been loaded, but not with our text: another hook has put its own there. */
function checkDropped(): void {
  for (const [url, format] of awaited) {
    if (format !== 'commonjs' || !url.startsWith('file:') || nodeRequire.cache[fileURLToPath(url)]?.loaded !== true) continue;
    awaited.delete(url);
    report.skipped({ url, format, source: '' }, 0, undefined, 'another module hook replaced its source');
    warn(errors.DROPPED({ url }));
  }
}

let checking = false;

function awaitRun(module: SourceModule): void {
  upToDate.add(module.url);
  awaited.set(module.url, module.format);
  if (checking || module.format !== 'commonjs') return;
  checking = true;
  setImmediate(() => {
    checking = false;
    checkDropped();
  }).unref();
}

(globalThis as Record<symbol, unknown>)[Symbol.for(GLOBAL)] ??= (url: string, sites: readonly SiteText[]): readonly unknown[] => {
  awaited.delete(url);
  return openSites(url, sites, host);
};
reportUnmatchedFrom(() => [...registrations].flatMap((registration) => registration.unmatched));

/** What load-time weaving found in the text of the modules loaded so far. */
export const loadTimeReport = (): { readonly matched: readonly MatchedShadow[]; readonly skipped: readonly Skipped[] } => {
  checkDropped();
  return report.rows;
};

/**
 * Registers an aspect (an instance of an aspect class, or advice with its pointcuts) for modules loaded from now on. What has come
 * through the editor already is reached too, as far as it was woven then: every public member of its woven classes, and the
 * constructions, functions, private members, calls and accesses that some pointcut asked for. Each pointcut must be bound to modules by `within`.
 * @throws SP_ASPECTS_LOAD_TIME_NEEDS_WITHIN, SP_ASPECTS_NOT_AN_ASPECT, SP_ASPECTS_BAD_POINTCUT, SP_ASPECTS_BAD_ADVICE
 */
export function registerLoadTimeAspect(
  aspect: object | readonly AdviceAt[],
  options: { /** That it matches nothing is no mistake. @defaultValue false */ readonly optional?: boolean } = {},
): WeaveHandle {
  const bindings = bindingsOf(aspect);
  return registerBindings(options.optional === true ? bindings.map((binding) => ({ ...binding, implied: true })) : bindings);
}

export function registerBindings(bindings: readonly Binding[]): WeaveHandle {
  const registration = new Registration(bindings);
  for (const { pointcut } of registration.entries) if (!pointcut.boundToModule) throw errors.LOAD_TIME_NEEDS_WITHIN({ pointcut: pointcut.toString() });
  registrations.add(registration);
  upToDate.clear();
  for (const known of [...reachable]) {
    if ('target' in known) {
      const target = known.target.deref();
      if (target !== undefined) weaveMembers(registration, target, known.name, known.url);
      continue;
    }
    const added = registration.entriesFor(known.shadow, known.typesOf);
    if (added.length > 0) known.site.deref()?.add(added);
  }
  return registration;
}

/** Forgets all aspects registered for modules, and takes them out of what is loaded. */
export function unweaveRegistered(): void {
  for (const registration of [...registrations]) registration.unweave();
}

let dryRun = false;

/** From now on modules are only looked at. */
export function setDryRun(on: boolean): void {
  dryRun = on;
}

type Labelled = ReturnType<EditorOptions['bindings']>;
/** Asked for with each module that is loaded. */
const labelled = new WeakMap<Registration, Labelled>();

function labelledOf(registration: Registration): Labelled {
  let known = labelled.get(registration);
  if (known === undefined) labelled.set(registration, (known = registration.entries.map(({ pointcut, entry }) => ({ pointcut, label: entry.pointcut }))));
  return known;
}

/** Of all registrations, kept for as long as these are the same. */
let all: { readonly of: readonly Registration[]; readonly bindings: Labelled } = { of: [], bindings: [] };

function allLabelled(): Labelled {
  let count = 0;
  let same = true;
  for (const registration of registrations) same = all.of[count++] === registration && same;
  if (!same || count !== all.of.length) {
    const of = [...registrations];
    all = { of, bindings: of.flatMap(labelledOf) };
  }
  return all.bindings;
}

/** For `addEditor` of src/loader: weaves what registered aspects may match. */
export const loadTimeEditor: SourceEditor = createEditor({
  bindings: allLabelled,
  report,
  dryRun: () => dryRun,
  edited(module, text) {
    awaitRun(module);
    for (const listener of editListeners) listener(module, text);
  },
  unreadable: ({ url }, why) => warn(errors.NOT_WOVEN({ url, why })),
});

/**
 * Weaves the source of one module without Node's hooks, for tools that build: what it returns finds the framework on globalThis, so
 * the program must load `spark-proxy/aspects` and register its aspects first. Undefined when the module stays as it is.
 */
export function editSource(module: SourceModule): { readonly code: string } | undefined {
  const code = applyEditors([loadTimeEditor], module);
  return code === undefined ? undefined : { code };
}
