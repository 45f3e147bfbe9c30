import type { Host, HostSelector } from './contract.ts';

/**
 * Offers the inner selector only the hosts that hold the task's input, when one of them has credit; else all of them.
 * A task never waits for its location: reading over the network costs less than an idle slot.
 */
export function preferLocations(inner: HostSelector): HostSelector {
  return {
    ...(inner.queueDepth === undefined ? {} : { queueDepth: inner.queueDepth }),
    name: inner.name,
    select(task, hosts, view) {
      const wanted = task.preferredLocations;
      if (wanted.length === 0 || hosts.length === 1) return inner.select(task, hosts, view);
      const near: Host[] = [];
      for (let i = 0; i < hosts.length; i++) {
        const host = hosts[i] as Host;
        if (wanted.includes(host.id)) near.push(host);
      }
      return inner.select(task, near.length === 0 ? hosts : near, view);
    },
  };
}
