import { makeAdvice, type Advice, type AnyFunction } from './advice.ts';
import type { JoinPoint } from './join-point.ts';
import { adviceOf } from './metadata.ts';
import type { AdviceAt } from './weave.ts';

/**
 * An aspect with an instance for each target (AspectJ's `perthis`), made when its advice first runs there and kept as long as the target:
 * `register({ aspects: [perTarget(Counter)] })`, `weaveAspect(Orders, perTarget(Counter))`. Static members have their class as
 * target; what has none (functions, and constructions before there is an instance) shares one instance.
 * @throws SP_ASPECTS_NOT_AN_ASPECT
 */
export function perTarget(Aspect: new () => object): readonly AdviceAt[] {
  const instances = new WeakMap<object, object>();
  let shared: object | undefined;
  const instanceFor = (target: unknown): object => {
    if ((typeof target !== 'object' || target === null) && typeof target !== 'function') return (shared ??= new Aspect());
    let instance = instances.get(target);
    if (instance === undefined) instances.set(target, (instance = new Aspect()));
    return instance;
  };
  return adviceOf(Aspect.prototype as object).map(({ pointcut, advice }) => {
    const run = advice.run as AnyFunction;
    const inInstance = (jp: JoinPoint, second: unknown): unknown => run.call(instanceFor(jp.target), jp, second);
    return { pointcut, advice: makeAdvice(advice.kind, inInstance, { order: advice.order, name: advice.name }) as Advice };
  });
}
