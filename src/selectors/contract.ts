import type { TaskDescription } from '../protocol/task.ts';

/** A worker as the dispatcher sees it when it must choose. */
export interface Host {
  readonly id: string;
  readonly host: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly slots: number;
  /** Tasks sent to it and not finished. */
  readonly outstanding: number;
  /** Tasks it may still be sent now; only hosts with credit are offered to a selector. */
  readonly credit: number;
}

/** What else a selector may look at. */
export interface ClusterView {
  /** All workers that may run this kind of task, with or without credit. */
  readonly hosts: readonly Host[];
  /** Stage -> stages it waits for; lets an order or selector see the job's graph. */
  parentsOf(stageId: number): readonly number[];
}

/**
 * Where to? Pure but for injected randomness, no I/O, no base class.
 * To add one: a file beside this one that exports a factory, and its name in index.ts.
 */
export interface HostSelector {
  readonly name: string;
  /** One of `hosts` (never empty, all with credit), or undefined: leave the task waiting. */
  select(task: TaskDescription, hosts: readonly Host[], view: ClusterView): Host | undefined;
}
