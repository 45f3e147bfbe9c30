import { compileChain } from './chain.ts';
import type { Callee, ShellState } from './chain-request.ts';
import type { Advice, AnyFunction } from './advice.ts';
import { errors } from './errors.ts';
import { Signature, type JoinPoint, type JoinPointKind } from './join-point.ts';
import type { Shadow } from './pointcut.ts';

/** One piece of advice at one site. */
export interface Entry {
  readonly advice: Advice;
  /** Of the pointcut, or how it came here. */
  readonly pointcut: string;
  /** Position among all weavings: ties of `order` go by it. */
  readonly sequence: number;
  enabled: boolean;
  /** What it was made of, where advice is guarded by what is left of its pointcut. */
  readonly base?: Entry;
}

/** Where a site's shell is installed; absent for what only its holder can reach (decorated members, constructors). */
export interface Place {
  readonly owner: object;
  readonly key: string | symbol;
  /** False when the owner only inherited the member: unweaving deletes it. */
  readonly own: boolean;
}

const SLOT = { execution: 'value', get: 'get', set: 'set' } as const;

const slotOf = (kind: JoinPointKind): 'value' | 'get' | 'set' | undefined => (kind === 'construct' || kind === 'call' ? undefined : SLOT[kind]);

/**
 * One woven join point: its original, the advice on it, and the shell that callers reach. Whatever the set of enabled
 * advice becomes, a function taken from here earlier goes on doing what the site does now.
 *
 * OWNERSHIP: the owner's property is changed only while it still holds a shell of this site; what others put over it stays.
 */
export class Site {
  signature: Signature;
  readonly callee: Callee;
  place: Place | undefined;
  /** Outermost first. */
  #entries: readonly Entry[] = [];
  #compiled: readonly Entry[] = [];
  /** Switched off here, though not elsewhere. */
  #muted: Set<Entry> | undefined;
  #shell: AnyFunction;
  #state: ShellState;
  /** The first shell of a construction is what people hold as the class. */
  readonly first: AnyFunction;
  /** Told when the shell or `off` may have changed. */
  changed: (() => void) | undefined;

