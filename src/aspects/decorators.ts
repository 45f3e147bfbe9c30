import { toAdvice, type AdviceLike, type AdviceKind, type AfterAdvice, type AnyFunction, type BeforeAdvice } from './advice.ts';
import { prepareWith, type Constructor } from './construct.ts';
import { errors } from './errors.ts';
import { Signature, type JoinPoint, type JoinPointKind, type ProceedingJoinPoint } from './join-point.ts';
import { declareAdvice, declareAspect, type AspectOptions } from './metadata.ts';
import { toPointcut, type Pointcut } from './pointcut.ts';
import { Site, siteOf, type Entry } from './site.ts';
import { nextEntry } from './weave.ts';

/*
 * One decorator for both flavours: the standard one (TC39 stage 3) passes a value and a context object, the legacy one
 * (`experimentalDecorators`) a target, a key and a descriptor. The overloads let either compiler check its own.
 */

/** A decorator of methods of type `M`. */
export interface MethodDecoratorOf<M extends AnyFunction> {
  <This, V extends M>(method: V, context: ClassMethodDecoratorContext<This, V>): void;
  <V extends M>(target: object, key: string | symbol, descriptor: TypedPropertyDescriptor<V>): void;
}

export interface ClassDecoratorOf {
  // oxlint-disable-next-line no-explicit-any
  <C extends abstract new (...args: any[]) => any>(target: C, context?: ClassDecoratorContext<C>): void;
}

export interface InterceptDecorator<F extends AnyFunction> {
  <This, V extends F>(method: V, context: ClassMethodDecoratorContext<This, V>): void;
  <This, T>(getter: (this: This) => T, context: ClassGetterDecoratorContext<This, T>): void;
  <This, T>(setter: (this: This, value: T) => void, context: ClassSetterDecoratorContext<This, T>): void;
  <C extends Constructor>(target: C, context: ClassDecoratorContext<C>): void;
  // oxlint-disable-next-line no-explicit-any
  <V extends F>(target: object, key: string | symbol, descriptor: TypedPropertyDescriptor<V>): any;
  // oxlint-disable-next-line no-explicit-any
  <T>(target: object, key: string | symbol, descriptor: TypedPropertyDescriptor<T> & (T extends AnyFunction ? never : unknown)): any;
  // oxlint-disable-next-line no-explicit-any
  <C extends Constructor>(target: C): any;
}

export interface AdviceDecoratorOptions {
  /** @defaultValue that of the aspect */
  readonly order?: number;
}

interface StandardContext {
  readonly kind: 'class' | 'method' | 'getter' | 'setter' | 'field' | 'accessor';
  readonly name: string | symbol | undefined;
  readonly static?: boolean;
  readonly private?: boolean;
}

const isStandard = (args: readonly unknown[]): args is readonly [unknown, StandardContext] =>
  args.length === 2 && typeof args[1] === 'object' && args[1] !== null && 'kind' in args[1];

function misuse(decorator: string, what: string, remedy: string): never {
  throw errors.BAD_DECORATION({ decorator, what, remedy });
}

function adviceDecorator(decorator: string, kind: AdviceKind) {
  return (pointcut: Pointcut, options: AdviceDecoratorOptions): AnyFunction => {
    const where = toPointcut(pointcut);
    return (...args: readonly unknown[]): void => {
      const remedy = 'Put it on a public instance method of an aspect class.';
      let method: unknown;
      if (isStandard(args)) {
        const [value, context] = args;
        if (context.kind !== 'method') misuse(decorator, `a ${context.kind}`, remedy);
        if (context.private === true || context.static === true) misuse(decorator, `a ${context.private === true ? 'private' : 'static'} method`, remedy);
        method = value;
      } else {
        if (typeof args[0] === 'function') misuse(decorator, args[1] === undefined ? 'a class' : 'a static method', remedy);
        method = (args[2] as PropertyDescriptor | undefined)?.value;
      }
      if (typeof method !== 'function') misuse(decorator, 'what is not a method', remedy);
      declareAdvice(method as AnyFunction, kind, where, options.order);
    };
  };
}

const beforeOf = adviceDecorator('Before', 'before');
const afterOf = adviceDecorator('After', 'after');
const aroundOf = adviceDecorator('Around', 'around');
const returningOf = adviceDecorator('AfterReturning', 'afterReturning');
const throwingOf = adviceDecorator('AfterThrowing', 'afterThrowing');

