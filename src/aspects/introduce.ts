import { errors } from './errors.ts';
import { nameOf } from './members.ts';

// oxlint-disable-next-line typescript/no-explicit-any
type AnyClass = abstract new (...args: any[]) => any;

/** The class with what was introduced. */
export type Introduced<C extends AnyClass, M> = C & (abstract new (...args: ConstructorParameters<C>) => M);

export interface Introduction<C extends AnyClass, M extends object> {
  /** The same class, typed with its new members. */
  readonly type: C extends new (...args: infer Args) => infer Instance ? C & (new (...args: Args) => Instance & M) : Introduced<C, M>;
  /** Takes the members out again, where nobody has replaced them since. */
  withdraw(): void;
  [Symbol.dispose](): void;
}

/**
 * Introduces the members of a mixin (methods and accessors of a class, or of an object) into a class: AspectJ's inter-type declaration.
 * Instances that exist get them too. `super` in the mixin means the mixin's own base. State belongs into a WeakMap, as fields of the mixin's class
 * are made by its constructor only.
 * @throws SP_ASPECTS_NOT_A_TARGET, SP_ASPECTS_INTRODUCED_TWICE when the class has such a member and `override` is not set
 */
export function introduce<C extends AnyClass, M extends object>(
  target: C,
  mixin: (abstract new () => M) | M,
  options: { /** Replace members of the class. @defaultValue false */ readonly override?: boolean } = {},
): Introduction<C, M> {
  if (typeof target !== 'function' || typeof target.prototype !== 'object') throw errors.NOT_A_TARGET({ target: typeof target });
  const prototype = target.prototype as object;
  const source = typeof mixin === 'function' ? (mixin.prototype as object) : mixin;
  const keys = Reflect.ownKeys(source).filter((key) => key !== 'constructor');
  if (options.override !== true) {
    const taken = keys.find((key) => key in prototype && !(key in Object.prototype && !Object.hasOwn(prototype, key)));
    if (taken !== undefined) throw errors.INTRODUCED_TWICE({ type: nameOf(target as never), member: String(taken) });
  }
  const before = new Map(keys.map((key) => [key, Object.getOwnPropertyDescriptor(prototype, key)]));
  for (const key of keys) Object.defineProperty(prototype, key, { ...Object.getOwnPropertyDescriptor(source, key), configurable: true, enumerable: false });
  const mine = new Map(keys.map((key) => [key, Object.getOwnPropertyDescriptor(prototype, key)!]));
  const withdraw = (): void => {
    for (const [key, old] of before) {
      const now = Object.getOwnPropertyDescriptor(prototype, key);
      const own = mine.get(key)!;
      if (now === undefined || now.value !== own.value || now.get !== own.get || now.set !== own.set) continue;
      if (old === undefined) Reflect.deleteProperty(prototype, key);
      else Object.defineProperty(prototype, key, old);
    }
  };
  return { type: target as never, withdraw, [Symbol.dispose]: withdraw };
}
