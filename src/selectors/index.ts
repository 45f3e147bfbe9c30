import type { Random } from '../core/ids.ts';
import type { HostSelector } from './contract.ts';
import { selectorErrors } from './errors.ts';
import { leastLoadedSelector } from './least-loaded.ts';
import { preferLocations } from './prefer-locations.ts';
import { randomSelector } from './random.ts';
import { roundRobinSelector } from './round-robin.ts';

export interface SelectorOptions {
  /** @defaultValue Math.random */
  readonly random?: Random;
}

/** Name (as configuration spells it) -> factory. A new selector is a line here. */
const FACTORIES: ReadonlyMap<string, (random: Random) => HostSelector> = new Map([
  ['RANDOM', randomSelector],
  ['ROUND_ROBIN', roundRobinSelector],
  ['LEAST_LOADED', leastLoadedSelector],
]);

export const SELECTOR_NAMES: readonly string[] = [...FACTORIES.keys()];
export const DEFAULT_SELECTOR = 'RANDOM';

/** A selector by its name, preferring the hosts that hold a task's input. @throws SP_SELECTOR_UNKNOWN, listing the known */
export function createSelector(name: string = DEFAULT_SELECTOR, options: SelectorOptions = {}): HostSelector {
  const factory = FACTORIES.get(name);
  if (factory === undefined) throw selectorErrors.UNKNOWN({ name, known: SELECTOR_NAMES.join(', ') });
  return preferLocations(factory(options.random ?? Math.random));
}

export { leastLoadedSelector, preferLocations, randomSelector, roundRobinSelector };
