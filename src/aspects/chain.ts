import type { AnyFunction } from './advice.ts';
import { compileClosures } from './chain-closures.ts';
import { HELPERS } from './chain-helpers.ts';
import type { ChainRequest, CompiledChain, ShellState } from './chain-request.ts';
import { chainSource } from './chain-source.ts';
import { joinPointClass, MAX_COUNT } from './join-point.ts';

let codeGeneration: boolean | undefined;

/** False under `--disallow-code-generation-from-strings` and the like; closures do the work then, several times slower. */
export function canGenerateCode(): boolean {
  if (codeGeneration === undefined) {
    try {
      // oxlint-disable-next-line no-new-func
      codeGeneration = new Function('return true')() === true;
    } catch {
      codeGeneration = false;
    }
  }
  return codeGeneration;
}

/** Compiles the advice of a site around its original. The shell keeps name, length, prototype, `this` and arguments. */
export function compileChain(request: ChainRequest): CompiledChain {
  const state: ShellState = { mode: 1, site: request.site };
  const shell = canGenerateCode() ? generate(request, state) : compileClosures(request, state);
  return { shell: dress(shell, request), state };
}

/** Gives the shell the looks of the original. As its prototype, the original also answers for its own properties and metadata. */
function dress(shell: AnyFunction, { signature, callee: { original } }: ChainRequest): AnyFunction {
  Object.defineProperty(shell, 'name', { value: original.name, configurable: true });
  Object.defineProperty(shell, 'length', { value: original.length, configurable: true });
  if (Object.hasOwn(shell, 'prototype')) {
    const writable = signature.kind !== 'construct' && Object.getOwnPropertyDescriptor(original, 'prototype')?.writable === true;
    Object.defineProperty(shell, 'prototype', { value: original.prototype, writable });
  }
  Object.setPrototypeOf(shell, original);
  // Programs read the text of functions (names of parameters, say); what was generated is not theirs.
  if (signature.kind !== 'construct') Object.defineProperty(shell, 'toString', TO_STRING);
  return shell;
}

const TO_STRING: PropertyDescriptor = {
  value: function toString(this: unknown): string {
    const isShell = typeof this === 'function' && Object.hasOwn(this, 'toString');
    return isShell ? String(Object.getPrototypeOf(this)) : Function.prototype.toString.call(this);
  },
  configurable: true,
  writable: true,
};

/** The classes of join points as JP0, JP1... */
const JOIN_POINTS: readonly string[] = Array.from({ length: MAX_COUNT + 1 }, (_, count) => `JP${count}`);

function generate(request: ChainRequest, state: ShellState): AnyFunction {
  const { callee, advice, signature } = request;
  const scope: Record<string, unknown> = {
    ...HELPERS,
    ST: state,
    SIG: signature,
    O: callee.original,
    P: callee.inherited?.from,
    K: callee.inherited?.key ?? signature.name,
    NT: callee.newTarget,
  };
  for (const [i, { run, aspect }] of advice.entries()) {
    scope[`A${i}`] = run;
    scope[`I${i}`] = aspect;
  }
  // Parameters, unlike constants of the body, need no check that they are initialised, which keeps what V8 inlines small.
  const { text, names } = chainSource(request, [...Object.keys(scope), ...JOIN_POINTS]);
  // oxlint-disable-next-line no-new-func
  const factory = new Function(...names, text) as AnyFunction;
  return factory(...names.map((name) => (name in scope ? scope[name] : joinPointClass(JOIN_POINTS.indexOf(name))))) as AnyFunction;
}
