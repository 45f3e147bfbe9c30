import { makeAdvice, type Advice, type AdviceKind, type AnyFunction } from './advice.ts';
import { errors } from './errors.ts';
import type { Pointcut } from './pointcut.ts';

/** What decorators leave behind, keyed by function: neither the class nor the global Reflect is touched. */
interface Declared {
  readonly kind: AdviceKind;
  readonly pointcut: Pointcut;
  readonly order: number | undefined;
}

export interface AspectOptions {
  /** Lower runs further outside; advice methods may override it. @defaultValue 0 */
  readonly order?: number;
  /** @defaultValue the class's name */
  readonly name?: string;
}

const ADVICE = new WeakMap<AnyFunction, Declared[]>();
const ASPECTS = new WeakMap<AnyFunction, AspectOptions>();

export function declareAdvice(method: AnyFunction, kind: AdviceKind, pointcut: Pointcut, order: number | undefined): void {
  const declared = ADVICE.get(method);
  if (declared === undefined) ADVICE.set(method, [{ kind, pointcut, order }]);
  else declared.unshift({ kind, pointcut, order }); // decorators run bottom up
}

export function declareAspect(aspect: AnyFunction, options: AspectOptions): void {
  ASPECTS.set(aspect, options);
}

function aspectOptions(aspect: object): AspectOptions {
  for (let at: unknown = aspect.constructor; typeof at === 'function'; at = Object.getPrototypeOf(at)) {
    const options = ASPECTS.get(at as AnyFunction);
    if (options !== undefined) return options;
  }
  return {};
}

/**
 * The advice of an aspect instance, base classes first, an overridden method once.
 * @throws SP_ASPECTS_NOT_AN_ASPECT
 */
export function adviceOf(aspect: object): readonly { readonly pointcut: Pointcut; readonly advice: Advice }[] {
  const isObject = typeof aspect === 'object' && aspect !== null;
  const found = new Map<string | symbol, AnyFunction>();
  const levels: object[] = [];
  for (let at: object | null = isObject ? aspect : null; at !== null && at !== Object.prototype; at = Object.getPrototypeOf(at) as object | null)
    levels.unshift(at);
  for (const level of levels) {
    for (const key of Reflect.ownKeys(level)) {
      const value: unknown = Object.getOwnPropertyDescriptor(level, key)?.value;
      if (typeof value !== 'function') continue;
      if (ADVICE.has(value as AnyFunction) || found.has(key)) found.set(key, value as AnyFunction);
    }
  }
  const options = isObject ? aspectOptions(aspect) : {};
  const aspectName = options.name ?? (isObject ? aspect.constructor.name : '');
  const bindings = [...found].flatMap(([key, method]) =>
    (ADVICE.get(method) ?? []).map(({ kind, pointcut, order }) => ({
      pointcut,
      advice: makeAdvice(kind, method, { order: order ?? options.order ?? 0, name: `${aspectName}.${String(key)}`, aspect }) as Advice,
    })),
  );
  if (bindings.length === 0) throw errors.NOT_AN_ASPECT({ what: isObject ? aspect.constructor.name : String(aspect) });
  return bindings;
}
