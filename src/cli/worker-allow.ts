/** What a worker may run: `worker.allow`. */
import type { AllowedModules } from '../closure/index.ts';
import { listOf } from '../core/config.ts';
import { CLI_ERRORS } from './errors.ts';

/** Kinds of task that a worker of this package can have a runner for. */
const KINDS = ['js', 'spark'];
const KIND = 'kind:';

export interface WorkerAllow {
  readonly kinds: ReadonlySet<string>;
  readonly modules: AllowedModules;
}

/**
 * `*`: everything. `kind:js`: only tasks of this kind. Anything else is a module whose exported functions tasks may use; where
 * modules are listed, only kinds that are listed too run anything else: a worker for `node:path` alone starts no Spark.
 * @throws SP_CLI_USAGE for a kind there is not, and for a path that is not absolute
 */
export function parseAllow(text: string): WorkerAllow {
  const entries = listOf(text);
  if (entries.includes('*')) return { kinds: new Set(KINDS), modules: undefined };
  const kinds = entries.filter((entry) => entry.startsWith(KIND)).map((entry) => entry.slice(KIND.length));
  const modules = entries.filter((entry) => !entry.startsWith(KIND));
  const refuse = (reason: string): Error => CLI_ERRORS.USAGE({ command: 'worker', reason: `worker.allow: ${reason}` });
  for (const kind of kinds) if (!KINDS.includes(kind)) throw refuse(`there is no kind ${kind} of task (${KINDS.join(', ')})`);
  for (const module of modules) {
    if (/^\.{1,2}(?:\/|$)/.test(module) || /(?:^|\/)\.\.(?:\/|$)/.test(module)) throw refuse(`${module} is not an absolute path, nor the name of a module`);
  }
  return { kinds: new Set(kinds.length > 0 ? kinds : ['js']), modules: modules.length > 0 || kinds.length === 0 ? modules : undefined };
}
