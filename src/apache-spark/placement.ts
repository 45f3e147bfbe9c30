/**
 * Where do Spark's tasks go? Spark's scheduler fills the offers of external executors; before it tells anyone, its agent
 * asks here for the whole round, and the user's HostSelector decides for each task. What it decides is written into Spark's own
 * books, so that Spark, its UI and `spark-proxy tasks` name the same place. The dispatcher then only has to keep to it.
 */
import type { Registration } from '../registry/contract.ts';
import type { ClusterView, Host, HostSelector } from '../selectors/contract.ts';
import { EMPTY_BYTES, type TaskDescription } from '../protocol/task.ts';
import type { FrameReader } from './frames.ts';

export const SPARK_KIND = 'spark';

/**
 * Keeps tasks of Spark on the worker that was chosen for them (`preferredLocations[0]`); all others are the inner selector's.
 * Spark counts the cores of executors itself, so its tasks neither need nor take the worker's credit.
 */
export function pinSparkTasks(inner: HostSelector): HostSelector {
  return {
    ...inner,
    name: inner.name,
    uncounted: [SPARK_KIND],
    select(task, hosts, view) {
      if (task.kind !== SPARK_KIND) return inner.select(task, hosts, view);
      const pinned = task.preferredLocations[0];
      for (let i = 0; i < hosts.length; i++) if ((hosts[i] as Host).id === pinned) return hosts[i];
      return undefined;
    },
  };
}

/** `task 3.0 in stage 1.0 (TID 7)`: the stage and its attempt. Zeros when the name is another. */
export function stageOfName(name: string): { readonly stageId: number; readonly stageAttemptNumber: number } {
  const match = /in stage (\d+)\.(\d+)/.exec(name);
  return { stageId: Number(match?.[1] ?? 0), stageAttemptNumber: Number(match?.[2] ?? 0) };
}

export interface Candidate {
  readonly executorId: string;
  readonly free: number;
}

export interface AskedTask {
  readonly taskId: number;
  readonly attempt: number;
  readonly index: number;
  readonly cpus: number;
  /** Index of the candidate that Spark chose. */
  readonly offered: number;
  /** It must stay there: a speculative copy, a barrier stage. */
  readonly fixed: boolean;
  /** Spark's TaskLocality. */
  readonly locality: string;
  readonly name: string;
}

export interface Round {
  readonly candidates: readonly Candidate[];
  readonly tasks: readonly AskedTask[];
}

/** @throws SP_SPARK_MALFORMED_FRAME */
export function readRound(reader: FrameReader): Round {
  const candidates: Candidate[] = [];
  for (let left = reader.count(8); left > 0; left--) candidates.push({ executorId: reader.string(), free: reader.i32() });
  const tasks: AskedTask[] = [];
  while (reader.more) {
    tasks.push({
      taskId: reader.u64(),
      attempt: reader.i32(),
      index: reader.i32(),
      cpus: Math.max(1, reader.i32()),
      offered: reader.i32(),
      fixed: reader.i32() !== 0,
      locality: reader.string(),
      name: reader.string(),
    });
  }
  return { candidates, tasks };
}

export interface RoundOptions {
  readonly selector: HostSelector;
  readonly application: string;
  readonly now: number;
  /** The worker of an executor. */
  workerOf(executorId: string): Registration | undefined;
  /** Tasks of all applications on a worker. */
  outstanding(workerId: string): number;
  readonly version: number;
  /** A selector that throws, or names a host that it was not offered; Spark's own choice is taken then. */
  onFault(error: unknown): void;
}

interface MutableHost extends Host {
  outstanding: number;
  credit: number;
}

/** For each task the index of its candidate, or -1: where Spark put it. */
export function placeRound({ candidates, tasks }: Round, options: RoundOptions): number[] {
  const hosts = candidates.map(({ executorId, free }): MutableHost | undefined => {
    const worker = options.workerOf(executorId);
    if (worker === undefined) return undefined;
    return { id: worker.id, host: worker.host, labels: worker.labels, slots: worker.slots, outstanding: options.outstanding(worker.id), credit: free };
  });
  const known = hosts.filter((host) => host !== undefined);
  const view: ClusterView = { hosts: known, version: options.version, application: options.application, now: options.now, stage: () => undefined };
  const take = (host: MutableHost | undefined, cpus: number): void => {
    if (host === undefined) return;
    host.credit -= cpus;
    host.outstanding++;
  };
  const places = tasks.map(() => -1);
  // What must stay takes its cores first.
  for (const task of tasks) if (task.fixed) take(hosts[task.offered], task.cpus);
  tasks.forEach((task, i) => {
    if (task.fixed) return;
    const ready = known.filter((host) => host.credit >= task.cpus);
    if (ready.length === 0) return;
    const offered = hosts[task.offered];
    let chosen: Host | undefined;
    try {
      chosen = options.selector.select(describe(task, candidates[task.offered]?.executorId ?? '', offered, known), ready, view);
    } catch (error) {
      options.onFault(error);
    }
    // Spark has launched it: it cannot wait, and goes where Spark put it.
    const at = chosen === undefined ? -1 : hosts.indexOf(chosen as MutableHost);
    const fits = at >= 0 && (hosts[at] as MutableHost).credit >= task.cpus;
    if (chosen !== undefined && !fits) options.onFault(new Error(`selector ${options.selector.name} chose a host that was not offered`));
    if (fits) places[i] = at;
    else if (offered !== undefined && offered.credit >= task.cpus) places[i] = task.offered;
    else places[i] = hosts.indexOf(ready[0]);
    take(hosts[places[i] as number], task.cpus);
  });
  return places;
}

/** Cached input: its executor. Input on a machine: the workers there. */
function describe(task: AskedTask, executorId: string, offered: Host | undefined, hosts: readonly Host[]): TaskDescription {
  let preferredLocations: string[] = [];
  if (offered !== undefined && task.locality === 'PROCESS_LOCAL') preferredLocations = [offered.id];
  else if (offered !== undefined && task.locality === 'NODE_LOCAL')
    preferredLocations = hosts.filter((host) => host.host === offered.host).map((host) => host.id);
  return {
    taskId: task.taskId,
    attemptNumber: task.attempt,
    executorId,
    name: task.name,
    index: task.index,
    ...stageOfName(task.name),
    kind: SPARK_KIND,
    commons: [],
    payload: EMPTY_BYTES,
    preferredLocations,
    timeoutMs: 0,
  };
}
