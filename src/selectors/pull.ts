import type { Random } from '../core/ids.ts';
import type { Host, HostSelector } from './contract.ts';

/**
 * Late binding by credit (Sparrow; Ousterhout et al. 2013): a task is bound to a host only when one of its slots is free, and
 * waits at the dispatcher until then, so nothing queues behind a slow task. Costs a message's way of idleness per task: for
 * tasks of milliseconds and more. Among hosts with free slots: the one with most, equals by lot.
 */
export function pullSelector(random: Random): HostSelector {
  return {
    name: 'PULL',
    queueDepth: 1,
    select(_task, hosts) {
      let best: Host | undefined;
      let most = 0;
      let equals = 1;
      for (let i = 0; i < hosts.length; i++) {
        const host = hosts[i] as Host;
        const free = host.slots - host.outstanding;
        if (free > most) {
          best = host;
          most = free;
          equals = 1;
        } else if (free === most && best !== undefined && random() * ++equals < 1) best = host;
      }
      return best;
    },
  };
}
