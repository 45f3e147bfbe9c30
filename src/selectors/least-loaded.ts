import type { Random } from '../core/ids.ts';
import type { Host, HostSelector } from './contract.ts';

/** The host whose slots would be filled least by one more task; equals are drawn by lot, so that idle hosts share. */
export function leastLoadedSelector(random: Random): HostSelector {
  return {
    name: 'LEAST_LOADED',
    select(_task, hosts) {
      let best: Host | undefined;
      let bestLoad = Infinity;
      let equals = 1;
      for (let i = 0; i < hosts.length; i++) {
        const host = hosts[i] as Host;
        const load = (host.outstanding + 1) / host.slots;
        if (load < bestLoad) {
          best = host;
          bestLoad = load;
          equals = 1;
        } else if (load === bestLoad && random() * ++equals < 1) {
          // Reservoir sampling of one: each of k equals is kept with probability 1/k.
          best = host;
        }
      }
      return best;
    },
  };
}
