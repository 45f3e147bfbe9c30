import type { Host, HostSelector } from './contract.ts';

/**
 * The next host in id order after the one picked last. Remembering an id, not an index, keeps the turn fair while hosts
 * come, go and run out of credit, and when a decorator offers only some of them.
 */
export function roundRobinSelector(): HostSelector {
  let last = '';
  return {
    name: 'ROUND_ROBIN',
    select(_task, hosts) {
      let first: Host | undefined;
      let next: Host | undefined;
      for (let i = 0; i < hosts.length; i++) {
        const host = hosts[i] as Host;
        if (first === undefined || host.id < first.id) first = host;
        if (host.id > last && (next === undefined || host.id < next.id)) next = host;
      }
      const chosen = next ?? first;
      if (chosen !== undefined) last = chosen.id;
      return chosen;
    },
  };
}
