import type { HostSelector } from '../selectors/contract.ts';
import { dispatcherErrors } from './errors.ts';
import { preferred } from './placement.ts';
import type { TaskEntry } from './task-entry.ts';
import type { KindPool, WorkerEntry } from './workers.ts';

/**
 * Asks the selector, and does not trust it: a selector that throws, or names a host that was not offered, is reported and
 * the first host is taken, so that no task is lost to it. A task that was lost before goes elsewhere when it can; a copy,
 * and a task whose result is to be checked, go elsewhere or wait.
 */
export function choose(selector: HostSelector, entry: TaskEntry, pool: KindPool, now: number, onFault?: (error: Error) => void): WorkerEntry | undefined {
  let hosts: readonly WorkerEntry[] = pool.ready;
  if (entry.of !== undefined || entry.votes !== undefined) {
    hosts = hosts.filter((worker) => isElsewhere(entry, worker));
    if (hosts.length === 0) return undefined;
    const other = entry.of?.worker?.host;
    if (other !== undefined && hosts.some((worker) => worker.host !== other)) hosts = hosts.filter((worker) => worker.host !== other);
  }
  if (entry.lostOn.length > 0) {
    const elsewhere = hosts.filter((worker) => !entry.lostOn.includes(worker.id));
    if (elsewhere.length > 0) hosts = elsewhere;
  }
  const { placement } = entry.owner.profile;
  if (placement !== undefined) hosts = preferred(placement, hosts);
  pool.view.owner = entry.owner;
  pool.view.now = now;
  try {
    const chosen = selector.select(entry.task, hosts, pool.view) as WorkerEntry | undefined;
    if (chosen === undefined || hosts.includes(chosen)) return chosen;
    onFault?.(
      dispatcherErrors.BAD_SELECTION({ selector: selector.name, chosen: (chosen as { id?: unknown } | null)?.id ?? typeof chosen, name: entry.task.name }),
    );
  } catch (cause) {
    onFault?.(dispatcherErrors.SELECTOR_FAILED({ selector: selector.name, name: entry.task.name }, cause));
  }
  return hosts[0];
}

/** True when this worker has not run the task in a way that would make its word count twice. */
export function isElsewhere(entry: TaskEntry, worker: WorkerEntry): boolean {
  if (entry.of?.worker === worker || entry.copy?.worker === worker) return false;
  const votes = (entry.of ?? entry).votes;
  return votes === undefined || !votes.some((vote) => vote.workerId === worker.id);
}
