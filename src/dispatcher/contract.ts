import type { LeasedTask } from '../protocol/messages.ts';
import type { StatusUpdate, TaskDescription, Blob } from '../protocol/task.ts';
import type { Load, Registration } from '../registry/contract.ts';

/** One attempt handed to the dispatcher, with how it may be re-run when its worker is lost. */
export interface Submission {
  readonly application: string;
  readonly task: TaskDescription;
}

/** What happens, as the state machine sees it. `now` is monotonic milliseconds. */
export type DispatcherEvent =
  | { readonly type: 'submit'; readonly now: number; readonly submissions: readonly Submission[] }
  | { readonly type: 'cancel'; readonly now: number; readonly application: string; readonly taskId: number; readonly reason: string }
  | { readonly type: 'workerJoined'; readonly now: number; readonly worker: Registration; readonly load: Load }
  | { readonly type: 'workerBeat'; readonly now: number; readonly workerId: string; readonly load: Load }
  | { readonly type: 'workerLeft'; readonly now: number; readonly workerId: string; readonly reason: string }
  /** A status from a worker, fenced by the epoch under which it was leased. */
  | {
      readonly type: 'status';
      readonly now: number;
      readonly workerId: string;
      readonly application: string;
      readonly epoch: number;
      readonly update: StatusUpdate;
    }
  /** The worker lacks a blob it was believed to have. */
  | { readonly type: 'blobMissing'; readonly now: number; readonly workerId: string; readonly hash: string }
  | { readonly type: 'tick'; readonly now: number };

/** What is to be done about it. The shell does it; the machine never does I/O. */
export type DispatcherEffect =
  | { readonly type: 'send'; readonly workerId: string; readonly blobs: readonly string[]; readonly tasks: readonly LeasedTask[] }
  | {
      readonly type: 'cancelOnWorker';
      readonly workerId: string;
      readonly application: string;
      readonly taskId: number;
      readonly epoch: number;
      readonly reason: string;
    }
  /** To the application: state changes it must see, each terminal one exactly once per submission. */
  | { readonly type: 'report'; readonly application: string; readonly update: StatusUpdate }
  /** No worker is left to run these: the application runs them itself (degrade to internal). */
  | { readonly type: 'handBack'; readonly application: string; readonly tasks: readonly TaskDescription[] }
  | { readonly type: 'workerLost'; readonly workerId: string; readonly reason: string }
  /** Capacity changed: applications may launch more. */
  | { readonly type: 'capacity'; readonly slots: number; readonly credit: number };

export type { LeasedTask };

/**
 * The dispatcher as the reschedule layer sees it (embedded now, a service later).
 * DELIVERY: at least once to a worker; each submission ends in exactly one terminal report or hand-back.
 */
export interface Dispatcher {
  /** Blobs must be put before tasks that name them. Held until `release`. */
  putBlob(blob: Blob): void;
  releaseBlob(hash: string): void;
  submit(submissions: readonly Submission[]): void;
  cancel(application: string, taskId: number, reason: string): void;
  capacity(): { readonly slots: number; readonly credit: number; readonly workers: number };
  stats(): DispatcherStats;
  close(): Promise<void>;
}

export interface DispatcherListener {
  statusUpdate(application: string, update: StatusUpdate): void;
  handBack(application: string, tasks: readonly TaskDescription[]): void;
  workerLost(workerId: string, reason: string): void;
  capacityChanged(): void;
}

export interface WorkerStats {
  readonly id: string;
  readonly host: string;
  readonly pid: number;
  readonly slots: number;
  readonly finished: number;
  readonly failed: number;
  readonly alive: boolean;
}

export interface DispatcherStats {
  readonly submitted: number;
  readonly finished: number;
  readonly failed: number;
  /** Sent again because a lease ended without a result. */
  readonly retried: number;
  /** Results refused because their epoch was no longer the lease's. */
  readonly fenced: number;
  readonly handedBack: number;
  readonly workers: readonly WorkerStats[];
}
