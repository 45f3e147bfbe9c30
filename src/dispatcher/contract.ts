import type { ApplicationProfile, HeldLease, StageInfo } from '../protocol/application.ts';
import type { LeasedStatus, LeasedTask } from '../protocol/messages.ts';
import type { StatusUpdate, TaskDescription, Blob } from '../protocol/task.ts';
import type { Load, Registration } from '../registry/contract.ts';

/** One attempt handed to the dispatcher. */
export interface Submission {
  readonly application: string;
  readonly task: TaskDescription;
}

/** What happens, as the state machine sees it. `now` is monotonic milliseconds. */
export type DispatcherEvent =
  /** A task that this machine adopted from a worker's `holding` is not run again: it takes that lease over. */
  | { readonly type: 'submit'; readonly now: number; readonly submissions: readonly Submission[] }
  | { readonly type: 'cancel'; readonly now: number; readonly application: string; readonly taskId: number; readonly reason: string }
  /** An application announces itself or changes its policies; one that never does gets the defaults. */
  | { readonly type: 'application'; readonly now: number; readonly profile: ApplicationProfile }
  /** Stages of an application's jobs: new, changed, or done (tasksRemaining 0). */
  | { readonly type: 'stages'; readonly now: number; readonly application: string; readonly stages: readonly StageInfo[] }
  /** It has ended or died, or an operator ends it: all its tasks are cancelled, everything known of it is forgotten. */
  | { readonly type: 'cancelApplication'; readonly now: number; readonly application: string; readonly reason: string }
  | {
      readonly type: 'workerJoined';
      readonly now: number;
      readonly worker: Registration;
      readonly load: Load;
      /** Leases it has from an earlier leader of this cluster; a machine with a term above 0 adopts those it does not know. */
      readonly holding?: readonly HeldLease[];
    }
  | { readonly type: 'workerBeat'; readonly now: number; readonly workerId: string; readonly load: Load; readonly holding?: readonly HeldLease[] }
  | { readonly type: 'workerLeft'; readonly now: number; readonly workerId: string; readonly reason: string }
  /** An operator asks: no new leases for it (`drain` true), or again (`false`). What it has may finish. */
  | { readonly type: 'drain'; readonly now: number; readonly workerId: string; readonly drain: boolean }
  /** What one worker says of tasks, in order; each is fenced by the epoch under which the task was leased. */
  | { readonly type: 'status'; readonly now: number; readonly workerId: string; readonly statuses: readonly LeasedStatus[] }
  /** The worker lacks a blob it was believed to have. */
  | { readonly type: 'blobMissing'; readonly now: number; readonly workerId: string; readonly hash: string }
  /** An operator's word on a parked task: run it again (held ones only), or forget it (a held one fails). */
  | { readonly type: 'parked'; readonly now: number; readonly application: string; readonly taskId: number; readonly command: 'retry' | 'drop' }
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
  /** A worker that an operator drains holds nothing any more. */
  | { readonly type: 'drained'; readonly workerId: string }
  /** Capacity changed: applications may launch more. */
  | { readonly type: 'capacity'; readonly slots: number; readonly credit: number }
  /** For operators: what was decided about a task or a worker. */
  | { readonly type: 'note'; readonly note: DispatcherNote };

/** Something an operator should know. */
export type DispatcherNote =
  | { readonly what: 'parked'; readonly task: ParkedTask }
  | { readonly what: 'excluded'; readonly target: string; readonly untilMs: number; readonly reason: string }
  | { readonly what: 'included'; readonly target: string; readonly reason: string }
  /** Results of one task differ; `wrong` are the workers that were outvoted (empty while nobody is). */
  | {
      readonly what: 'disagreement';
      readonly application: string;
      readonly taskId: number;
      readonly workers: readonly string[];
      readonly wrong: readonly string[];
    };

/** One lease of a task, for its story. `end` is undefined while it lasts. */
export interface LeaseRecord {
  readonly workerId: string;
  readonly epoch: number;
  readonly startMs: number;
  readonly endMs: number | undefined;
  readonly why: string;
}

/** A task that was lost on too many workers. */
export interface ParkedTask {
  readonly application: string;
  readonly taskId: number;
  readonly name: string;
  readonly parkedMs: number;
  /** True: it waits for an operator. False: its application was told that it failed; kept for its story. */
  readonly held: boolean;
  readonly leases: readonly LeaseRecord[];
}

export type { ApplicationProfile, HeldLease, LeasedTask, StageInfo };

/**
 * The dispatcher as the reschedule layer sees it: embedded in the application (service.ts), or a service (remote.ts).
 * DELIVERY: at least once to a worker; each submission ends in exactly one terminal report or hand-back.
 */
export interface Dispatcher {
  /** Blobs must be put before tasks that name them. Held until `release`. */
  putBlob(blob: Blob): void;
  releaseBlob(hash: string): void;
  submit(submissions: readonly Submission[]): void;
  cancel(application: string, taskId: number, reason: string): void;
  /** Policies of an application; may be said again. */
  profile(profile: ApplicationProfile): void;
  /** Stages of its jobs: new, changed, or done. */
  stages(application: string, stages: readonly StageInfo[]): void;
  /** What there is and what is free of it now; the credit in tasks, of which short ones take less than 1: see `cost`. */
  capacity(): { readonly slots: number; readonly credit: number; readonly workers: number };
  /** What a task of the stage with these common blobs takes of the credit: 1, or less when tasks of the stage have proved short. */
  cost(application: string, commons: readonly string[]): number;
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
  /** Tasks it holds. */
  readonly outstanding: number;
  readonly draining: boolean;
  /** It, or its host, is given nothing for a while. */
  readonly excluded: boolean;
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
  /** Of `failed`: given up after too many lost workers; held ones are in neither until dropped. */
  readonly parked: number;
  /** Copies of slow tasks, and how many of them came first. */
  readonly speculated: number;
  readonly speculationWon: number;
  /** Results that were checked against others, further runs that took, and tasks on which results differed. */
  readonly verified: number;
  readonly replicated: number;
  readonly disagreements: number;
  /** Leases taken over from an earlier leader. */
  readonly adopted: number;
  readonly workers: readonly WorkerStats[];
}
