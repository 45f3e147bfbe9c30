/** What travels to a worker: one attempt of one task. Names are Spark's. */
export interface TaskDescription {
  /** Unique among the tasks of one application (Spark's TID). */
  readonly taskId: number;
  /** 0 for the first attempt of this partition. */
  readonly attemptNumber: number;
  /** The executor that the scheduler launched the task on; the dispatcher may choose another worker. */
  readonly executorId: string;
  /** For people: `task 3.0 in stage 1.0 (TID 7)`. */
  readonly name: string;
  /** Index within its task set: the partition. */
  readonly index: number;
  readonly stageId: number;
  readonly stageAttemptNumber: number;
  /** Which TaskRunner of a worker can run it: `js`, later `spark`. */
  readonly kind: string;
  /** Content hashes of what this task shares with others (stage binary, map output statuses, broadcasts); sent to a worker once. */
  readonly commons: readonly string[];
  /** The task's own part, opaque to everyone but its runner. */
  readonly payload: Uint8Array;
  /** Executor ids where its input already is; a hint, most wanted first. */
  readonly preferredLocations: readonly string[];
  /** Longest time it may run on a worker, in milliseconds; 0 means no limit. */
  readonly timeoutMs: number;
}

/** A task of a stage of the embedded engine: its name is made of its numbers when somebody reads it, and does not travel. */
export class StageTask implements TaskDescription {
  readonly taskId: number;
  readonly attemptNumber: number;
  readonly executorId: string;
  readonly index: number;
  readonly stageId: number;
  readonly stageAttemptNumber: number;
  readonly kind: string;
  readonly commons: readonly string[];
  readonly payload: Uint8Array;
  readonly preferredLocations: readonly string[];
  readonly timeoutMs: number;

  constructor(fields: Omit<TaskDescription, 'name'>) {
    this.taskId = fields.taskId;
    this.attemptNumber = fields.attemptNumber;
    this.executorId = fields.executorId;
    this.index = fields.index;
    this.stageId = fields.stageId;
    this.stageAttemptNumber = fields.stageAttemptNumber;
    this.kind = fields.kind;
    this.commons = fields.commons;
    this.payload = fields.payload;
    this.preferredLocations = fields.preferredLocations;
    this.timeoutMs = fields.timeoutMs;
  }

  get name(): string {
    return `task ${this.index}.${this.attemptNumber} in stage ${this.stageId}.${this.stageAttemptNumber} (TID ${this.taskId})`;
  }
}

/** The task with a payload that is no view of a larger buffer. */
export function withOwnPayload(task: TaskDescription): TaskDescription {
  const { payload } = task;
  if (payload.byteLength === payload.buffer.byteLength) return task;
  const own = { ...task, payload: payload.slice() };
  return task instanceof StageTask ? new StageTask(own) : own;
}

/** Spark's TaskState. */
export type TaskState = 'RUNNING' | 'FINISHED' | 'FAILED' | 'KILLED' | 'LOST';

/** What comes back: a change of state of one attempt. */
export interface StatusUpdate {
  readonly taskId: number;
  readonly state: TaskState;
  /** The executor (worker) that says so. */
  readonly executorId: string;
  /** FINISHED: the result bytes. FAILED, KILLED, LOST: a WireError as `encodeFailure` writes it. RUNNING: empty. */
  readonly data: Uint8Array;
  /** FINISHED: mean run time of tasks of its stage on that worker of late, milliseconds; undefined: not measured. */
  readonly runMs?: number | undefined;
}

/** A blob addressed by its content: the common part of many tasks. */
export interface Blob {
  readonly hash: string;
  readonly bytes: Uint8Array;
}

export const EMPTY_BYTES = new Uint8Array(0);
