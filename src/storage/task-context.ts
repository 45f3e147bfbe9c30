/** What a task may know of itself while it runs; Spark's TaskContext. */
export interface TaskContextInfo {
  readonly stageId: number;
  readonly stageAttemptNumber: number;
  readonly partitionId: number;
  readonly attemptNumber: number;
  readonly taskAttemptId: number;
  readonly executorId: string;
  readonly localProperties: Readonly<Record<string, string>>;
}

/** Shared by all copies of this package in one thread, so that a by-reference import in a closure finds it. */
const CURRENT = Symbol.for('spark-proxy.task');

export interface RunningTask extends TaskContextInfo {
  /** Accumulator id -> update so far of this attempt. */
  readonly accumulators: Map<number, unknown>;
}

const globals = globalThis as Record<symbol, unknown>;

export function setRunningTask(task: RunningTask | undefined): void {
  globals[CURRENT] = task;
}

export function runningTask(): RunningTask | undefined {
  return globals[CURRENT] as RunningTask | undefined;
}

const TASK_THREAD = Symbol.for('spark-proxy.task-thread');

/** From now on this thread runs tasks, and nothing of a driver. */
export function markTaskThread(): void {
  globals[TASK_THREAD] = true;
}

export function isTaskThread(): boolean {
  return globals[TASK_THREAD] === true;
}

export const TaskContext = {
  /** The running task, or undefined on the driver. */
  get(): TaskContextInfo | undefined {
    return runningTask();
  },
  /** Partition of the running task; 0 on the driver, as in Spark. */
  getPartitionId(): number {
    return runningTask()?.partitionId ?? 0;
  },
};
