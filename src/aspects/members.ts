import type { AnyFunction } from './advice.ts';
import { annotationsOf } from './annotation.ts';
import { errors } from './errors.ts';
import type { PartialShadow, Shadow } from './pointcut.ts';
import { originalOf, type Member } from './site.ts';

/** A target taken apart. */
export interface Target {
  readonly name: string;
  /** The class itself, when one was given. */
  readonly classFunction: AnyFunction | undefined;
  /** Where members are looked for; `deep`: along the class chain too, not only what the part itself declares. */
  readonly parts: readonly { readonly owner: object; readonly isStatic: boolean; readonly deep: boolean }[];
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

function ownMembers(owner: object, names: readonly string[]): Map<string, Found> {
  const found = new Map<string, Found>();
  for (const name of names) {
    const descriptor = isBuiltIn(owner, name) ? undefined : Object.getOwnPropertyDescriptor(owner, name);
    if (descriptor !== undefined) found.set(name, { descriptor, own: true });
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

const KINDS = { execution: 'value', get: 'get', set: 'set' } as const;

/** Every join point that could be woven in a target and may be asked for, constructions excepted. */
export function candidates(target: Target, module: string | undefined, mayMatch: MayMatch = () => true, names?: readonly string[]): readonly Candidate[] {
  let ofClass: readonly string[] | undefined;
  return target.parts.flatMap(({ owner, isStatic, deep }) => {
    const out: Candidate[] = [];
    const members =
      names === undefined ? membersOf(owner, (name) => mayMatch({ name, declaringType: target.name, isStatic, module })) : ownMembers(owner, names);
    for (const [key, { descriptor, own }] of members) {
      for (const kind of ['execution', 'get', 'set'] as const) {
        const original = descriptor[KINDS[kind]] as AnyFunction | undefined;
        if (original === undefined) continue;
        const known = { kind, name: key, declaringType: target.name, isStatic, module };
        if (!mayMatch(known) || (kind === 'execution' && !isMethod(original))) continue;
        ofClass ??= annotationsOf(target.classFunction, undefined, undefined);
        const shadow: Shadow = { ...known, annotations: [...new Set([...annotationsOf(original, owner, key), ...ofClass])] };
        out.push({ shadow, member: { owner, key, kind, original, own }, onlyByName: !own && !deep });
      }
    }
    return out;
  });
}
