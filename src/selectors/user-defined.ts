import { isAbsolute, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { createRequire } from 'node:module';
import type { Random } from '../core/ids.ts';
import type { HostSelector } from './contract.ts';
import { selectorErrors } from './errors.ts';

/** What a module of a user's exports, as `default` or `createSelector`. */
export type SelectorFactory = (options: { readonly random: Random }) => HostSelector | Promise<HostSelector>;

/** True of a path (`./mine.ts`, `/opt/mine.js`) or package name (`my-selector`, `@me/selector`); false of names of our own (`RANDOM`). */
export function isModuleName(name: string): boolean {
  return /^(\.{1,2}\/|\/|file:|@?[a-z0-9][\w.-]*(\/[\w.-]+)*$)/.test(name);
}

/**
 * Imports a selector of the user's own.
 * @param from directory that relative paths and packages are looked up from
 * @throws SP_SELECTOR_NOT_LOADED (cause kept); SP_SELECTOR_BAD_MODULE when it is no selector
 */
export async function loadUserSelector(name: string, random: Random, from: string): Promise<HostSelector> {
  let exported: Record<string, unknown>;
  try {
    exported = (await import(locate(name, from))) as Record<string, unknown>;
  } catch (cause) {
    throw selectorErrors.NOT_LOADED({ name, reason: (cause as Error).message }, cause);
  }
  const factory = exported['createSelector'] ?? exported['default'];
  if (typeof factory !== 'function') throw selectorErrors.BAD_MODULE({ name, reason: 'it exports no function' });
  let selector: unknown;
  try {
    selector = await (factory as SelectorFactory)({ random });
  } catch (cause) {
    throw selectorErrors.BAD_MODULE({ name, reason: `its factory threw: ${(cause as Error).message}` }, cause);
  }
  const wrong = problemOf(selector);
  if (wrong !== undefined) throw selectorErrors.BAD_MODULE({ name, reason: wrong });
  return selector as HostSelector;
}

function locate(name: string, from: string): string {
  if (name.startsWith('file:')) return name;
  if (name.startsWith('.') || isAbsolute(name)) return pathToFileURL(resolve(from, name)).href;
  return pathToFileURL(createRequire(resolve(from, 'index.js')).resolve(name)).href;
}

function problemOf(selector: unknown): string | undefined {
  if (typeof selector !== 'object' || selector === null) return `its factory returned ${selector === null ? 'null' : typeof selector}`;
  const { name, select, queueDepth } = selector as Partial<Record<keyof HostSelector, unknown>>;
  if (typeof name !== 'string' || name === '') return 'its selector has no name';
  if (typeof select !== 'function') return 'its selector has no select(task, hosts, view)';
  if (queueDepth !== undefined && !(typeof queueDepth === 'number' && queueDepth >= 1)) return 'its queueDepth is not a number from 1';
  return undefined;
}
