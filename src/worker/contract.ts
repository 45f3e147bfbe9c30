import type { TaskDescription } from '../protocol/task.ts';

/** Gives a task's runner the shared blobs by content hash. All of a task's `commons` are there before `run` is called. */
export type BlobSource = (hash: string) => Uint8Array;

/**
 * Who runs it? A worker is given its runners; it imports none (`js` comes from src/executor, `spark` from src/apache-spark).
 */
export interface TaskRunner {
  readonly kind: string;
  /** Tasks it wants to be given at a time, while they are short more than it runs at once. @defaultValue the worker's slots */
  readonly capacity?: number;
  /**
   * Runs one attempt to its result bytes. Rejects with the task's error; a task over `timeoutMs` or over its memory
   * limit rejects with a coded error and leaves the runner usable. `task.payload` may be a view of the frame it came in:
   * posted to a thread as it is, it would take the whole frame along.
   */
  run(task: TaskDescription, blobs: BlobSource): Promise<Uint8Array>;
  /** Mean run time of late of tasks as this one, milliseconds: the dispatcher sends more of short ones ahead. @defaultValue not told */
  runMs?(task: TaskDescription): number | undefined;
  /** Has it call `listener` when it holds no task any more, right after the last of them were resolved: nothing more is to be waited for. */
  onIdle?(listener: () => void): void;
  /** Ends a task that `run` was given (the same object); its `run` rejects with SP_TASK_KILLED. Others are ignored. */
  kill(task: TaskDescription, reason: string): void;
  close(): Promise<void>;
}
