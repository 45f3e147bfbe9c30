import type { AnyFunction } from './advice.ts';
import { annotationsOf } from './annotation.ts';
import { errors } from './errors.ts';
import type { JoinPointKind } from './join-point.ts';
import type { PartialShadow, Shadow } from './pointcut.ts';
import { originalOf, type Member } from './site.ts';

/** A target taken apart. */
export interface Target {
  readonly name: string;
  /** The class itself, when one was given. */
  readonly classFunction: AnyFunction | undefined;
  /** Where members are looked for; `deep`: along the class chain too, not only what the part itself declares. */
  readonly parts: readonly Part[];
}

interface Part {
  readonly owner: object;
  readonly isStatic: boolean;
  readonly deep: boolean;
}

const isObject = (value: unknown): value is object => (typeof value === 'object' && value !== null) || typeof value === 'function';

/** A class may have a static member called `name`. */
export const nameOf = (fn: { readonly name: unknown }): string => (typeof fn.name === 'string' ? fn.name : '');

function className(prototype: object | null): string {
  for (let at = prototype; at !== null; at = Object.getPrototypeOf(at) as object | null) {
    const constructor: unknown = Object.getOwnPropertyDescriptor(at, 'constructor')?.value;
    if (typeof constructor === 'function') return nameOf(constructor);
  }
  return 'Object';
}

/**
 * A class gives its prototype and itself (statics); a prototype itself; any other object itself and its class chain.
 * @throws SP_ASPECTS_NOT_A_TARGET
 */
export function describeTarget(target: unknown): Target {
  if (!isObject(target)) throw errors.NOT_A_TARGET({ target: target === null ? 'null' : typeof target });
  if (typeof target === 'function' && isObject(target.prototype)) {
    const classFunction = originalOf(target as AnyFunction);
    return {
      name: nameOf(classFunction),
      classFunction,
      parts: [
        { owner: classFunction.prototype as object, isStatic: false, deep: false },
        { owner: classFunction, isStatic: true, deep: false },
      ],
    };
  }
  const isPrototype = Object.hasOwn(target, 'constructor');
  return { name: className(target), classFunction: undefined, parts: [{ owner: target, isStatic: false, deep: !isPrototype }] };
}

const ENDS = new Set<unknown>([Object.prototype, Function.prototype]);

interface Found {
  readonly descriptor: PropertyDescriptor;
  readonly own: boolean;
}

const isBuiltIn = (owner: object, key: string | symbol): boolean =>
  key === 'constructor' || (typeof owner === 'function' && (key === 'prototype' || key === 'name' || key === 'length'));

/** All members along the prototype chain that may be asked for, nearest first; names only, values untouched (a getter is never run). */
function membersOf(owner: object, mayMatch: (name: string | symbol) => boolean): Map<string | symbol, Found> {
  const found = new Map<string | symbol, Found>();
  for (let at: object | null = owner; at !== null && !ENDS.has(at); at = Object.getPrototypeOf(at) as object | null) {
    for (const key of Reflect.ownKeys(at)) {
      if (isBuiltIn(at, key) || found.has(key) || !mayMatch(key)) continue;
      found.set(key, { descriptor: Object.getOwnPropertyDescriptor(at, key)!, own: at === owner });
    }
  }
  return found;
}

/** Classes kept in properties are not methods. Read once, when weaving; only a class has a `prototype` that cannot be assigned, and needs its text read. */
function isMethod(value: unknown): value is AnyFunction {
  if (typeof value !== 'function') return false;
  const original = originalOf(value);
  return Object.getOwnPropertyDescriptor(original, 'prototype')?.writable !== false || !/^class\b/.test(Function.prototype.toString.call(original));
}

/** Whether a join point may be asked for at all, by what is known without looking at the function. */
export type MayMatch = (shadow: PartialShadow) => boolean;

export interface Candidate {
  readonly shadow: Shadow;
  readonly member: Member;
  /** Inherited, and so taken only when asked for by its exact name. */
  readonly onlyByName: boolean;
}

/** Every join point that could be woven in a target and may be asked for, constructions excepted; `names`: those of all that may be asked for. */
export function candidates(target: Target, module: string | undefined, mayMatch: MayMatch = () => true, names?: readonly string[]): readonly Candidate[] {
  const finder = new Finder(target, module, names === undefined ? mayMatch : undefined);
  // Asked of each class that is woven when it is loaded: no closures.
  for (const part of target.parts) {
    if (names === undefined) finder.all(part);
    else for (const name of names) finder.own(part, name);
  }
  return finder.found;
}

class Finder {
  readonly found: Candidate[] = [];
  readonly #target: Target;
  readonly #module: string | undefined;
  /** Undefined: everything may. */
  readonly #mayMatch: MayMatch | undefined;
  /** Annotations of the class. */
  #ofClass: readonly string[] | undefined;

  constructor(target: Target, module: string | undefined, mayMatch: MayMatch | undefined) {
    this.#target = target;
    this.#module = module;
    this.#mayMatch = mayMatch;
  }

  own(part: Part, name: string): void {
    const { owner } = part;
    const descriptor = isBuiltIn(owner, name) ? undefined : Object.getOwnPropertyDescriptor(owner, name);
    if (descriptor !== undefined) this.#member(part, name, descriptor, true);
  }

  all(part: Part): void {
    const { owner, isStatic } = part;
    const { name: declaringType } = this.#target;
    const mayMatch = (name: string | symbol): boolean => this.#mayMatch?.({ name, declaringType, isStatic, module: this.#module }) ?? true;
    for (const [key, { descriptor, own }] of membersOf(owner, mayMatch)) this.#member(part, key, descriptor, own);
  }

  #member(part: Part, key: string | symbol, descriptor: PropertyDescriptor, own: boolean): void {
    const { value, get, set } = descriptor as { readonly value?: unknown; readonly get?: AnyFunction; readonly set?: AnyFunction };
    if (value !== undefined && this.#asksFor('execution', key, part) && isMethod(value)) this.#add('execution', value, part, key, descriptor, own);
    if (get !== undefined && this.#asksFor('get', key, part)) this.#add('get', get, part, key, descriptor, own);
    if (set !== undefined && this.#asksFor('set', key, part)) this.#add('set', set, part, key, descriptor, own);
  }

  #asksFor(kind: JoinPointKind, name: string | symbol, { isStatic }: Part): boolean {
    return this.#mayMatch === undefined || this.#mayMatch({ kind, name, declaringType: this.#target.name, isStatic, module: this.#module });
  }

  #add(kind: Member['kind'], original: AnyFunction, part: Part, key: string | symbol, descriptor: PropertyDescriptor, own: boolean): void {
    const { owner, isStatic, deep } = part;
    this.#ofClass ??= annotationsOf(this.#target.classFunction, undefined, undefined);
    const ofMember = annotationsOf(original, owner, key);
    const annotations = ofMember.length === 0 ? this.#ofClass : [...new Set([...ofMember, ...this.#ofClass])];
    const shadow: Shadow = { kind, name: key, declaringType: this.#target.name, isStatic, module: this.#module, annotations };
    this.found.push({ shadow, member: { owner, key, kind, original, own, descriptor }, onlyByName: !own && !deep });
  }
}
