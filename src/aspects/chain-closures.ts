import { rowOf, takesParameters, type Advice, type AnyFunction } from './advice.ts';
import type { ChainRequest, ShellState } from './chain-request.ts';
import { afterEnded, afterSettled, isConstructible, late, noInstance } from './chain-helpers.ts';
import { JoinPointN, type Continuation, type JoinPointBase, type Signature } from './join-point.ts';

/** The same semantics as generated code, by nested closures: for processes that forbid `new Function`. */
export function compileClosures(request: ChainRequest, state: ShellState): AnyFunction {
  const { signature, callee } = request;
  const { original, inherited } = callee;
  const isConstruct = signature.kind === 'construct';
  const standIn = isConstruct && callee.invoked !== true;

  const call: Continuation = standIn
    ? (self, args) => Reflect.construct(original, args, self as AnyFunction)
    : inherited === undefined || callee.invoked === true
      ? (self, args) => Reflect.apply(original, self, args)
      : signature.kind === 'get'
        ? (self) => Reflect.get(inherited.from, inherited.key, self)
        : signature.kind === 'set'
          ? (self, args) => Reflect.set(inherited.from, inherited.key, args[0], self)
          : (self, args) => Reflect.apply((inherited.from as Record<string | symbol, AnyFunction>)[inherited.key]!, self, args);
  const chain = request.advice.reduceRight<Continuation>((inner, advice) => wrap(signature, advice, inner), call);

  if (standIn) {
    const shell: AnyFunction = function (this: unknown, ...args: unknown[]): unknown {
      if (new.target === undefined) return Reflect.apply(original, this, args);
      const own = (new.target as unknown) === shell;
      if (state.mode === 2) return Reflect.construct(state.site.shell, args, own ? state.site.shell : new.target);
      return (state.mode === 1 ? chain : call)(own ? target : new.target, args);
    };
    const target = callee.newTarget === undefined ? original : callee.newTarget === 'shell' ? shell : callee.newTarget;
    return shell;
  }
  const run = (self: unknown, args: unknown[]): unknown =>
    state.mode === 1 ? chain(self, args) : state.mode === 0 ? call(self, args) : Reflect.apply(state.site.shell, self, args);
  if (callee.invoked === true || !isConstructible(original)) {
    return {
      method(...args: unknown[]): unknown {
        return run(this, args);
      },
    }.method;
  }
  const shell: AnyFunction = function (this: unknown, ...args: unknown[]): unknown {
    if (new.target !== undefined)
      return Reflect.construct(original, args, callee.newTarget !== 'shell' && (new.target as unknown) === shell ? original : new.target);
    return run(this, args);
  };
  return shell;
}

function wrap(signature: Signature, advice: Advice, inner: Continuation): Continuation {
  const run = advice.run as AnyFunction;
  const { aspect, kind } = advice;
  const { place, returned, threw } = rowOf(kind);
  const isConstruct = signature.kind === 'construct';
  const settles = (value: unknown): value is Promise<unknown> => !isConstruct && value instanceof Promise;
  const wants = takesParameters(run);
  const point = (self: unknown, args: readonly unknown[]): JoinPointBase => new JoinPointN(signature, self, undefined, args);

  if (place === 'before') {
    return (self, args) => {
      if (wants) run.call(aspect, point(self, args));
      else run.call(aspect);
      return inner(self, args);
    };
  }
  if (place === 'around') {
    return (self, args) => {
      const jp = point(self, args);
      jp.next = inner;
      let result: unknown;
      try {
        result = run.call(aspect, jp, () => (jp.next === null ? late(jp) : inner(self, args)));
      } catch (error) {
        jp.next = null;
        throw error;
      }
      if (!settles(result)) jp.next = null;
      if (isConstruct && (result === null || (typeof result !== 'object' && typeof result !== 'function'))) noInstance(signature, result);
      return result;
    };
  }
  return (self, args) => {
    const jp = point(self, args);
    let result: unknown;
    try {
      result = inner(self, args);
    } catch (error) {
      if (threw === 'nothing') throw error;
      jp.error = error;
      if (threw === 'joinPoint') run.call(aspect, jp);
      else run.call(aspect, jp, error);
      throw error;
    }
    if (settles(result)) return afterSettled(result, jp, run, aspect, kind);
    const later = !isConstruct && typeof result === 'object' && result !== null ? afterEnded(result, jp, run, aspect, kind) : undefined;
    if (later !== undefined) return later;
    jp.result = result;
    if (returned === 'joinPoint') run.call(aspect, jp);
    else if (returned === 'outcome') run.call(aspect, jp, result);
    return result;
  };
}
