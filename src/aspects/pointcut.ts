import { fileURLToPath } from 'node:url';
import { errors } from './errors.ts';
import type { JoinPointKind } from './join-point.ts';
import { compileGlob, compileName, type Matcher, type NamePattern } from './pattern.ts';

/** Where advice could go: a join point in the program text (AspectJ's join point shadow). */
export interface Shadow {
  readonly kind: JoinPointKind;
  readonly name: string | symbol;
  readonly declaringType: string;
  readonly isStatic: boolean;
  /** URL of the module; undefined for what is woven after it was loaded. */
  readonly module: string | undefined;
}

/** What may be known before the whole shadow is; `undefined` as an answer means "not decided yet". */
export type PartialShadow = { readonly [K in keyof Shadow]?: Shadow[K] };

/** Which join points? Immutable; composes; two of the same shape are equal. */
export interface Pointcut {
  /** True, false, or undefined when the fields given do not decide it. */
  evaluate(shadow: PartialShadow): boolean | undefined;
  matches(shadow: Shadow): boolean;
  and(...others: readonly Pointcut[]): Pointcut;
  or(...others: readonly Pointcut[]): Pointcut;
  not(): Pointcut;
  equals(other: unknown): boolean;
  toString(): string;
  /** Whether a name is asked for exactly: then inherited members are found too. */
  namesExactly(name: string | symbol): boolean;
  /** One of these texts is in every module where it can match; undefined when nothing can be said. */
  readonly requiredTexts: readonly string[] | undefined;
  /** Whether it can only match in the modules of some `within`. */
  readonly boundToModule: boolean;
}

type Operator = 'and' | 'or' | 'not' | 'leaf';

interface Spec {
  readonly operator: Operator;
  readonly text: string;
  readonly parts: readonly PointcutNode[];
  readonly symbol?: symbol | undefined;
  readonly exact?: string | symbol | undefined;
  readonly requiredTexts: readonly string[] | undefined;
  readonly boundToModule: boolean;
  evaluate(shadow: PartialShadow): boolean | undefined;
}

class PointcutNode implements Pointcut {
  readonly #spec: Spec;
  readonly requiredTexts: readonly string[] | undefined;
  readonly boundToModule: boolean;

  constructor(spec: Spec) {
    this.#spec = spec;
    this.requiredTexts = spec.requiredTexts;
    this.boundToModule = spec.boundToModule;
  }

  evaluate(shadow: PartialShadow): boolean | undefined {
    return this.#spec.evaluate(shadow);
  }

  matches(shadow: Shadow): boolean {
    return this.#spec.evaluate(shadow) === true;
  }

  and(...others: readonly Pointcut[]): Pointcut {
    return combine('and', [this, ...others]);
  }

  or(...others: readonly Pointcut[]): Pointcut {
    return combine('or', [this, ...others]);
  }

