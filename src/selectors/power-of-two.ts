import type { Random } from '../core/ids.ts';
import type { Host, HostSelector } from './contract.ts';

/**
 * Of two hosts drawn by lot, the one with the smaller share of its slots taken (Mitzenmacher: "The Power of Two Choices in
 * Randomized Load Balancing", 2001): nearly as good as looking at all, at the price of two, and without a herd.
 */
export function powerOfTwoSelector(random: Random): HostSelector {
  return {
    name: 'POWER_OF_TWO',
    select(_task, hosts) {
      const first = Math.floor(random() * hosts.length);
      if (hosts.length === 1) return hosts[first];
      // The second is another one: drawn among the rest.
      let second = Math.floor(random() * (hosts.length - 1));
      if (second >= first) second++;
      const a = hosts[first] as Host;
      const b = hosts[second] as Host;
      return b.outstanding / b.slots < a.outstanding / a.slots ? b : a;
    },
  };
}
