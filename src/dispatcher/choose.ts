import type { HostSelector } from '../selectors/contract.ts';
import { dispatcherErrors } from './errors.ts';
import type { TaskEntry } from './task-entry.ts';
import type { KindPool, WorkerEntry } from './workers.ts';

/**
 * Asks the selector, and does not trust it: a selector that throws, or names a host that was not offered, is reported and
 * the first host is taken, so that no task is lost to it. A task that was lost before goes elsewhere when it can.
 */
export function choose(selector: HostSelector, entry: TaskEntry, pool: KindPool, onFault?: (error: Error) => void): WorkerEntry | undefined {
  let hosts: readonly WorkerEntry[] = pool.ready;
  if (entry.lostOn.length > 0) {
    const elsewhere = hosts.filter((worker) => !entry.lostOn.includes(worker.id));
    if (elsewhere.length > 0) hosts = elsewhere;
  }
  const { name } = entry.task;
  try {
    const chosen = selector.select(entry.task, hosts, pool.view) as WorkerEntry | undefined;
    if (chosen === undefined || hosts.includes(chosen)) return chosen;
    onFault?.(dispatcherErrors.BAD_SELECTION({ selector: selector.name, chosen: (chosen as { id?: unknown } | null)?.id ?? typeof chosen, name }));
  } catch (cause) {
    onFault?.(dispatcherErrors.SELECTOR_FAILED({ selector: selector.name, name }, cause));
  }
  return hosts[0];
}
