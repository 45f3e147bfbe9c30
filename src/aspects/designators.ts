import { AsyncLocalStorage } from 'node:async_hooks';
import { sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import semver from 'semver';
import type { AnyFunction } from './advice.ts';
import { annotationName, type AnyAnnotation } from './annotation.ts';
import { errors } from './errors.ts';
import type { JoinPointKind } from './join-point.ts';
import { packageOf, type PackageName } from '../loader/package-of.ts';
import { compileGlob, compileName, quoted, type Matcher, type NamePattern } from './pattern.ts';
import { PointcutNode, toPointcut, type PartialShadow, type Pointcut } from './pointcut.ts';

// oxlint-disable-next-line typescript/no-explicit-any
type AnyClass = abstract new (...args: any[]) => any;
/** The names that may be given for a class: of its instances, and of itself. */
type MethodNames<T> = { [K in keyof T]: T[K] extends AnyFunction ? K : never }[keyof T] & (string | symbol);
type FieldNames<T> = { [K in keyof T]: T[K] extends AnyFunction ? never : K }[keyof T] & (string | symbol);
type MethodOf<T, K extends keyof T> = T[K] extends (...args: infer A) => infer R ? (this: T, ...args: A) => R : never;

/** Undefined stays undefined; kinds and names are compared only when known. */
const known = <T>(value: T | undefined, test: (value: T) => boolean): boolean | undefined => (value === undefined ? undefined : test(value));

/** All must hold: false as soon as one does not, undefined while one is not known. */
const all = (...values: (boolean | undefined)[]): boolean | undefined => (values.includes(false) ? false : values.includes(undefined) ? undefined : true);

/** `Type.member` to its two patterns; a symbol, a regular expression and a name without a dot say nothing of the type. */
function splitMember(pattern: NamePattern): { readonly type: Matcher | undefined; readonly member: Matcher; readonly text: string } {
  const dot = typeof pattern === 'string' ? pattern.lastIndexOf('.') : -1;
  if (dot < 0) {
    const member = compileName(pattern);
    return { type: undefined, member, text: member.text };
  }
  const text = pattern as string;
  return { type: compileName(text.slice(0, dot)), member: compileName(text.slice(dot + 1)), text: quoted(text) };
}

const typeOf = ({ types, declaringType }: PartialShadow, type: Matcher): boolean | undefined =>
  types === undefined ? known(declaringType, (value) => type.test(value)) : types.some((name) => type.test(name));

function member(kind: JoinPointKind, given: NamePattern | AnyClass, name: string | symbol | undefined): Pointcut {
  const pattern = typeof given === 'function' && typeof name === 'string' ? `${given.name}.${name}` : typeof given === 'function' ? name! : given;
  const { type, member: own, text } = splitMember(pattern);
  // At a call or a field access only the member is in the text.
  const required = (kind === 'execution' ? type?.exact : undefined) ?? own.exact;
  return new PointcutNode({
    operator: 'leaf',
    text: `${kind}(${text})`,
    symbol: own.symbol,
    exact: own.exact ?? own.symbol,
    requiredTexts: required === undefined ? undefined : [required],
    names: own.exact === undefined ? undefined : new Set([own.exact]),
    kinds: new Set([kind]),
    // Most members of a class differ by name: their class is not looked at.
    evaluate(shadow) {
      const { kind: itsKind, name: itsName } = shadow;
      if ((itsKind !== undefined && itsKind !== kind) || (itsName !== undefined && !own.test(itsName))) return false;
      const typed = type === undefined ? true : typeOf(shadow, type);
      return typed === true && (itsKind === undefined || itsName === undefined) ? undefined : typed;
    },
  });
}

/**
 * A method or function runs. `execution('submit')`, `execution('Orders.submit')`, `execution('save*')`, `execution('#secret')`,
 * `execution(/^save/)`, `execution(Symbol.iterator)`; with a class the name is checked, and the advice's types:
 * `execution(Orders, 'submit')`.
 * @throws SP_ASPECTS_BAD_PATTERN
 */
export function execution<C extends AnyClass, K extends MethodNames<InstanceType<C>>>(type: C, name: K): Pointcut<MethodOf<InstanceType<C>, K>>;
export function execution<C extends AnyClass, K extends MethodNames<C>>(type: C, name: K): Pointcut<MethodOf<C, K>>;
export function execution(pattern?: NamePattern): Pointcut;
// oxlint-disable-next-line typescript/no-explicit-any
export function execution(pattern: NamePattern | AnyClass = '*', name?: string | symbol): Pointcut<any> {
  return member('execution', pattern, name);
}

/**
 * A method or function is called, in a module woven at load time; `within` says where the call is, not what is called. The type
 * is a class of the receiver, or the receiver's name in the text: `call('Orders.submit')`, `call('JSON.parse')`, `call('fetch')`.
 * @throws SP_ASPECTS_BAD_PATTERN
 */
export function call<C extends AnyClass, K extends MethodNames<InstanceType<C>>>(type: C, name: K): Pointcut<MethodOf<InstanceType<C>, K>>;
export function call(pattern?: NamePattern): Pointcut;
// oxlint-disable-next-line typescript/no-explicit-any
export function call(pattern: NamePattern | AnyClass = '*', name?: string | symbol): Pointcut<any> {
  return member('call', pattern, name);
}

/**
 * A getter is read; in modules woven at load time also a field (an own data property), where the text reads it.
 * @throws SP_ASPECTS_BAD_PATTERN
 */
export function get<C extends AnyClass, K extends FieldNames<InstanceType<C>>>(type: C, name: K): Pointcut<(this: InstanceType<C>) => InstanceType<C>[K]>;
export function get(pattern?: NamePattern): Pointcut;
// oxlint-disable-next-line typescript/no-explicit-any
export function get(pattern: NamePattern | AnyClass = '*', name?: string | symbol): Pointcut<any> {
  return member('get', pattern, name);
}

/**
 * A setter is written; in modules woven at load time also a field, where the text assigns it (its initialiser excepted).
 * @throws SP_ASPECTS_BAD_PATTERN
 */
export function set<C extends AnyClass, K extends FieldNames<InstanceType<C>>>(
  type: C,
  name: K,
): Pointcut<(this: InstanceType<C>, value: InstanceType<C>[K]) => unknown>;
export function set(pattern?: NamePattern): Pointcut;
// oxlint-disable-next-line typescript/no-explicit-any
export function set(pattern: NamePattern | AnyClass = '*', name?: string | symbol): Pointcut<any> {
  return member('set', pattern, name);
}

/** A class is constructed (with the name given, if any), subclasses included. @throws SP_ASPECTS_BAD_PATTERN */
export function construct<C extends AnyClass>(type: C): Pointcut<(this: InstanceType<C>, ...args: ConstructorParameters<C>) => InstanceType<C>>;
export function construct(pattern?: NamePattern): Pointcut;
// oxlint-disable-next-line typescript/no-explicit-any
export function construct(given: NamePattern | AnyClass = '*'): Pointcut<any> {
  const pattern = typeof given === 'function' ? given.name : given;
  const name = compileName(pattern);
  return new PointcutNode({
    operator: 'leaf',
    text: pattern === '*' ? 'construct()' : `construct(${name.text})`,
    symbol: name.symbol,
    requiredTexts: name.exact === undefined ? undefined : [name.exact],
    kinds: new Set<JoinPointKind>(['construct']),
    evaluate: (shadow) =>
      all(
        known(shadow.kind, (value) => value === 'construct'),
        known(shadow.declaringType, (value) => name.test(value)),
      ),
  });
}

/** Any kind of join point with this name (of a construction: the name of the class). @throws SP_ASPECTS_BAD_PATTERN */
export function named(pattern: NamePattern): Pointcut {
  const name = compileName(pattern);
  return new PointcutNode({
    operator: 'leaf',
    text: `named(${name.text})`,
    symbol: name.symbol,
    exact: name.exact ?? name.symbol,
    requiredTexts: name.exact === undefined ? undefined : [name.exact],
    evaluate: (shadow) => known(shadow.name, (value) => name.test(value)),
  });
}

/**
 * The member or its class carries an annotation (see `annotation`), a decorator of this name in the source, or metadata under this
 * key where a legacy host has reflect-metadata.
 * @throws SP_ASPECTS_BAD_PATTERN
 */
export function annotated(what: NamePattern | AnyAnnotation): Pointcut {
  const name = compileName(typeof what === 'function' ? annotationName(what) : what);
  return new PointcutNode({
    operator: 'leaf',
    text: `annotated(${name.text})`,
    symbol: name.symbol,
    // A decorator need not have the name of what it says: where there is one, a compiler has left its helper (__decorate, _applyDecs...).
    requiredTexts: name.exact === undefined ? undefined : [name.exact, 'ecorat', 'applyDecs'],
    evaluate: ({ annotations }) => known(annotations, (names) => names.some((one) => name.test(one))),
  });
}

/** None of what is written in another way in a URL; on Windows, where paths begin with a drive, nothing is. */
const PLAIN_URL = sep === '/' ? /^file:\/\/\/[\w./-]*$/ : /^(?!)/;

/** Path of a module URL, without query and fragment. */
function modulePath(url: string): string {
  // Most URLs are paths as they are.
  if (PLAIN_URL.test(url)) return url.slice('file://'.length);
  if (!url.startsWith('file:')) return url.replace(/[?#].*$/, '');
  try {
    return fileURLToPath(url.replace(/[?#].*$/, '')).replaceAll('\\', '/');
  } catch {
    return url;
  }
}

/** Of a module that was woven when it was built, whose package.json is elsewhere: as its URL says it (see `builtUrl`). */
function packageOfModule(url: string): PackageName | undefined {
  const said = /#pkg=(.+)@([^@]*)$/.exec(url);
  return said === null ? packageOf(modulePath(url)) : { name: said[1]!, version: said[2]! };
}

/** `pkg:hono@^4`, `pkg:@nestjs/*`: the package whose package.json is nearest, and a range of npm's semver for its version. */
function packageTest(given: string): (url: string) => boolean {
  const text = given.slice('pkg:'.length);
  const at = text.indexOf('@', 1);
  const name = at < 0 ? text : text.slice(0, at);
  const range = at < 0 ? '*' : text.slice(at + 1);
  if (name === '') throw errors.BAD_PATTERN({ pattern: given, why: 'it names no package' });
  if (semver.validRange(range) === null) throw errors.BAD_PATTERN({ pattern: given, why: `${range === '' ? 'what follows @' : range} is not a version range` });
  const matches = compileGlob(name, true);
  return (url) => {
    const found = packageOfModule(url);
    return found !== undefined && matches(found.name) && (at < 0 || semver.satisfies(found.version, range, { includePrerelease: true }));
  };
}

/**
 * In a module whose path matches a glob (`**` crosses folders), or that belongs to a package (`pkg:hono`, `pkg:hono@^4`, `pkg:@nestjs/*`).
 * Only load-time weaving knows modules.
 * @throws SP_ASPECTS_BAD_PATTERN
 */
export function within(moduleGlob: string): Pointcut {
  if (typeof moduleGlob !== 'string' || moduleGlob === '') throw errors.BAD_PATTERN({ pattern: String(moduleGlob), why: 'it is not a module glob' });
  const path = moduleGlob.startsWith('pkg:') ? undefined : compileGlob(moduleGlob, true);
  const test = path === undefined ? packageTest(moduleGlob) : (url: string): boolean => path(modulePath(url));
  // Asked for each join point of a module, one module after the other.
  let last: string | undefined;
  let answer = false;
  const holds = (module: string): boolean => {
    if (module !== last) {
      answer = test(module);
      last = module;
    }
    return answer;
  };
  return new PointcutNode({
    operator: 'leaf',
    text: `within(${quoted(moduleGlob)})`,
    boundToModule: true,
    evaluate: (shadow) => ('module' in shadow ? shadow.module !== undefined && holds(shadow.module) : undefined),
  });
}

/**
 * In the control flow of join points of another pointcut: while one of them runs, across its awaits too (AspectJ's `cflow`). Where it
 * is woven, the other pointcut is woven as well, so that its join points are noticed; `weave` looks for them in its own target only.
 * @throws SP_ASPECTS_BAD_POINTCUT
 */
export function cflow(of: Pointcut): Pointcut {
  const inner = toPointcut(of);
  const running = new AsyncLocalStorage<true>();
  return new PointcutNode({
    operator: 'leaf',
    text: `cflow(${String(inner)})`,
    flow: { of: inner, enter: (run) => running.run(true, run) },
    evaluate: (shadow) => (shadow.running === true ? running.getStore() === true : undefined),
  });
}
