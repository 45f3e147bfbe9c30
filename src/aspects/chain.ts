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
  const shell = canGenerateCode() ? generate(request, 'shell', state) : compileClosures(request, state);
  return { shell: dress(shell, request), state };
}

/** Gives the shell the looks of the original. As its prototype, the original also answers for its own properties and metadata. */
function dress(shell: AnyFunction, { signature, callee: { original } }: ChainRequest): AnyFunction {
  // What was generated mostly has both.
  if (shell.name !== original.name) Object.defineProperty(shell, 'name', { value: original.name, configurable: true });
  if (shell.length !== original.length) Object.defineProperty(shell, 'length', { value: original.length, configurable: true });
  if (Object.hasOwn(shell, 'prototype')) {
    const writable = signature.kind !== 'construct' && Object.getOwnPropertyDescriptor(original, 'prototype')?.writable === true;
    Object.defineProperty(shell, 'prototype', { value: original.prototype, writable });
  }
  // Programs read the text of functions (names of parameters, say); what was generated is not theirs.
  if (signature.kind !== 'construct') Object.defineProperty(shell, 'toString', TO_STRING);
  // Last: functions that differ in their prototype share no layout.
  Object.setPrototypeOf(shell, original);
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

/** What the text of a chain may name; a join point class is `JP` and its number of arguments. */
const NAMES: readonly string[] = [
  ...Object.keys(HELPERS),
  ...['ST', 'SIG', 'O', 'P', 'K', 'NT', 'MORE', 'Promise'],
  ...Array.from({ length: MAX_COUNT + 1 }, (_, count) => `JP${count}`),
];

function valueOf(name: string, request: ChainRequest, state: ShellState): unknown {
  const { callee, advice, signature } = request;
  switch (name) {
    case 'ST':
      return state;
    case 'SIG':
      return signature;
    case 'O':
      return callee.original;
    case 'P':
      return callee.inherited?.from;
    case 'K':
      return callee.inherited?.key ?? signature.name;
    case 'NT':
      return callee.newTarget;
    case 'Promise':
      // Ours, where a script runs in another realm.
      return Promise;
    case 'MORE':
      return () => generate(request, 'other', state);
    default:
  }
  if (/^[AI]\d/.test(name)) {
    const { run, aspect } = advice[Number(name.slice(1))]!;
    return name[0] === 'A' ? run : aspect;
  }
  return name in HELPERS ? HELPERS[name as keyof typeof HELPERS] : joinPointClass(Number(name.slice(2)));
}

function generate(request: ChainRequest, what: 'shell' | 'other', state: ShellState): AnyFunction {
  const { script, names } = chainSource(request, what, NAMES);
  const factory = script.runInThisContext() as AnyFunction;
  const values: unknown[] = [];
  for (const name of names) values.push(valueOf(name, request, state));
  return factory(...values) as AnyFunction;
}
