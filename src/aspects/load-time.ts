import { toAdvice, type AdviceLike } from './advice.ts';
import { prepareWith } from './construct.ts';
import { errors } from './errors.ts';
import type { SourceEditor } from '../loader/contract.ts';
import { createEditor, GLOBAL } from './load-time-editor.ts';
import { adviceOf } from './metadata.ts';
import { toPointcut, type Pointcut } from './pointcut.ts';
import { constructShadow, makeEntries, reportUnmatchedFrom, weaveEntries, type Binding, type Unmatched, type WeaveHandle } from './weave.ts';

/** Advice with where it goes, when it is not an aspect class. */
export interface LoadTimeAdvice {
  readonly pointcut: Pointcut;
  readonly advice: AdviceLike | readonly AdviceLike[];
}

type AnyClass = abstract new (...args: never[]) => unknown;

interface Loaded {
  readonly name: string;
  readonly url: string;
  /** The class that the module and its importers hold. */
  readonly woven: AnyClass;
}

class Registration implements WeaveHandle {
  readonly bindings: readonly Binding[];
  readonly #handles: WeaveHandle[] = [];
  readonly #matched = new Set<string>();
  #enabled = true;

  constructor(bindings: readonly Binding[]) {
    this.bindings = bindings;
  }

  get joinPoints(): readonly string[] {
    return [...new Set(this.#handles.flatMap((handle) => handle.joinPoints))];
  }

  get enabled(): boolean {
    return this.#enabled && registrations.has(this);
  }

  get unmatched(): readonly Unmatched[] {
    return this.bindings
      .filter(({ pointcut }) => !this.#matched.has(pointcut.toString()))
      .map(({ pointcut, advice }) => ({ pointcut: pointcut.toString(), advice: advice.name, target: 'modules loaded so far' }));
  }

  add(handle: WeaveHandle, matched: readonly string[]): void {
    for (const pointcut of matched) this.#matched.add(pointcut);
    if (handle.joinPoints.length === 0) return;
    this.#handles.push(handle);
    if (!this.#enabled) handle.disable();
  }

  enable(): void {
    this.#enabled = true;
    for (const handle of this.#handles) handle.enable();
  }

  disable(): void {
    this.#enabled = false;
    for (const handle of this.#handles) handle.disable();
  }

  unweave(): void {
    registrations.delete(this);
    for (const handle of this.#handles.splice(0)) handle.unweave();
  }

  [Symbol.dispose](): void {
    this.unweave();
  }
}

const registrations = new Set<Registration>();
const loaded = new Map<string, Loaded>();

type Entries = ReturnType<typeof makeEntries>;

/** The entries of one registration that go to one class, members and construction. */
function apply(registration: Registration, entries: Entries, { name, url, woven }: Loaded, constructDone: boolean): void {
  const { handle, matched } = weaveEntries(woven, entries, { module: url, className: name, quiet: true, constructDone });
  registration.add(handle, matched);
}

/** Called by woven modules as each class is made; what it returns takes the place of the class. */
function classLoaded(siteId: string, given: unknown, bodySeesWoven?: 1): unknown {
  if (typeof given !== 'function') return given;
  const hash = siteId.lastIndexOf('#');
  const url = siteId.slice(0, hash);
  const name = siteId.slice(hash + 1);
  try {
    const each = [...registrations].map((registration) => ({ registration, entries: makeEntries(registration.bindings) }));
    const shadow = constructShadow(name, url, given as never);
    const construct = each.flatMap(({ entries }) => entries.filter(({ pointcut }) => pointcut.matches(shadow)).map(({ entry }) => entry));
    const site = prepareWith(given as never, construct, { name, module: url, bodySeesWoven: bodySeesWoven === 1 });
    const record: Loaded = { name, url, woven: site.first as unknown as AnyClass };
    loaded.set(siteId, record);
    for (const { registration, entries } of each) apply(registration, entries, record, true);
    return record.woven;
  } catch (error) {
    // The module must load all the same.
    const coded = errors.LOAD_TIME_FAILED({ name, url, why: error instanceof Error ? error.message : String(error) }, error);
    process.emitWarning(coded.message, { type: 'SparkProxyWarning', code: coded.code });
    return given;
  }
}

(globalThis as Record<symbol, unknown>)[Symbol.for(GLOBAL)] ??= classLoaded;
reportUnmatchedFrom(() => [...registrations].flatMap((registration) => registration.unmatched));

/**
 * Registers an aspect (an instance of an aspect class, or advice with its pointcuts) for classes of modules loaded from now
 * on, and for those that have come through the editor already: of these, members are woven in any case, and constructions
 * too, as every class that comes through can be woven later. Each pointcut must be bound to modules by `within`.
 * @throws SP_ASPECTS_LOAD_TIME_NEEDS_WITHIN, SP_ASPECTS_NOT_AN_ASPECT, SP_ASPECTS_BAD_POINTCUT, SP_ASPECTS_BAD_ADVICE
 */
export function registerLoadTimeAspect(aspect: object | readonly LoadTimeAdvice[]): WeaveHandle {
  const bindings: readonly Binding[] = Array.isArray(aspect)
    ? (aspect as readonly LoadTimeAdvice[]).flatMap(({ pointcut, advice }) =>
        (Array.isArray(advice) ? advice : [advice]).map((one: unknown) => ({ pointcut: toPointcut(pointcut), advice: toAdvice(one) })),
      )
    : adviceOf(aspect);
  for (const { pointcut } of bindings) if (!pointcut.boundToModule) throw errors.LOAD_TIME_NEEDS_WITHIN({ pointcut: pointcut.toString() });
  const registration = new Registration(bindings);
  registrations.add(registration);
  for (const record of loaded.values()) apply(registration, makeEntries(bindings), record, false);
  return registration;
}

/** For `addEditor` of src/loader: weaves the classes that registered aspects may match. */
export const loadTimeEditor: SourceEditor = createEditor(() => [...registrations].flatMap(({ bindings }) => bindings.map(({ pointcut }) => pointcut)));