  constructor(signature: Signature, callee: Callee, place: Place | undefined, entries: readonly Entry[]) {
    this.signature = signature;
    ORIGINALS.set(signature, callee.original);
    this.callee = callee;
    this.place = place;
    this.#entries = sorted(entries);
    this.#compiled = this.#enabled();
    const { shell, state } = this.#compile(this.#compiled);
    this.#shell = shell;
    this.#state = state;
    this.first = shell;
    if (this.#compiled.length === 0) state.mode = 0;
    if (this.#compiled.length > 0) this.#install();
    shared.refs.add(new WeakRef(this));
    if (shared.refs.size > 2 * pruned + 1000) pruned = allSites().length;
  }

  get entries(): readonly Entry[] {
    return this.#entries;
  }

  get shell(): AnyFunction {
    return this.#shell;
  }

  /** No advice is enabled: callers that can may run the original themselves. */
  get off(): boolean {
    return this.#state.mode === 0;
  }

  add(entries: readonly Entry[]): void {
    this.#entries = sorted([...this.#entries, ...entries]);
    this.refresh();
  }

  /** Switches entries at this site only. */
  mute(entries: readonly Entry[], muted: boolean): void {
    for (const entry of entries) {
      if (muted) (this.#muted ??= new Set()).add(entry);
      else this.#muted?.delete(entry);
    }
    this.refresh();
  }

  /** Whether it runs here now. */
  runs(entry: Entry): boolean {
    return entry.enabled && !shared.off && this.#muted?.has(entry) !== true;
  }

  remove(entries: readonly Entry[]): void {
    this.#entries = this.#entries.filter((entry) => !entries.includes(entry) && (entry.base === undefined || !entries.includes(entry.base)));
    this.refresh();
  }

  /** Brings the shell in line with the entries; compiles only when other advice than the compiled one is enabled. */
  refresh(): void {
    const enabled = this.#enabled();
    if (enabled.length === 0) this.#state.mode = 0;
    else if (same(enabled, this.#compiled)) this.#state.mode = 1;
    else {
      const { shell, state } = this.#compile(enabled);
      this.#state.mode = 2;
      this.#compiled = enabled;
      this.#shell = shell;
      this.#state = state;
    }
    // Off costs nothing: callers reach the original, and only who took the shell away goes through it.
    if (enabled.length === 0) this.#restore();
    else this.#install();
    this.changed?.();
  }

  #enabled(): readonly Entry[] {
    return this.#entries.filter((entry) => this.runs(entry));
  }

  #compile(entries: readonly Entry[]): { shell: AnyFunction; state: ShellState } {
    // A later shell of a class says to the original that the class people hold is being constructed.
    const first = this.first as AnyFunction | undefined;
    const callee = first !== undefined && this.callee.newTarget === 'shell' ? { ...this.callee, newTarget: first } : this.callee;
    const compiled = compileChain({ signature: this.signature, callee, advice: entries.map((entry) => entry.advice), site: this });
    SHELLS.set(compiled.shell, this);
    return compiled;
  }

  #install(): void {
    const { place } = this;
    const slot = slotOf(this.signature.kind);
    if (place === undefined || slot === undefined) return;
    const current = Object.getOwnPropertyDescriptor(place.owner, place.key);
    if (current?.[slot] === this.#shell) return;
    if (current !== undefined && current[slot] !== this.callee.original && SHELLS.get(current[slot] as object) !== this) return;
    // What is there keeps its attributes, and the other half of an accessor. A property that has been frozen since keeps its old shell, which forwards.
    const descriptor = current === undefined ? inheritedDescriptor(place.owner, place.key) : undefined;
    Reflect.defineProperty(place.owner, place.key, { ...descriptor, [slot]: this.#shell });
    settle(place.owner);
  }

  #restore(): void {
    const { place } = this;
    const slot = slotOf(this.signature.kind);
    if (place === undefined || slot === undefined) return;
    const current = Object.getOwnPropertyDescriptor(place.owner, place.key);
    if (current === undefined || SHELLS.get(current[slot] as object) !== this) return;
    if (!place.own && (slot === 'value' || SHELLS.get((slot === 'get' ? current.set : current.get) as object) === undefined))
      Reflect.deleteProperty(place.owner, place.key);
    else Reflect.defineProperty(place.owner, place.key, { ...current, [slot]: this.callee.original });
    settle(place.owner);
  }
}

/**
 * Makes V8 forget that a method was ever replaced. Once a property of a prototype has changed, V8 reads it anew at each call and does not
 * inline what is there (a loop takes 2 to 40 times as long); a deletion makes the prototype a dictionary, and at its next use as a prototype
 * it becomes fast again, all its properties constants. Not for other objects, which would stay dictionaries.
 */
function settle(owner: object): void {
  const constructor: unknown = Object.getOwnPropertyDescriptor(owner, 'constructor')?.value;
  if (typeof constructor !== 'function' || (constructor as { prototype?: unknown }).prototype !== owner || !Object.isExtensible(owner)) return;
  // Taking back what was added last would only undo its addition.
  Reflect.defineProperty(owner, FIRST, PASSING);
  Reflect.defineProperty(owner, LAST, PASSING);
  Reflect.deleteProperty(owner, FIRST);
  Reflect.deleteProperty(owner, LAST);
}

const FIRST = Symbol('first');
const LAST = Symbol('last');
const PASSING: PropertyDescriptor = { value: undefined, configurable: true };

const SHELLS = new WeakMap<object, Site>();
const PLACED = {
  execution: new WeakMap<object, Map<string | symbol, Site>>(),
  get: new WeakMap<object, Map<string | symbol, Site>>(),
  set: new WeakMap<object, Map<string | symbol, Site>>(),
};
/** Kept on globalThis, so that two copies of this package (one in a bundle, one preloaded) know of each other's. */
const shared = ((globalThis as Record<symbol, unknown>)[Symbol.for('spark-proxy.sites')] ??= { refs: new Set(), off: false }) as {
  refs: Set<WeakRef<Site>>;
  /** No advice runs anywhere. */
  off: boolean;
};
/** How many were alive when the dead were last dropped. */
let pruned = 0;

const same = (a: readonly Entry[], b: readonly Entry[]): boolean => a.length === b.length && a.every((entry, i) => entry === b[i]);

/** AspectJ precedence: lower `order` is further outside; of equals, what was woven first. */
const sorted = (entries: readonly Entry[]): readonly Entry[] =>
  entries.length < 2 ? entries : entries.toSorted((a, b) => a.advice.order - b.advice.order || a.sequence - b.sequence);

/** The site whose shell this function (or class) is. */
export function siteOf(shell: unknown): Site | undefined {
  return typeof shell === 'function' ? SHELLS.get(shell) : undefined;
}

const ORIGINALS = new WeakMap<Signature, AnyFunction>();

/** The function that runs at a join point of kind `execution`, `get` or `set`, without any advice; undefined where each run has another. */
export function originalAt({ kind, signature }: JoinPoint): AnyFunction | undefined {
  return kind === 'call' || kind === 'construct' ? undefined : originalOf(ORIGINALS.get(signature));
}

/** The function or class under all shells. */
export function originalOf<T>(value: T): T {
  let original: unknown = value;
  for (let site = siteOf(original); site !== undefined; site = siteOf(original)) original = site.callee.original;
  return original as T;
}

/** All sites that are alive. */
export function allSites(): readonly Site[] {
  const alive: Site[] = [];
  const refs = new Set<WeakRef<Site>>();
  for (const ref of shared.refs) {
    const site = ref.deref();
    if (site === undefined) continue;
    alive.push(site);
    refs.add(ref);
  }
  shared.refs = refs;
  return alive;
}

/** Whether any advice may run; sites made later keep to it. */
export const switchedOn = (): boolean => !shared.off;

/** Switches all advice of the process, whatever each piece of it is switched to. */
export function switchAll(on: boolean): void {
  shared.off = !on;
  for (const site of allSites()) site.refresh();
}

function inheritedDescriptor(owner: object, key: string | symbol): PropertyDescriptor | undefined {
  for (let at: object | null = owner; at !== null; at = Object.getPrototypeOf(at)) {
    const descriptor = Object.getOwnPropertyDescriptor(at, key);
    if (descriptor !== undefined) return { ...descriptor, configurable: true };
  }
  return undefined;
}

/** Where a member is, and what is there now. */
export interface Member {
  readonly owner: object;
  readonly key: string | symbol;
  readonly kind: 'execution' | 'get' | 'set';
  readonly original: AnyFunction;
  readonly own: boolean;
  readonly descriptor: PropertyDescriptor;
}

/** @throws SP_ASPECTS_NOT_CONFIGURABLE when weaving the member is bound to fail. */
export function assertReplaceable({ owner, kind, own, descriptor }: Member, shadow: Shadow): void {
  const replaceable = own ? descriptor.configurable === true || (kind === 'execution' && descriptor.writable === true) : Object.isExtensible(owner);
  if (!replaceable) throw errors.NOT_CONFIGURABLE({ joinPoint: new Signature(shadow).toString() });
}

/** Adds advice at a member: to the site already there, else to a new one. */
export function weaveMember(member: Member, shadow: Shadow, entries: readonly Entry[]): Site {
  const { owner, key, kind, original, own } = member;
  const placed = PLACED[kind];
  let byKey = placed.get(owner);
  if (byKey === undefined) placed.set(owner, (byKey = new Map()));
  const current = siteOf(original);
  const known = byKey.get(key);
  // A decorated member is met for the first time where it lives: its site settles there.
  if (current?.signature.kind === kind && current.place === undefined && own) {
    current.place = { owner, key, own };
    current.signature = new Signature(shadow, parameterTypes(owner, key));
    ORIGINALS.set(current.signature, current.callee.original);
    byKey.set(key, current);
  } else if (known === undefined || (current !== known && known.callee.original !== original)) {
    const callee: Callee = { original, inherited: own ? undefined : { from: Object.getPrototypeOf(owner) as object, key } };
    const site = new Site(new Signature(shadow, parameterTypes(owner, key)), callee, { owner, key, own }, entries);
    byKey.set(key, site);
    return site;
  }
  const site = byKey.get(key)!;
  site.add(entries);
  return site;
}

/** `design:paramtypes` of the member, where the program has reflect-metadata; it is read, never put there. */
function parameterTypes(owner: object, key: string | symbol): readonly unknown[] | undefined {
  const { getMetadata } = Reflect as { getMetadata?: (key: string, target: object, property: string | symbol) => unknown };
  const types = typeof getMetadata === 'function' ? getMetadata.call(Reflect, 'design:paramtypes', owner, key) : undefined;
  return Array.isArray(types) ? (types as unknown[]) : undefined;
}
