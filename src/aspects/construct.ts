import { toAdvice, type Advice, type AdviceLike } from './advice.ts';
import { isConstructible } from './chain-helpers.ts';
import { errors } from './errors.ts';
import { Signature } from './join-point.ts';
import { nameOf } from './members.ts';
import { Site, siteOf, type Entry } from './site.ts';
import { nextEntry } from './weave.ts';

// oxlint-disable-next-line no-explicit-any
export type Constructor<Args extends any[] = any[], Instance = any> = new (...args: Args) => Instance;
// oxlint-disable-next-line no-explicit-any
type AnyConstructor = abstract new (...args: any[]) => any;

/** Advice on a construction: `args` are the constructor's, `result` and `target` the instance, afterwards. */
export type ConstructAdvice<C extends AnyConstructor = AnyConstructor> = AdviceLike<
  (this: InstanceType<C>, ...args: ConstructorParameters<C>) => InstanceType<C>
>;

export interface PrepareOptions {
  /**
   * Whether the class's own body means the woven class by its name (class decorators and load time see to that).
   * Decides what `new.target` is when the woven class itself is constructed. @defaultValue false
   */
  readonly bodySeesWoven?: boolean;
  /** @defaultValue the class's name */
  readonly name?: string;
  readonly module?: string | undefined;
}

const PREPARED = new WeakMap<object, Site>();

/**
 * A stand-in for a class, through which construct advice can be woven now and later: `weave(prepared, construct(), advice)`.
 * It has the class's prototype object, so `instanceof` holds both ways, and is its `constructor`; static members are the
 * class's own, by inheritance. A class has one stand-in, which stays when its advice leaves.
 * @throws SP_ASPECTS_NOT_A_CLASS
 */
export function prepareConstructor<C extends AnyConstructor>(original: C, options: PrepareOptions = {}): C {
  return prepareWith(original, [], options).first as unknown as C;
}

/**
 * Returns a class whose construction runs the advice. Keeps name, length, statics, subclassing (of built-ins too), `#private`
 * and `new.target`; a subclass's `super()` runs the advice as well. `new` of the original class does not. Switch it on and
 * off through `handleOf(returned class)`.
 * @throws SP_ASPECTS_NOT_A_CLASS, SP_ASPECTS_BAD_ADVICE
 */
export function weaveConstructor<C extends AnyConstructor>(
  original: C,
  advice: ConstructAdvice<C> | readonly ConstructAdvice<C>[],
  options: PrepareOptions = {},
): C {
  const list = (Array.isArray(advice) ? advice : [advice]) as readonly unknown[];
  const entries = list.map((one) => nextEntry(toAdvice(one) as Advice, 'weaveConstructor'));
  return prepareWith(original, entries, options).first as unknown as C;
}

export function prepareWith(original: AnyConstructor, entries: readonly Entry[], options: PrepareOptions): Site {
  if (typeof original !== 'function' || !isConstructible(original as never))
    throw errors.NOT_A_CLASS({ target: typeof original === 'function' ? original.name : typeof original });
  const known = siteOf(original)?.signature.kind === 'construct' ? siteOf(original) : PREPARED.get(original);
  if (known !== undefined) {
    if (entries.length > 0) known.add(entries);
    return known;
  }
  const name = options.name ?? nameOf(original);
  const getMetadata = (Reflect as { getMetadata?: (key: string, target: object) => unknown }).getMetadata;
  const types = typeof getMetadata === 'function' ? getMetadata.call(Reflect, 'design:paramtypes', original) : undefined;
  const fields = { kind: 'construct', name, declaringType: name, isStatic: false, module: options.module } as const;
  const signature = new Signature(fields, Array.isArray(types) ? (types as unknown[]) : undefined);
  const callee = {
    original: original as never,
    inherited: undefined,
    newTarget: options.bodySeesWoven === true && seesNewTarget(original) ? ('shell' as const) : undefined,
  };
  const site = new Site(signature, callee, undefined, entries);
  PREPARED.set(original, site);
  adopt(site.first, original);
  return site;
}

/**
 * Whether it can tell which class is being constructed. If not, it is constructed as itself: V8 is 20 times slower with a
 * new target that is not a class of its own.
 */
const seesNewTarget = (original: AnyConstructor): boolean =>
  Object.getPrototypeOf(original) !== Function.prototype || /\bnew\s*\.\s*target\b/.test(Function.prototype.toString.call(original));

/** `static #x`, also behind async, *, get, set or accessor. */
const STATIC_PRIVATE = /\bstatic\s+(?:(?:async|get|set|accessor)\s+)?\*?\s*#/;

/**
 * What inheritance of statics does not do. Data properties become accessors, so that writes through either class are one;
 * where the class has static private members, its static methods keep the class as `this`, as only it has them.
 */
function adopt(woven: object, original: AnyConstructor): void {
  const constructor = Object.getOwnPropertyDescriptor(original.prototype as object, 'constructor');
  if (constructor?.value === original) Reflect.defineProperty(original.prototype as object, 'constructor', { ...constructor, value: woven });
  const bound = STATIC_PRIVATE.test(Function.prototype.toString.call(original));
  for (const key of Reflect.ownKeys(original)) {
    if (key === 'prototype' || key === 'name' || key === 'length' || key === 'arguments' || key === 'caller') continue;
    const { configurable = false, enumerable = false, ...descriptor } = Object.getOwnPropertyDescriptor(original, key)!;
    const isData = 'value' in descriptor && descriptor.writable === true && !(typeof descriptor.value === 'function' && !enumerable);
    if (!isData && !bound) continue;
    Object.defineProperty(woven, key, {
      configurable,
      enumerable,
      get() {
        const receiver: unknown = this === woven ? original : this;
        const value: unknown = Reflect.get(original, key, receiver);
        if (!bound || typeof value !== 'function' || isData) return value;
        return function (this: unknown, ...args: unknown[]): unknown {
          return Reflect.apply(value, this === woven ? original : this, args);
        };
      },
      set(value: unknown) {
        if (this === woven) Reflect.set(original, key, value);
        else if (isData) Object.defineProperty(this, key, { value, writable: true, configurable: true, enumerable: true });
        else Reflect.set(original, key, value, this);
      },
    });
  }
}