  not(): Pointcut {
    return new PointcutNode({
      operator: 'not',
      text: `!${this.#spec.operator === 'leaf' ? this.#spec.text : `(${this.#spec.text})`}`,
      parts: [this],
      requiredTexts: undefined,
      boundToModule: false,
      evaluate: (shadow) => {
        const inner = this.evaluate(shadow);
        return inner === undefined ? undefined : !inner;
      },
    });
  }

  equals(other: unknown): boolean {
    if (!(other instanceof PointcutNode)) return false;
    const a = this.#spec;
    const b = other.#spec;
    return (
      a.operator === b.operator &&
      a.text === b.text &&
      a.symbol === b.symbol &&
      a.parts.length === b.parts.length &&
      a.parts.every((part, i) => part.equals(b.parts[i]))
    );
  }

  toString(): string {
    return this.#spec.text;
  }

  namesExactly(name: string | symbol): boolean {
    const { operator, exact, parts } = this.#spec;
    if (operator === 'leaf') return exact === name;
    return operator !== 'not' && parts.some((part) => part.namesExactly(name));
  }

  static text(node: PointcutNode, inside: Operator): string {
    const { operator, text } = node.#spec;
    return operator === 'leaf' || operator === 'not' || operator === inside ? text : `(${text})`;
  }

  static partsOf(node: PointcutNode, operator: Operator): readonly PointcutNode[] {
    return node.#spec.operator === operator ? node.#spec.parts : [node];
  }
}

export function isPointcut(value: unknown): value is Pointcut {
  return value instanceof PointcutNode;
}

/** @throws SP_ASPECTS_BAD_POINTCUT */
export function toPointcut(value: unknown): Pointcut {
  if (!isPointcut(value)) throw errors.BAD_POINTCUT({ what: typeof value === 'symbol' ? String(value) : `${typeof value} ${String(value)}` });
  return value;
}

function combine(operator: 'and' | 'or', given: readonly Pointcut[]): Pointcut {
  const parts = given.flatMap((part) => PointcutNode.partsOf(toPointcut(part) as PointcutNode, operator));
  if (parts.length === 1) return parts[0]!;
  const decides = operator === 'or';
  const required = parts.map((part) => part.requiredTexts);
  return new PointcutNode({
    operator,
    text: parts.map((part) => PointcutNode.text(part, operator)).join(operator === 'and' ? ' && ' : ' || '),
    parts,
    requiredTexts:
      operator === 'and' ? required.find((texts) => texts !== undefined) : required.every((texts) => texts !== undefined) ? required.flat() : undefined,
    boundToModule: operator === 'and' ? parts.some((part) => part.boundToModule) : parts.every((part) => part.boundToModule),
    evaluate(shadow) {
      let answer: boolean | undefined = !decides;
      for (const part of parts) {
        const value = part.evaluate(shadow);
        if (value === decides) return decides;
        if (value === undefined) answer = undefined;
      }
      return answer;
    },
  });
}

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
  return { type: compileName((pattern as string).slice(0, dot)), member: compileName((pattern as string).slice(dot + 1)), text: `'${pattern as string}'` };
}

function member(kind: JoinPointKind, pattern: NamePattern): Pointcut {
  const { type, member: name, text } = splitMember(pattern);
  const required = type?.exact ?? name.exact;
  return new PointcutNode({
    operator: 'leaf',
    text: `${kind}(${text})`,
    parts: [],
    symbol: name.symbol,
    exact: name.exact ?? name.symbol,
    requiredTexts: required === undefined ? undefined : [required],
    boundToModule: false,
    evaluate: (shadow) =>
      all(
        known(shadow.kind, (value) => value === kind),
        known(shadow.name, (value) => name.test(value)),
        type === undefined ? true : known(shadow.declaringType, (value) => type.test(value)),
      ),
  });
}

/**
 * A method runs. `execution('submit')`, `execution('Orders.submit')`, `execution('save*')`, `execution(/^save/)`, `execution(Symbol.iterator)`.
 * @throws SP_ASPECTS_BAD_PATTERN
 */
export const execution = (pattern: NamePattern = '*'): Pointcut => member('execution', pattern);
/** A getter is read. @throws SP_ASPECTS_BAD_PATTERN */
export const get = (pattern: NamePattern): Pointcut => member('get', pattern);
/** A setter is written. @throws SP_ASPECTS_BAD_PATTERN */
export const set = (pattern: NamePattern): Pointcut => member('set', pattern);

/** A class is constructed (with the name given, if any), subclasses included. @throws SP_ASPECTS_BAD_PATTERN */
export function construct(pattern: NamePattern = '*'): Pointcut {
  const name = compileName(pattern);
  return new PointcutNode({
    operator: 'leaf',
    text: pattern === '*' ? 'construct()' : `construct(${name.text})`,
    parts: [],
    symbol: name.symbol,
    requiredTexts: name.exact === undefined ? undefined : [name.exact],
    boundToModule: false,
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
    parts: [],
    symbol: name.symbol,
    exact: name.exact ?? name.symbol,
    requiredTexts: name.exact === undefined ? undefined : [name.exact],
    boundToModule: false,
    evaluate: (shadow) => known(shadow.name, (value) => name.test(value)),
  });
}

/** Path of a module URL, without query and fragment. */
function modulePath(url: string): string {
  if (!url.startsWith('file:')) return url.replace(/[?#].*$/, '');
  try {
    return fileURLToPath(url.replace(/[?#].*$/, '')).replaceAll('\\', '/');
  } catch {
    return url;
  }
}

/**
 * In a module whose path matches a glob (`**` crosses folders). Only load-time weaving knows modules.
 * @throws SP_ASPECTS_BAD_PATTERN
 */
export function within(moduleGlob: string): Pointcut {
  if (typeof moduleGlob !== 'string' || moduleGlob === '') throw errors.BAD_PATTERN({ pattern: String(moduleGlob), why: 'it is not a module glob' });
  const test = compileGlob(moduleGlob, true);
  return new PointcutNode({
    operator: 'leaf',
    text: `within('${moduleGlob}')`,
    parts: [],
    requiredTexts: undefined,
    boundToModule: true,
    evaluate: (shadow) => ('module' in shadow ? shadow.module !== undefined && test(modulePath(shadow.module)) : undefined),
  });
}

/** All of them. */
export const and = (first: Pointcut, ...others: readonly Pointcut[]): Pointcut => toPointcut(first).and(...others);
/** Any of them. */
export const or = (first: Pointcut, ...others: readonly Pointcut[]): Pointcut => toPointcut(first).or(...others);
export const not = (pointcut: Pointcut): Pointcut => toPointcut(pointcut).not();