/** The method runs before the join points of `pointcut`. @throws SP_ASPECTS_BAD_POINTCUT, SP_ASPECTS_BAD_DECORATION */
export const Before = (pointcut: Pointcut, options: AdviceDecoratorOptions = {}): MethodDecoratorOf<BeforeAdvice> => beforeOf(pointcut, options);
/** The method runs when they have ended, either way. */
export const After = (pointcut: Pointcut, options: AdviceDecoratorOptions = {}): MethodDecoratorOf<AfterAdvice> => afterOf(pointcut, options);
/** The method, `(jp, proceed)`, runs in their place. */
export const Around = (
  pointcut: Pointcut,
  options: AdviceDecoratorOptions = {},
  // oxlint-disable-next-line no-explicit-any
): MethodDecoratorOf<(jp: ProceedingJoinPoint, proceed: () => any) => unknown> => aroundOf(pointcut, options);
/** The method, `(jp, result)`, runs when they have returned. */
export const AfterReturning = (
  pointcut: Pointcut,
  options: AdviceDecoratorOptions = {},
  // oxlint-disable-next-line no-explicit-any
): MethodDecoratorOf<(jp: JoinPoint, result: any) => unknown> => returningOf(pointcut, options);
/** The method, `(jp, error)`, runs when they have thrown. */
export const AfterThrowing = (
  pointcut: Pointcut,
  options: AdviceDecoratorOptions = {},
  // oxlint-disable-next-line no-explicit-any
): MethodDecoratorOf<(jp: JoinPoint, error: any) => unknown> => throwingOf(pointcut, options);

function aspectDecorator(options: AspectOptions): AnyFunction {
  return (...args: readonly unknown[]): void => {
    const [target] = args;
    const isClass = isStandard(args) ? args[1].kind === 'class' : args.length === 1;
    if (!isClass || typeof target !== 'function') misuse('Aspect', 'what is not a class', 'Put it on a class whose methods are advice.');
    declareAspect(target as AnyFunction, options);
  };
}

/** Gives the aspect its precedence and name: `@Aspect`, or `@Aspect({ order: 1 })`. @throws SP_ASPECTS_BAD_DECORATION */
// oxlint-disable-next-line no-explicit-any
export function Aspect<C extends abstract new (...args: any[]) => any>(target: C, context?: ClassDecoratorContext<C>): void;
export function Aspect(options?: AspectOptions): ClassDecoratorOf;
export function Aspect(...args: readonly unknown[]): unknown {
  const [first] = args;
  if (typeof first === 'function') return aspectDecorator({})(...args);
  return aspectDecorator((first as AspectOptions | undefined) ?? {});
}

/**
 * Applies advice in place: to a method or accessor (static and, in the standard flavour, private ones too), or to a class,
 * whose construction it then goes around. Switch it through `handleOf(method or class)`.
 * @throws SP_ASPECTS_BAD_ADVICE, SP_ASPECTS_BAD_DECORATION
 */
export function Intercept<F extends AnyFunction>(...advice: readonly AdviceLike<F>[]): InterceptDecorator<F> {
  const list = advice.map(toAdvice);
  if (list.length === 0) throw errors.BAD_ADVICE({ what: 'nothing' });
  const entries = (): readonly Entry[] => list.map((one) => nextEntry(one, '@Intercept'));
  const remedy = 'Put it on a method, a getter, a setter or a class.';

  const member = (value: AnyFunction, kind: JoinPointKind, name: string | symbol, isStatic: boolean, declaringType: string): AnyFunction => {
    const known = siteOf(value);
    if (known !== undefined && known.place === undefined) {
      known.add(entries());
      return known.shell;
    }
    const signature = new Signature({ kind, name, declaringType, isStatic });
    return new Site(signature, { original: value, inherited: undefined }, undefined, entries()).shell;
  };
  const construction = (target: AnyFunction): AnyFunction => prepareWith(target as never, entries(), { bodySeesWoven: true }).first;

  const decorate = (...args: readonly unknown[]): unknown => {
    const [first, second, third] = args;
    if (isStandard(args)) {
      const { kind, name, static: isStatic } = args[1];
      if (kind === 'class') return construction(first as AnyFunction);
      const as = ({ method: 'execution', getter: 'get', setter: 'set' } as Record<string, JoinPointKind>)[kind];
      return as === undefined ? misuse('Intercept', `a ${kind}`, remedy) : member(first as AnyFunction, as, name!, isStatic === true, '');
    }
    if (typeof first === 'function' && second === undefined) return construction(first as AnyFunction);
    const descriptor = third as PropertyDescriptor | undefined;
    const isStatic = typeof first === 'function';
    const type = isStatic ? first.name : (first as object).constructor.name;
    const wrap = (value: unknown, kind: JoinPointKind): AnyFunction => member(value as AnyFunction, kind, second as string | symbol, isStatic, type);
    if (typeof descriptor?.value === 'function') return { ...descriptor, value: wrap(descriptor.value, 'execution') };
    if (descriptor?.get === undefined && descriptor?.set === undefined) return misuse('Intercept', 'what is not a method', remedy);
    return {
      ...descriptor,
      ...(descriptor.get === undefined ? {} : { get: wrap(descriptor.get, 'get') }),
      ...(descriptor.set === undefined ? {} : { set: wrap(descriptor.set, 'set') }),
    };
  };
  return decorate as InterceptDecorator<F>;
}
