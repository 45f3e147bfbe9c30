/** Functions whose environment their author gave. */
const environments = new WeakMap<object, Readonly<Record<string, unknown>>>();

/**
 * The escape hatch where neither the load-time hook nor the inspector can see: says what the free names of `fn` stand for.
 * `fn` itself is returned, and still sees its own bindings here; the given values are what travels.
 *
 * @example rdd.map(withEnvironment((x) => x * factor, { factor }))
 */
export function withEnvironment<F extends (...args: never[]) => unknown>(fn: F, environment: Readonly<Record<string, unknown>>): F {
  environments.set(fn, { ...environment });
  return fn;
}

export function environmentOf(fn: object): Readonly<Record<string, unknown>> | undefined {
  return environments.get(fn);
}
