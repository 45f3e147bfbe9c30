import { SparkProxyError } from '../core/errors.ts';
import { installHook } from '../loader/hook.ts';
import type { Revivers } from './contract.ts';
import { importFrom } from './compile.ts';
import { ClosureErrors } from './errors.ts';
import { Reader } from './read.ts';
import type { ModuleMap } from './modules.ts';
import { installRuntime } from './runtime.ts';
import { requireAllowed, type AllowedModules } from './allow.ts';
import { Tag, unpackGraph } from './wire.ts';
import type { DecodeLimits } from './wire.ts';

export interface DeserializeOptions {
  readonly limits?: DecodeLimits | undefined;
  /** Where the modules of the program are here; see installModules. */
  readonly modules?: ModuleMap;
  readonly allowed?: AllowedModules;
}

/**
 * Imports what travels by reference, rebuilds the rest. Decoding runs code of the sender (classes are defined): bytes must come from a
 * sender that may run code here. Damaged bytes give coded errors.
 * @throws SP_CLOSURE_FORMAT, SP_CLOSURE_LIMIT, SP_CLOSURE_IMPORT, SP_CLOSURE_EXPORT, SP_CLOSURE_COMPILE, SP_CLOSURE_REVIVER, SP_CLOSURE_REVIVE, SP_CLOSURE_CYCLE, SP_CLOSURE_NOT_ALLOWED
 */
export async function deserializeGraph(bytes: Uint8Array, revivers: Revivers = {}, options: DeserializeOptions = {}): Promise<unknown> {
  // By-value code may hold marks, which mean nothing here.
  installRuntime();
  const { limits, modules: here = (url) => url, allowed } = options;
  const graph = unpackGraph(bytes, limits);
  requireAllowed(graph, allowed);
  const modules = new Map<string, Record<string, unknown>>();
  const wanted = new Map<string, [specifier: string, parent: string]>();
  for (const [tag, specifier, parent] of graph.nodes) {
    if (tag !== Tag.import) continue;
    if (typeof specifier !== 'string' || typeof parent !== 'string') throw ClosureErrors.FORMAT({ reason: 'an import is malformed' });
    wanted.set(`${specifier}\0${parent}`, [specifier, parent]);
  }
  await Promise.all(
    [...wanted].map(async ([key, [specifier, parent]]) =>
      modules.set(key, await importFrom(parent === '' ? '' : here(parent), specifier.startsWith('file:') ? here(specifier) : specifier)),
    ),
  );
  try {
    return new Reader(graph, modules, revivers, here).read();
  } catch (error) {
    if (SparkProxyError.is(error)) throw error;
    throw ClosureErrors.FORMAT({ reason: error instanceof Error ? error.message : String(error) }, error);
  }
}

/**
 * Prepares a thread for closures that refer to TypeScript modules of the user: installs the module hook. By-value code needs none of
 * it, and a thread started with `--import spark-proxy/register` has it already.
 */
export function installForExecutor(): void {
  installHook();
}
