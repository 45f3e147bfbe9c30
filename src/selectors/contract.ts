import type { StageInfo } from '../protocol/application.ts';
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
  /** Changes when a host joins or goes. */
  readonly version: number;
  /** Whose task it is. */
  readonly application: string;
  /** Monotonic milliseconds. */
  readonly now: number;
  /** A stage of the application's jobs: its parents, what remains of it. Undefined: nothing was said of it. */
  stage(stageId: number): StageInfo | undefined;
}

/**
 * Where to? Pure but for injected randomness, no I/O, no base class.
 * To add one: a file beside this one that exports a factory, and its name in index.ts.
 */
export interface HostSelector {
  readonly name: string;
  /** Most tasks a slot may be sent when this selector chooses; 1 binds a task to a worker only when a slot is free. @defaultValue the dispatcher's */
  readonly queueDepth?: number;
  /** Kinds whose tasks take no credit: who submits them counts the cores of workers. @defaultValue none */
  readonly uncounted?: readonly string[];
  /** One of `hosts` (never empty, all with credit), or undefined: leave the task waiting. */
  select(task: TaskDescription, hosts: readonly Host[], view: ClusterView): Host | undefined;
}
