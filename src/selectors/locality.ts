import type { TaskDescription } from '../protocol/task.ts';
import type { ClusterView, Host, HostSelector } from './contract.ts';

/** Spark's spark.locality.wait.process and .node, milliseconds. */
export interface LocalityWaits {
  /** How long for the very worker that holds the input. @defaultValue 3000 */
  readonly processMs?: number;
  /** How long, after that, for another worker on its machine. @defaultValue 3000 */
  readonly nodeMs?: number;
}

/** PROCESS_LOCAL, NODE_LOCAL, ANY. */
type Level = 0 | 1 | 2;

interface StageWait {
  level: Level;
  /** Since when nothing was launched at a better level. */
  since: number;
}

/** Stages remembered; the oldest goes first. */
const MAX_STAGES = 1024;

/**
 * Delay scheduling (Zaharia et al. 2010), as in Spark's TaskSetManager: a task with input somewhere waits a little for a slot there, first
 * on that worker, then on its machine, then goes anywhere. The wait is the stage's, and begins anew whenever a task finds its
 * place. Over any other selector, which decides among the hosts of the level.
 */
export function localitySelector(inner: HostSelector, { processMs = 3000, nodeMs = 3000 }: LocalityWaits = {}): HostSelector {
  const waits = [processMs, nodeMs];
  const stages = new Map<string, StageWait>();

  const waitOf = (task: TaskDescription, { application, now }: ClusterView): StageWait => {
    const key = `${task.stageId}.${task.stageAttemptNumber} ${application}`;
    let wait = stages.get(key);
    if (wait === undefined) {
      if (stages.size >= MAX_STAGES) stages.delete(stages.keys().next().value as string);
      stages.set(key, (wait = { level: 0, since: now }));
    }
    while (wait.level < 2 && now - wait.since >= (waits[wait.level] as number)) {
      wait.since += waits[wait.level] as number;
      wait.level++;
    }
    return wait;
  };

  return {
    ...(inner.queueDepth === undefined ? {} : { queueDepth: inner.queueDepth }),
    name: `LOCALITY:${inner.name}`,
    select(task, hosts, view) {
      const wanted = task.preferredLocations;
      if (wanted.length === 0) return inner.select(task, hosts, view);
      const machines = new Set<string>();
      for (const host of view.hosts) if (wanted.includes(host.id)) machines.add(host.host);
      for (const name of wanted) machines.add(name);
      const wait = waitOf(task, view);
      const levels: readonly ((host: Host) => boolean)[] = [(host) => wanted.includes(host.id), (host) => machines.has(host.host), () => true];
      for (let level = 0; level <= 2; level++) {
        const near = hosts.filter(levels[level] as (host: Host) => boolean);
        if (near.length === 0) {
          // Nobody there can ever take it (that worker or machine is not in the cluster): no use in waiting.
          if (level >= wait.level && view.hosts.some(levels[level] as (host: Host) => boolean)) return undefined;
          continue;
        }
        const chosen = inner.select(task, near, view);
        if (chosen !== undefined && level <= wait.level) {
          wait.level = level as Level;
          wait.since = view.now;
        }
        return chosen;
      }
      return undefined;
    },
  };
}
