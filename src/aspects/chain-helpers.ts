import { rowOf, type AdviceKind, type AnyFunction } from './advice.ts';
import { errors } from './errors.ts';
import { endings } from './endings.ts';
import { JoinPointN, type JoinPointBase, type Signature } from './join-point.ts';

/** What generated code and closures share. */

export function late(jp: JoinPointBase): never {
  throw errors.LATE_PROCEED({ joinPoint: jp.signature.toString() });
}

export function noInstance(signature: Signature, result: unknown): never {
  throw errors.CONSTRUCT_NO_INSTANCE({ joinPoint: signature.toString(), result: String(result) });
}

/** Runs after advice when a promise settles. What the advice returns is waited for, so that its failure is the call's. */
export function afterSettled(promise: Promise<unknown>, jp: JoinPointBase | undefined, run: AnyFunction, aspect: unknown, kind: AdviceKind): Promise<unknown> {
  const { returned, threw } = rowOf(kind);
  const fulfilled = (value: unknown): unknown => {
    if (jp !== undefined) jp.result = value;
    const waits: unknown = returned === 'joinPoint' ? run.call(aspect, jp) : run.call(aspect, jp, value);
    return waits instanceof Promise ? waits.then(() => value) : value;
  };
  const rejected = (error: unknown): unknown => {
    if (jp !== undefined) jp.error = error;
    const waits: unknown = threw === 'joinPoint' ? run.call(aspect, jp) : run.call(aspect, jp, error);
    if (!(waits instanceof Promise)) throw error;
    return waits.then(() => {
      throw error;
    });
  };
  return promise.then(returned === 'nothing' ? undefined : fulfilled, threw === 'nothing' ? undefined : rejected);
}

/** Runs after advice when a generator is exhausted or a stream has ended; gives what to hand out, undefined for an ordinary value. */
export function afterEnded(result: object, jp: JoinPointBase | undefined, run: AnyFunction, aspect: unknown, kind: AdviceKind): unknown {
  const { returned, threw } = rowOf(kind);
  return endings.hear(result, {
    returned:
      returned === 'nothing'
        ? undefined
        : (value) => {
            if (jp !== undefined) jp.result = value;
            return returned === 'joinPoint' ? run.call(aspect, jp) : run.call(aspect, jp, value);
          },
    threw:
      threw === 'nothing'
        ? undefined
        : (error) => {
            if (jp !== undefined) jp.error = error;
            return threw === 'joinPoint' ? run.call(aspect, jp) : run.call(aspect, jp, error);
          },
  });
}

export const HELPERS = { JPN: JoinPointN, late, noInstance, afterSettled, afterEnded };

/** A plain function can be constructed; methods, arrows, async functions and generators cannot. */
export function isConstructible(fn: AnyFunction): boolean {
  return (
    Object.hasOwn(fn, 'prototype') &&
    Object.getPrototypeOf(fn.prototype ?? {}) !== GENERATOR_PROTOTYPE &&
    Object.getPrototypeOf(fn.prototype ?? {}) !== ASYNC_GENERATOR_PROTOTYPE
  );
}
const GENERATOR_PROTOTYPE: unknown = Object.getPrototypeOf(function* () {}).prototype;
const ASYNC_GENERATOR_PROTOTYPE: unknown = Object.getPrototypeOf(async function* () {}).prototype;
