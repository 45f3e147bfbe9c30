import type { ApplicationProfile, StageInfo } from '../protocol/application.ts';
import type { Blob, TaskDescription } from '../protocol/task.ts';
import type { Registration } from '../registry/contract.ts';
import type { Dispatcher, DispatcherListener, ParkedTask } from './contract.ts';

/** One application's way into a dispatcher of this process. Its listener hears of this application only. */
export interface ApplicationPort {
  readonly application: string;
  /** Blobs must be put before tasks that name them; held until released, or until the application is detached. */
  putBlob(blob: Blob): void;
  releaseBlob(hash: string): void;
  /** @throws SP_DISPATCHER_CLOSED, SP_DISPATCHER_BLOB_UNAVAILABLE */
  submit(tasks: readonly TaskDescription[]): void;
  cancel(taskId: number, reason: string): void;
  /** Policies; may be said again. */
  profile(profile: ApplicationProfile): void;
  stages(stages: readonly StageInfo[]): void;
  /** Its tasks are cancelled, its blobs dropped; the listener hears nothing more. Idempotent. */
  detach(reason: string): void;
}

/** A dispatcher in this process: many applications may attach to it. */
export interface LocalDispatcher extends Dispatcher {
  readonly id: string;
  /** Under which it leads; 0: it serves one application. */
  readonly term: number;
  /** @throws SP_DISPATCHER_ATTACHED when an application of this id is attached, SP_DISPATCHER_CLOSED */
  attach(profile: ApplicationProfile, listener: DispatcherListener): ApplicationPort;
  /** Live workers, as they announced themselves. */
  registrations(): readonly Registration[];
  hasBlob(hash: string): boolean;
  /** An operator's: the worker gets no new tasks, finishes what it has, and ends. False: nobody of that id is there. */
  drainWorker(workerId: string, reason: string): boolean;
  /** Tasks that were lost on too many workers. */
  parkedTasks(): readonly ParkedTask[];
  /** An operator's word on a parked task. */
  parked(application: string, taskId: number, command: 'retry' | 'drop'): void;
  /**
   * Ends, but leaves leases to workers and cancels nothing: another dispatcher leads, or will. Idempotent.
   */
  abandon(): Promise<void>;
}

/** Told of each task that goes through a dispatcher: its history. */
export interface TaskObserver {
  submitted(application: string, tasks: readonly TaskDescription[]): void;
  reported(application: string, taskId: number, state: string, workerId: string): void;
  handedBack(application: string, tasks: readonly TaskDescription[]): void;
  detached(application: string): void;
}
