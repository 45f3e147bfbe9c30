import type { StatusUpdate, TaskDescription } from '../protocol/task.ts';

/** Free cores of one executor; Spark's WorkerOffer. */
export interface WorkerOffer {
  readonly executorId: string;
  readonly host: string;
  /** Tasks it can be launched now, while what is left is above 0. */
  readonly cores: number;
  /** Of the cores, what a task of the stage with these common blobs takes; less than 1 where short tasks share one. @defaultValue 1 */
  readonly cost?: (commons: readonly string[]) => number;
}

/**
 * The seam between the scheduler and what runs tasks; Spark's SchedulerBackend. `launchTasks` is where tasks leave the
 * scheduler: it may be advised without the scheduler knowing.
 *
 * A backend ends each launched task with exactly one terminal `statusUpdate`; it does not retry.
 */
export interface SchedulerBackend {
  start(): void;
  stop(): Promise<void>;
  /** Asks for tasks for whatever is free now; may be called at any time, and often. */
  reviveOffers(): void;
  executorOffers(): WorkerOffer[];
  launchTasks(tasks: readonly TaskDescription[]): void;
  killTask(taskId: number, executorId: string, reason: string): void;
  /** A launched task changed its state. */
  statusUpdate(update: StatusUpdate): void;
  /** An executor is gone with what it kept. */
  executorLost(executorId: string, reason: string): void;
  defaultParallelism(): number;
  /** Bytes of a blob that a task names in `commons`. */
  blob(hash: string): Uint8Array;
  /** Tells when no stage needs a blob any more; returns the unsubscribe function. */
  onBlobReleased(listener: (hash: string) => void): () => void;
}

/** What a backend needs of the task scheduler. */
export interface TaskSchedulerPort {
  resourceOffers(offers: readonly WorkerOffer[]): TaskDescription[];
  statusUpdate(update: StatusUpdate): void;
  executorLost(executorId: string, reason: string): void;
}
