import type { Clock } from '../core/clock.ts';
import { IdMap } from '../core/id-map.ts';
import { SparkProxyError } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import type { TaskResult } from '../executor/plan.ts';
import { decodeTaskResult } from '../executor/task-codec.ts';
import { decodeFailure } from '../protocol/failure.ts';
import type { StatusUpdate, TaskDescription } from '../protocol/task.ts';
import type { SchedulerBackend, TaskSchedulerPort, WorkerOffer } from './backend.ts';
import { TaskSetManager, type RunningAttempt, type TaskSet } from './task-set-manager.ts';

/** What the DAG scheduler is told. */
export interface TaskSchedulerListener {
  taskStarted(manager: TaskSetManager, attempt: RunningAttempt): void;
  /** First success of a partition. */
  taskSucceeded(manager: TaskSetManager, attempt: RunningAttempt, result: TaskResult): void;
  /** Any other end of an attempt. */
  taskEnded(manager: TaskSetManager, attempt: RunningAttempt, state: 'FINISHED' | 'FAILED' | 'KILLED' | 'LOST', error: Error | undefined): void;
  fetchFailed(manager: TaskSetManager, attempt: RunningAttempt, error: SparkProxyError): void;
  /** The task set can't succeed. */
  taskSetFailed(manager: TaskSetManager, reason: string, cause: Error): void;
  executorLost(executorId: string, reason: string): void;
}

const FETCH_FAILED = 'SP_SHUFFLE_FETCH_FAILED';
/** Errors that another attempt cannot mend. */
const PERMANENT = new Set([
  'SP_DISPATCHER_LEASES_EXHAUSTED',
  'SP_CLOSURE_NOT_SERIALIZABLE',
  'SP_COLUMN_NOT_DATA',
  'SP_SHUFFLE_NOT_A_PAIR',
  'SP_TASK_NOT_ITERABLE',
]);

/**
 * Offers the tasks of task sets to executors, oldest job first; Spark's TaskSchedulerImpl.
 * ORDERING: called on the driver's one thread; every update of a launched task ends in exactly one call of the listener.
 */
export class TaskScheduler implements TaskSchedulerPort {
  readonly #managers: TaskSetManager[] = [];
  readonly #byTask = new IdMap<TaskSetManager>();
  readonly #options: { readonly maxFailures: number; readonly clock: Clock; readonly logger: Logger };
  #listener: TaskSchedulerListener | undefined;
  #backend: SchedulerBackend | undefined;
  #nextTaskId = 0;

  constructor(options: { readonly maxFailures: number; readonly clock: Clock; readonly logger: Logger }) {
    this.#options = options;
  }

  initialize(backend: SchedulerBackend, listener: TaskSchedulerListener): void {
    this.#backend = backend;
    this.#listener = listener;
  }

