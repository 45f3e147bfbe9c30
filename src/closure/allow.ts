/** What a worker may run when it does not run everything: functions that named modules export, and nothing that travels as code. */
import { fileURLToPath } from 'node:url';
import { ClosureErrors } from './errors.ts';
import { Tag, type Graph } from './wire.ts';

/** Module names (`node:path`, `lodash`, `lodash/fp`), files, and directories that end in `/`. Undefined: everything. */
export type AllowedModules = readonly string[] | undefined;

/** Values of the language that lead nowhere else. `Function`, `eval`, `process` and the like are not among them. */
const HARMLESS = new Set(
  (
    'undefined Object Array Number parseFloat parseInt isNaN isFinite Boolean String Symbol BigInt Date RegExp Math JSON Map Set WeakMap WeakSet Error AggregateError ' +
    'RangeError TypeError SyntaxError URIError ReferenceError EvalError ArrayBuffer DataView Int8Array Uint8Array Uint8ClampedArray Int16Array Uint16Array Int32Array ' +
    'Uint32Array Float32Array Float64Array BigInt64Array BigUint64Array Intl Promise'
  ).split(' '),
);

/**
 * Looks through a graph before anything of it is loaded or compiled.
 * @throws SP_CLOSURE_NOT_ALLOWED
 */
export function requireAllowed(graph: Graph, allowed: AllowedModules): void {
  if (allowed === undefined) return;
  if (graph.templates.length > 0) throw ClosureErrors.NOT_ALLOWED({ what: 'code that travels', allowed: allowed.join(', ') });
  for (const [tag, a, b, c] of graph.nodes) {
    if (tag === Tag.import) {
      const [specifier, parent] = [String(a), String(b)];
      const path = (Array.isArray(c) ? c : []).map(String);
      if (!isAllowed(specifier, parent, allowed) || path.includes('constructor') || path.includes('__proto__'))
        throw ClosureErrors.NOT_ALLOWED({ what: `module ${specifier}`, allowed: allowed.join(', ') });
    } else if (tag === Tag.global) {
      const path = (Array.isArray(a) ? a : [a]).map(String);
      if (!HARMLESS.has(path[0] ?? '') || path.includes('constructor') || path.includes('__proto__'))
        throw ClosureErrors.NOT_ALLOWED({ what: `global ${path.join('.')}`, allowed: allowed.join(', ') });
    } else if (FORBIDDEN.has(tag)) throw ClosureErrors.NOT_ALLOWED({ what: 'a module by path', allowed: allowed.join(', ') });
  }
}

const FORBIDDEN: ReadonlySet<number> = new Set([Tag.require, Tag.function]);

function isAllowed(specifier: string, parent: string, allowed: readonly string[]): boolean {
  if (allowed.includes(specifier)) return true;
  if (!/^(?:\.{1,2}\/|\/|file:)/.test(specifier)) return false;
  let path: string;
  try {
    path = fileURLToPath(new URL(specifier, parent === '' ? undefined : parent));
  } catch {
    return false;
  }
  return allowed.some((one) => path === one || (one.endsWith('/') && path.startsWith(one)));
}
