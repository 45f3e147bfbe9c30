import type { Random } from '../core/ids.ts';
import { consistentHashSelector } from './consistent-hash.ts';
import type { HostSelector } from './contract.ts';
import { selectorErrors } from './errors.ts';
import { leastLoadedSelector } from './least-loaded.ts';
import { localitySelector, type LocalityWaits } from './locality.ts';
import { powerOfTwoSelector } from './power-of-two.ts';
import { preferLocations } from './prefer-locations.ts';
import { pullSelector } from './pull.ts';
import { randomSelector } from './random.ts';
import { roundRobinSelector } from './round-robin.ts';
import { isModuleName, loadUserSelector } from './user-defined.ts';

export interface SelectorOptions {
  /** @defaultValue Math.random */
  readonly random?: Random;
  /** For LOCALITY. */
  readonly locality?: LocalityWaits;
  /** Where relative paths and packages of users' selectors are looked up. @defaultValue the working directory */
  readonly from?: string;
}

/** Name (as configuration spells it) -> factory. A new selector is a line here. */
const FACTORIES: ReadonlyMap<string, (random: Random) => HostSelector> = new Map([
  ['RANDOM', randomSelector],
  ['ROUND_ROBIN', roundRobinSelector],
  ['LEAST_LOADED', leastLoadedSelector],
  ['POWER_OF_TWO', powerOfTwoSelector],
  ['PULL', pullSelector],
  ['CONSISTENT_HASH', consistentHashSelector],
]);

export const SELECTOR_NAMES: readonly string[] = [...FACTORIES.keys(), 'LOCALITY'];
export const DEFAULT_SELECTOR = 'RANDOM';
const LOCALITY = /^LOCALITY(?::(.+))?$/;

/**
 * A selector by its name. All but LOCALITY prefer the hosts that hold a task's input without waiting for them; `LOCALITY`
 * waits, and `LOCALITY:PULL` says over which other (else the default).
 * @throws SP_SELECTOR_UNKNOWN, listing the known
 */
export function createSelector(name: string = DEFAULT_SELECTOR, options: SelectorOptions = {}): HostSelector {
  const locality = LOCALITY.exec(name);
  if (locality !== null) return localitySelector(plain(locality[1] ?? DEFAULT_SELECTOR, options), options.locality);
  return preferLocations(plain(name, options));
}

/** As `createSelector`, and modules of users' own: `./my-selector.ts`, `my-package`. @throws SP_SELECTOR_NOT_LOADED, SP_SELECTOR_BAD_MODULE too */
export async function loadSelector(name: string = DEFAULT_SELECTOR, options: SelectorOptions = {}): Promise<HostSelector> {
  const locality = LOCALITY.exec(name);
  const inner = locality === null ? name : (locality[1] ?? DEFAULT_SELECTOR);
  if (FACTORIES.has(inner) || !isModuleName(inner)) return createSelector(name, options);
  const own = await loadUserSelector(inner, options.random ?? Math.random, options.from ?? process.cwd());
  return locality === null ? own : localitySelector(own, options.locality);
}

function plain(name: string, options: SelectorOptions): HostSelector {
  const factory = FACTORIES.get(name);
  if (factory === undefined) throw selectorErrors.UNKNOWN({ name, known: SELECTOR_NAMES.join(', ') });
  return factory(options.random ?? Math.random);
}

export { consistentHashSelector, leastLoadedSelector, localitySelector, powerOfTwoSelector, preferLocations, pullSelector, randomSelector, roundRobinSelector };
export type { ClusterView, Host, HostSelector } from './contract.ts';
export type { SelectorFactory } from './user-defined.ts';
