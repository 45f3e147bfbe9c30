/** What an application says of itself and its jobs beside its tasks. All of it may change while it runs. */

/** Where its tasks should or must run. A name in `hosts` is a worker id or a host name. */
export interface Placement {
  /** Taken when one of them has credit; else any other. */
  readonly preferredHosts?: readonly string[];
  /** A worker must be one of these. */
  readonly requiredHosts?: readonly string[];
  /** A worker with all of these labels is taken when one has credit. */
  readonly preferredLabels?: Readonly<Record<string, string>>;
  /** A worker must have all of these labels. */
  readonly requiredLabels?: Readonly<Record<string, string>>;
}

/** When a copy of a slow task is started elsewhere; Spark's `spark.speculation.*`. */
export interface SpeculationPolicy {
  /** Share of a stage's tasks that must have finished before copies are made. @defaultValue 0.9 */
  readonly quantile?: number;
  /** A task is slow when it has run for this many times the median. @defaultValue 3 */
  readonly multiplier?: number;
  /** And for at least this long, milliseconds. @defaultValue 100 */
  readonly minTaskRuntimeMs?: number;
}

/** How results of workers that are not trusted are checked: adaptive replication (BOINC; Anderson 2004). */
export interface VerifyPolicy {
  /** Results of different workers that must agree. @defaultValue 2 */
  readonly quorum?: number;
  /** Results asked for at most before the task fails. @defaultValue 2 * quorum + 1 */
  readonly maxReplicas?: number;
  /** `bytes`, or a name that the dispatcher was given a comparator for, such as `float:1e-9`. @defaultValue bytes */
  readonly comparator?: string;
  /** Valid results in a row until a worker is checked by lot only. @defaultValue 10 */
  readonly trustAfter?: number;
  /** How long a result waits for a second worker before its task fails, milliseconds. @defaultValue 60000 */
  readonly patienceMs?: number;
}

/** How the tasks of an application are ordered against those of others, and how they are treated. */
export interface ApplicationProfile {
  readonly application: string;
  /** FAIR: its tasks share this pool with those of applications that name it too. @defaultValue the application */
  readonly pool?: string;
  /** FAIR: share of the pool against others. @defaultValue 1 */
  readonly weight?: number;
  /** FAIR: running tasks that the pool gets before others get more than theirs. @defaultValue 0 */
  readonly minShare?: number;
  /** PRIORITY: higher goes first. @defaultValue 0 */
  readonly priority?: number;
  /** Workers a task may be lost on before it is parked. @defaultValue of the dispatcher */
  readonly maxLeases?: number;
  /** Wait before a task that was lost twice is leased again; doubles with each further loss. Milliseconds. @defaultValue 100 */
  readonly retryBackoffMs?: number;
  /** Longest such wait. @defaultValue 10000 */
  readonly retryBackoffMaxMs?: number;
  /** A parked task: `fail` tells the application at once; `hold` keeps it until an operator retries or drops it. @defaultValue fail */
  readonly poison?: 'fail' | 'hold';
  /** @defaultValue no copies */
  readonly speculation?: SpeculationPolicy;
  /** @defaultValue results are trusted */
  readonly verify?: VerifyPolicy;
  readonly placement?: Placement;
}

/** A stage of a job, as orders and selectors see it. */
export interface StageInfo {
  readonly stageId: number;
  /** Stages whose output it reads. */
  readonly parents: readonly number[];
  /** Tasks that have not finished; 0 removes the stage. */
  readonly tasksRemaining: number;
  /** All its tasks; for speculation's quantile. @defaultValue the most tasksRemaining ever said */
  readonly tasks?: number;
  /** Mean (or estimated) duration of one task, milliseconds; 0: unknown. */
  readonly meanMs: number;
}

/** A lease that a worker says it holds, told to a new leader. */
export interface HeldLease {
  readonly application: string;
  readonly taskId: number;
  readonly epoch: number;
}

/** Epochs are `term * TERM_EPOCHS + counter`: those of a later leader are higher. The counter of a task's first lease is 1. */
export const TERM_EPOCHS = 2 ** 32;
