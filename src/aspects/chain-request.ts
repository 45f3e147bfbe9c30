import type { Advice, AnyFunction } from './advice.ts';
import type { Signature } from './join-point.ts';

/** What the advice of one site goes around. */
export interface Callee {
  /** The function that was there; for inherited members, only the pattern of name and length. */
  readonly original: AnyFunction;
  /** Set for members woven where they are inherited: looked up at each call, so that weaving the base later is seen. */
  readonly inherited: { readonly from: object; readonly key: string | symbol } | undefined;
  /** Constructions: `new.target` that the original sees when the woven class itself is constructed. @defaultValue the original */
  readonly newTarget?: AnyFunction | 'shell' | undefined;
  /** The receiver is an `Invocation`, of which the original knows what to run. */
  readonly invoked?: boolean;
}

/** Shared by a shell and the site. */
export interface ShellState {
  /** 0: run the original. 1: run the advice compiled into this shell. 2: a later shell has taken over. */
  mode: 0 | 1 | 2;
  readonly site: { readonly shell: AnyFunction };
}

export interface CompiledChain {
  readonly shell: AnyFunction;
  readonly state: ShellState;
}

export interface ChainRequest {
  readonly signature: Signature;
  readonly callee: Callee;
  /** Outermost first. */
  readonly advice: readonly Advice[];
  /** Knows the latest shell. */
  readonly site: { readonly shell: AnyFunction };
}
