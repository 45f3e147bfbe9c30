import { StageTask, type StatusUpdate, type TaskDescription } from '../protocol/task.ts';
import type { Clock } from '../core/clock.ts';
import { IdMap } from '../core/id-map.ts';

/** One task of a stage attempt, before it is launched. */
export interface Task {
  /** Index in its task set: the partition of a map stage, the position among the job's partitions of a result stage. */
  readonly index: number;
  readonly payload: Uint8Array;
  readonly commons: readonly string[];
  readonly preferredLocations: readonly string[];
}

/** The tasks of one stage attempt; Spark's TaskSet. */
export interface TaskSet {
  readonly stageId: number;
  readonly stageAttempt: number;
  readonly priority: number;
  readonly tasks: readonly Task[];
  readonly timeoutMs: number;
}

export interface RunningAttempt {
  readonly taskId: number;
  readonly index: number;
  readonly attemptNumber: number;
  /** The executor it was launched on, which gave it a core. */
  readonly launchedOn: string;
  /** The executor that says it runs there. */
  runsOn: string;
  readonly launchTime: number;
  /** Its executor has said that it runs, or that it has ended. */
  started: boolean;
}

/**
 * Schedules the tasks of one stage attempt; Spark's TaskSetManager. A task that fails is launched again, up to
 * `maxFailures` times; attempts that were lost or killed do not count. Does no I/O.
 */
export class TaskSetManager {
  readonly taskSet: TaskSet;
  readonly #maxFailures: number;
  readonly #clock: Clock;
  /** Positions in `taskSet.tasks` to launch, last one first; retries come first of all. */
  readonly #pending: number[];
  readonly #byLocation = new Map<string, number[]>();
  readonly #launched: boolean[];
  readonly #successful: boolean[];
  readonly #failures: number[];
  readonly #attempts: number[];
  readonly running = new IdMap<RunningAttempt>();
  #done = 0;
  /** No more launches: it failed, or a newer attempt of the stage has taken over. Running tasks may still succeed. */
  zombie = false;

  constructor(taskSet: TaskSet, maxFailures: number, clock: Clock) {
    this.taskSet = taskSet;
    this.#maxFailures = maxFailures;
    this.#clock = clock;
    const n = taskSet.tasks.length;
    this.#pending = Array.from({ length: n }, (_, i) => n - 1 - i);
    this.#launched = new Array<boolean>(n).fill(false);
    this.#successful = new Array<boolean>(n).fill(false);
    this.#failures = new Array<number>(n).fill(0);
    this.#attempts = new Array<number>(n).fill(0);
    for (const position of this.#pending) this.#indexLocations(position);
  }

  #indexLocations(position: number): void {
    for (const location of (this.taskSet.tasks[position] as Task).preferredLocations) {
      const at = this.#byLocation.get(location);
      if (at === undefined) this.#byLocation.set(location, [position]);
      else at.push(position);
    }
  }

  /** Positions still to launch. */
  get hasPending(): boolean {
    while (this.#pending.length > 0 && this.#taken(this.#pending.at(-1) as number)) this.#pending.pop();
    return !this.zombie && this.#pending.length > 0;
  }

  get finished(): boolean {
    return this.#done === this.taskSet.tasks.length || (this.zombie && this.running.size === 0);
  }

  #taken(position: number): boolean {
    return this.#launched[position] === true || this.#successful[position] === true;
  }

  #next(executorId: string): number | undefined {
    const local = this.#byLocation.get(executorId);
    for (let position = local?.pop(); position !== undefined; position = local?.pop()) if (!this.#taken(position)) return position;
    return this.hasPending ? this.#pending.pop() : undefined;
  }

  /** A task for a free core of an executor: one whose input is there, else the next. */
  resourceOffer(executorId: string, newTaskId: () => number): TaskDescription | undefined {
    if (!this.hasPending) return undefined;
    const position = this.#next(executorId);
    if (position === undefined) return undefined;
    const task = this.taskSet.tasks[position] as Task;
    const { stageId, stageAttempt, timeoutMs } = this.taskSet;
    const attemptNumber = (this.#attempts[position] as number)++;
    const taskId = newTaskId();
    this.#launched[position] = true;
    this.running.set(taskId, {
      taskId,
      index: position,
      attemptNumber,
      launchedOn: executorId,
      runsOn: executorId,
      launchTime: this.#clock.wallTime(),
      started: false,
    });
    return new StageTask({
      taskId,
      attemptNumber,
      executorId,
      index: task.index,
      stageId,
      stageAttemptNumber: stageAttempt,
      kind: 'js',
      commons: task.commons,
      payload: task.payload,
      preferredLocations: task.preferredLocations,
      timeoutMs,
    });
  }

  /** Index in the task set of a position. */
  indexOf(attempt: RunningAttempt): number {
    return (this.taskSet.tasks[attempt.index] as Task).index;
  }

  /** True when this is the first success of its partition: only that one counts. */
  handleSuccess(attempt: RunningAttempt): boolean {
    this.running.delete(attempt.taskId);
    if (this.#successful[attempt.index] === true) return false;
    this.#successful[attempt.index] = true;
    this.#done += 1;
    return true;
  }

  /** Puts the task back; tells whether it has now failed too often. */
  handleFailure(attempt: RunningAttempt, state: StatusUpdate['state'], counts: boolean): boolean {
    this.running.delete(attempt.taskId);
    const { index } = attempt;
    if (this.#successful[index] === true) return false;
    if (state === 'FAILED' && counts) this.#failures[index] = (this.#failures[index] as number) + 1;
    this.#launched[index] = false;
    this.#pending.push(index);
    this.#indexLocations(index);
    return (this.#failures[index] as number) >= this.#maxFailures;
  }
}