  submitTasks(taskSet: TaskSet): TaskSetManager {
    const manager = new TaskSetManager(taskSet, this.#options.maxFailures, this.#options.clock);
    for (const other of this.#managers) if (other.taskSet.stageId === taskSet.stageId) other.zombie = true;
    const at = this.#managers.findIndex((other) => other.taskSet.priority > taskSet.priority);
    this.#managers.splice(at < 0 ? this.#managers.length : at, 0, manager);
    this.#backend?.reviveOffers();
    return manager;
  }

  /** Stops launching tasks of a stage and kills those that run. */
  cancelTasks(stageId: number, reason: string): void {
    for (const manager of [...this.#managers]) {
      if (manager.taskSet.stageId !== stageId) continue;
      manager.zombie = true;
      for (const attempt of manager.running.values()) this.#backend?.killTask(attempt.taskId, attempt.launchedOn, reason);
      this.#removeIfFinished(manager);
    }
  }

  /** No more launches of the current attempt of a stage; what runs may finish. */
  retire(stageId: number): void {
    for (const manager of [...this.#managers]) {
      if (manager.taskSet.stageId !== stageId) continue;
      manager.zombie = true;
      this.#removeIfFinished(manager);
    }
  }

  resourceOffers(offers: readonly WorkerOffer[]): TaskDescription[] {
    const launched: TaskDescription[] = [];
    const newTaskId = (): number => this.#nextTaskId++;
    const free = offers.map((offer) => offer.cores);
    for (const manager of this.#managers) {
      const { commons = [] } = manager.taskSet.tasks[0] ?? {};
      const costs = offers.map(({ cost }) => cost?.(commons) ?? 1);
      // One task an executor and turn, so that a wave is spread over executors.
      for (let any = true; any && manager.hasPending;) {
        any = false;
        for (let i = 0; i < offers.length; i++) {
          if ((free[i] as number) <= 0) continue;
          const task = manager.resourceOffer((offers[i] as WorkerOffer).executorId, newTaskId);
          if (task === undefined) break;
          free[i] = (free[i] as number) - (costs[i] as number);
          any = true;
          this.#byTask.set(task.taskId, manager);
          launched.push(task);
        }
      }
    }
    return launched;
  }

  statusUpdate(update: StatusUpdate): void {
    const manager = this.#byTask.get(update.taskId);
    const attempt = manager?.running.get(update.taskId);
    if (manager === undefined || attempt === undefined) return;
    attempt.runsOn = update.executorId;
    // A short task may have ended before its executor said that it runs.
    if (!attempt.started) {
      attempt.started = true;
      this.#listener?.taskStarted(manager, attempt);
    }
    if (update.state === 'RUNNING') return;
    this.#byTask.delete(update.taskId);
    if (update.state === 'FINISHED') this.#finished(manager, attempt, update.data);
    else this.#failed(manager, attempt, update.state, decodeFailure(update.data));
    this.#removeIfFinished(manager);
  }

  #finished(manager: TaskSetManager, attempt: RunningAttempt, data: Uint8Array): void {
    let result: TaskResult;
    try {
      result = decodeTaskResult(data);
    } catch (error) {
      this.#failed(manager, attempt, 'FAILED', error as Error);
      return;
    }
    if (manager.handleSuccess(attempt)) this.#listener?.taskSucceeded(manager, attempt, result);
    else this.#listener?.taskEnded(manager, attempt, 'FINISHED', undefined);
  }

  #failed(manager: TaskSetManager, attempt: RunningAttempt, state: 'FAILED' | 'KILLED' | 'LOST', error: Error): void {
    const code = SparkProxyError.is(error) ? error.code : undefined;
    const killed = state === 'KILLED' || code === 'SP_TASK_KILLED';
    const ended = killed ? 'KILLED' : state;
    const fetch = code === FETCH_FAILED;
    const tooOften = manager.handleFailure(attempt, ended, !fetch);
    this.#listener?.taskEnded(manager, attempt, ended, error);
    if (fetch) {
      manager.zombie = true;
      this.#listener?.fetchFailed(manager, attempt, error as SparkProxyError);
      return;
    }
    if (manager.zombie) return;
    const index = manager.indexOf(attempt);
    const { stageId, stageAttempt } = manager.taskSet;
    const where = `Task ${index} in stage ${stageId}.${stageAttempt}`;
    this.#options.logger.info(`${where} ${ended.toLowerCase()}`, { attempt: attempt.attemptNumber, executor: attempt.runsOn, error: error.message });
    const permanent = code !== undefined && PERMANENT.has(code);
    if (!tooOften && !permanent) {
      this.#backend?.reviveOffers();
      return;
    }
    manager.zombie = true;
    const times = permanent ? 'failed for good' : `failed ${this.#options.maxFailures} times`;
    this.#listener?.taskSetFailed(manager, `${where} ${times}, most recent failure on executor ${attempt.runsOn}: ${withoutHint(error.message)}`, error);
  }

  /** Tasks launched on a lost executor are put back. Those re-dispatched elsewhere are their dispatcher's to keep. */
  executorLost(executorId: string, reason: string): void {
    for (const manager of [...this.#managers]) {
      for (const attempt of manager.running.values()) {
        if (attempt.launchedOn !== executorId) continue;
        this.#byTask.delete(attempt.taskId);
        manager.handleFailure(attempt, 'LOST', false);
        this.#listener?.taskEnded(manager, attempt, 'LOST', new Error(`executor ${executorId} was lost: ${reason}`));
      }
      this.#removeIfFinished(manager);
    }
    this.#listener?.executorLost(executorId, reason);
    this.#backend?.reviveOffers();
  }

  #removeIfFinished(manager: TaskSetManager): void {
    if (!manager.finished) return;
    const at = this.#managers.indexOf(manager);
    if (at >= 0) this.#managers.splice(at, 1);
  }
}

/** The remedy stays with the cause; here it would stand between reason and remedy of the job's own error. */
function withoutHint(message: string): string {
  const at = message.lastIndexOf('\n  hint: ');
  return at < 0 ? message : message.slice(0, at);
}
