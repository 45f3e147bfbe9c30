import { errors } from './errors.ts';
import type { JoinPoint, ProceedingJoinPoint } from './join-point.ts';

/** What advice is given of an outcome: it is not run, it is given the join point, or also the result or error. */
type Hears = 'nothing' | 'joinPoint' | 'outcome';

interface AdviceKindRow {
  /** Runs first, instead (and may proceed), or when the join point has an outcome. */
  readonly place: 'before' | 'around' | 'after';
  readonly returned: Hears;
  readonly threw: Hears;
}

/** The kinds of advice, a row each: generated code, closures and promises all go by it. */
export const ADVICE_KINDS = {
  before: { place: 'before', returned: 'nothing', threw: 'nothing' },
  around: { place: 'around', returned: 'nothing', threw: 'nothing' },
  after: { place: 'after', returned: 'joinPoint', threw: 'joinPoint' },
  afterReturning: { place: 'after', returned: 'outcome', threw: 'nothing' },
  afterThrowing: { place: 'after', returned: 'nothing', threw: 'outcome' },
} as const satisfies Readonly<Record<string, AdviceKindRow>>;

export type AdviceKind = keyof typeof ADVICE_KINDS;

/** The row of a kind, as wide as the table allows. */
export const rowOf = (kind: AdviceKind): AdviceKindRow => ADVICE_KINDS[kind];

// oxlint-disable-next-line no-explicit-any
export type AnyFunction = (this: any, ...args: any[]) => any;

/** Of a function that is not known, anything goes: tuples too, to which any[] would not be assignable. */
type ArgsOf<F extends AnyFunction> = any[] extends Parameters<F> ? any : Parameters<F>;
type Point<F extends AnyFunction> = JoinPoint<ThisParameterType<F>, ArgsOf<F>, ReturnType<F>>;
type Proceeding<F extends AnyFunction> = ProceedingJoinPoint<ThisParameterType<F>, ArgsOf<F>, ReturnType<F>>;

export type BeforeAdvice<F extends AnyFunction = AnyFunction> = (jp: Point<F>) => unknown;
export type AfterAdvice<F extends AnyFunction = AnyFunction> = (jp: Point<F>) => unknown;
/**
 * Its result is the call's result. `proceed()` runs what is inside with the original arguments; it may be called never,
 * once, or several times (as in AspectJ: each call runs the inside again), but only until the advice returns, unless the advice returns a promise.
 */
export type AroundAdvice<F extends AnyFunction = AnyFunction> = (jp: Proceeding<F>, proceed: () => ReturnType<F>) => ReturnType<F>;
export type AfterReturningAdvice<F extends AnyFunction = AnyFunction> = (jp: Point<F>, result: Awaited<ReturnType<F>>) => unknown;
export type AfterThrowingAdvice<F extends AnyFunction = AnyFunction> = (jp: Point<F>, error: unknown) => unknown;

export interface AdviceOptions {
  /** Lower runs further outside. @defaultValue 0 */
  readonly order?: number;
  /** For `explain()`. @defaultValue the function's name */
  readonly name?: string;
}

declare const FUNCTION: unique symbol;

/** A piece of advice: what to run, and when. */
export interface Advice<F extends AnyFunction = AnyFunction> {
  readonly kind: AdviceKind;
  readonly run: (...args: never[]) => unknown;
  readonly order: number;
  readonly name: string;
  /** `this` of `run`: the aspect. */
  readonly aspect: object | undefined;
  /** Only for type checking. */
  readonly [FUNCTION]?: (f: F) => void;
}

/** Advice in any form `weave` takes; a bare function is around advice. */
export type AdviceLike<F extends AnyFunction = AnyFunction> = Advice<F> | AroundAdvice<F>;

const MADE = new WeakSet<object>();

export function makeAdvice(kind: AdviceKind, run: unknown, options: AdviceOptions & { readonly aspect?: object } = {}): Advice<never> {
  if (typeof run !== 'function') throw errors.BAD_ADVICE({ what: String(run) });
  const advice = Object.freeze({ kind, run: run as () => unknown, order: options.order ?? 0, name: options.name ?? run.name, aspect: options.aspect });
  MADE.add(advice);
  return advice;
}

/** Runs before the call; a throw prevents it. A promise it returns is not waited for: use around advice. */
export const before = <F extends AnyFunction = AnyFunction>(run: BeforeAdvice<F>, options?: AdviceOptions): Advice<F> =>
  makeAdvice('before', run, options) as Advice<F>;
/** Runs when the call has ended, either way; of a native promise, when it has settled (and a promise it then returns is waited for). */
export const after = <F extends AnyFunction = AnyFunction>(run: AfterAdvice<F>, options?: AdviceOptions): Advice<F> =>
  makeAdvice('after', run, options) as Advice<F>;
/** Runs in place of the call. */
export const around = <F extends AnyFunction = AnyFunction>(run: AroundAdvice<F>, options?: AdviceOptions): Advice<F> =>
  makeAdvice('around', run, options) as Advice<F>;
/** Runs with what the call returned, or what its promise was fulfilled with. It cannot change it, but may throw. */
export const afterReturning = <F extends AnyFunction = AnyFunction>(run: AfterReturningAdvice<F>, options?: AdviceOptions): Advice<F> =>
  makeAdvice('afterReturning', run, options) as Advice<F>;
/** Runs with what the call threw, or why its promise was rejected. The error goes on, unless the advice throws another. */
export const afterThrowing = <F extends AnyFunction = AnyFunction>(run: AfterThrowingAdvice<F>, options?: AdviceOptions): Advice<F> =>
  makeAdvice('afterThrowing', run, options) as Advice<F>;

/** @throws SP_ASPECTS_BAD_ADVICE */
export function toAdvice(like: unknown): Advice {
  if (typeof like === 'function') return makeAdvice('around', like) as Advice;
  if (typeof like === 'object' && like !== null && MADE.has(like)) return like as Advice;
  throw errors.BAD_ADVICE({ what: like === null ? 'null' : typeof like });
}

const isAfter = (advice: Advice): boolean => rowOf(advice.kind).place === 'after';

/**
 * Precedence inside one aspect, as AspectJ has it: of two before or around the earlier declared is further outside; of two
 * of which one is an after, the later declared is, so after advice runs in the order in which it is declared, and what
 * is declared before all others is inside them. (Where AspectJ refuses a circular order, after advice goes outside.)
 */
export function inAspectOrder(advice: readonly Advice[]): readonly Advice[] {
  const first = advice.findIndex((one) => !isAfter(one));
  const [leading, rest] = first < 0 ? [[], advice] : [advice.slice(0, first), advice.slice(first)];
  return [...rest.filter(isAfter).toReversed(), ...rest.filter((one) => !isAfter(one)), ...leading.toReversed()];
}

const NO_PARAMETERS = /^(?:async\b\s*)?(?:function\b\s*)?\*?\s*(?:[\w$#]+\s*)?\(\s*\)/;
const TAKES = new WeakMap<(...args: never[]) => unknown, boolean>();

/**
 * Whether a join point must be made for this advice. Read once, when first woven. A length of 0 alone proves nothing (rest
 * and default parameters, `arguments`, test doubles), so its own text must show an empty parameter list.
 */
export function takesParameters(run: (...args: never[]) => unknown): boolean {
  if (run.length > 0) return true;
  let takes = TAKES.get(run);
  if (takes === undefined) {
    const text = Function.prototype.toString.call(run);
    takes = !NO_PARAMETERS.test(text) || /\barguments\b|\[native code\]/.test(text);
    TAKES.set(run, takes);
  }
  return takes;
}
