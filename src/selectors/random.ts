import type { Random } from '../core/ids.ts';
import type { HostSelector } from './contract.ts';

/**
 * Any host with credit, all alike. Credit is what keeps it honest: a slow host has none left and is not offered, so the
 * choice is late binding (Sparrow, Ousterhout et al. 2013) with a random tie-break.
 */
export function randomSelector(random: Random): HostSelector {
  return {
    name: 'RANDOM',
    select: (_task, hosts) => (hosts.length === 1 ? hosts[0] : hosts[Math.floor(random() * hosts.length)]),
  };
}
