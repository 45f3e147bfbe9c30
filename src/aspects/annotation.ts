import type { AnyFunction } from './advice.ts';
import { compileName } from './pattern.ts';

/*
 * Annotations: decorators that only say something. What they say is kept in a WeakMap by function, and where decorators are
 * legacy ones also by owner and key: neither the class nor Reflect is touched.
 */

interface Marks {
  readonly [name: string]: unknown;
}

const BY_FUNCTION = new WeakMap<object, Marks>();
const BY_MEMBER = new WeakMap<object, Map<string | symbol, Marks>>();
const NAMES = new WeakMap<object, string>();

/** A decorator of methods, accessors and classes, of either flavour. */
export interface AnnotationDecorator {
  (value: AnyFunction, context: DecoratorContext): void;
  (target: object, key: string | symbol, descriptor?: PropertyDescriptor): void;
  // oxlint-disable-next-line typescript/no-explicit-any
  (target: abstract new (...args: any[]) => any): void;
}

export interface Annotation<Args extends readonly unknown[] = readonly never[]> {
  (...args: Args): AnnotationDecorator;
  /** What was said of a function or class (the first argument; true without one); undefined when nothing was. */
  of(annotated: object): Args extends readonly [infer Value, ...unknown[]] ? Value | undefined : true | undefined;
}

/** Any annotation, whatever its arguments. */
export type AnyAnnotation = ((...args: never[]) => AnnotationDecorator) & { of(annotated: object): unknown };

function add(marks: Marks | undefined, name: string, value: unknown): Marks {
  return Object.assign(Object.create(null) as object, marks, { [name]: value }) as Marks;
}

/**
 * Declares an annotation: `const Cached = annotation<[ttlMs: number]>('Cached')`, `@Cached(500) method() {}`, `annotated(Cached)`.
 * Put it above (outside) decorators that replace the method.
 * @throws SP_ASPECTS_BAD_PATTERN
 */
export function annotation<Args extends readonly unknown[] = readonly []>(name: string): Annotation<Args> {
  compileName(name);
  const made = (...args: Args): AnnotationDecorator => {
    const value: unknown = args.length === 0 ? true : args[0];
    return (target: object, contextOrKey?: unknown, descriptor?: PropertyDescriptor): void => {
      if (typeof contextOrKey !== 'string' && typeof contextOrKey !== 'symbol') {
        BY_FUNCTION.set(target, add(BY_FUNCTION.get(target), name, value));
        return;
      }
      const members = BY_MEMBER.get(target) ?? new Map<string | symbol, Marks>();
      BY_MEMBER.set(target, members.set(contextOrKey, add(members.get(contextOrKey), name, value)));
      for (const fn of [descriptor?.value, descriptor?.get, descriptor?.set] as unknown[])
        if (typeof fn === 'function') BY_FUNCTION.set(fn, add(BY_FUNCTION.get(fn), name, value));
    };
  };
  const of = (annotated: object): unknown => {
    // A woven function has its original as its prototype.
    for (let at: object | null = annotated; at !== null; at = Object.getPrototypeOf(at) as object | null) {
      const marks = BY_FUNCTION.get(at);
      if (marks !== undefined && name in marks) return marks[name];
    }
    return undefined;
  };
  const annotationOf = Object.assign(made, { of }) as unknown as Annotation<Args>;
  NAMES.set(annotationOf, name);
  return annotationOf;
}

export const annotationName = (made: object): string => NAMES.get(made) ?? '';

const NONE: readonly string[] = [];

interface WithMetadata {
  readonly getMetadataKeys?: (target: object, key?: string | symbol) => unknown[];
}

/** Names on a function and on a member of `owner`; keys of reflect-metadata too, where the program has it (never put there by us). */
export function annotationsOf(fn: object | undefined, owner: object | undefined, key: string | symbol | undefined): readonly string[] {
  // Most have none.
  let names: Set<string> | undefined;
  const addAll = (marks: Marks | undefined): void => {
    if (marks !== undefined) for (const name of Object.keys(marks)) (names ??= new Set()).add(name);
  };
  for (let at: object | null = fn ?? null; at !== null && at !== Function.prototype; at = Object.getPrototypeOf(at) as object | null)
    addAll(BY_FUNCTION.get(at));
  if (owner !== undefined && key !== undefined) addAll(BY_MEMBER.get(owner)?.get(key));
  const { getMetadataKeys } = Reflect as WithMetadata;
  if (typeof getMetadataKeys === 'function') {
    const keys =
      key === undefined ? (fn === undefined ? [] : getMetadataKeys.call(Reflect, fn)) : owner === undefined ? [] : getMetadataKeys.call(Reflect, owner, key);
    for (const one of keys) if (typeof one === 'string') (names ??= new Set()).add(one);
  }
  return names === undefined ? NONE : [...names];
}
