import type { Clock } from '../core/clock.ts';
import { IdMap } from '../core/id-map.ts';
import type { TaskInfo } from '../protocol/admin.ts';
import type { TaskDescription } from '../protocol/task.ts';
import type { TaskObserver } from './local.ts';

/** Tasks that have ended and are remembered. */
const MAX_ENDED = 10_000;
/** Characters kept of a task's name. */
const MAX_NAME = 200;

interface Known {
  readonly application: string;
  readonly taskId: number;
  readonly name: string;
  readonly submittedAt: number;
  state: TaskInfo['state'];
  worker: string;
  ms: number;
}

interface Counts {
  live: number;
  finished: number;
  failed: number;
}

/** Where each task ran: all that live, and the last ten thousand that have ended, oldest first out. */
export class TaskHistory implements TaskObserver {
  readonly #clock: Clock;
  readonly #live = new Map<string, IdMap<Known>>();
  readonly #counts = new Map<string, Counts>();
  readonly #ended: Known[] = [];
  #next = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  submitted(application: string, tasks: readonly TaskDescription[]): void {
    let live = this.#live.get(application);
    if (live === undefined) this.#live.set(application, (live = new IdMap()));
    for (const { taskId, name } of tasks) {
      if (live.has(taskId)) continue;
      live.set(taskId, { application, taskId, name: name.slice(0, MAX_NAME), submittedAt: this.#clock.now(), state: 'WAITING', worker: '', ms: 0 });
      this.#count(application).live++;
    }
  }

  reported(application: string, taskId: number, state: string, workerId: string): void {
    const live = this.#live.get(application);
    const task = live?.get(taskId);
    if (live === undefined || task === undefined) return;
    task.state = state as TaskInfo['state'];
    task.worker = workerId;
    if (state === 'RUNNING') return;
    const counts = this.#count(application);
    counts.live--;
    if (state === 'FINISHED') counts.finished++;
    else counts.failed++;
    live.delete(taskId);
    this.#end(task);
  }

  handedBack(application: string, tasks: readonly TaskDescription[]): void {
    const live = this.#live.get(application);
    for (const { taskId } of tasks) {
      const task = live?.get(taskId);
      if (task === undefined) continue;
      live?.delete(taskId);
      this.#count(application).live--;
      task.state = 'LOST';
      this.#end(task);
    }
  }

  detached(application: string): void {
    for (const task of this.#live.get(application)?.values() ?? []) {
      task.state = 'KILLED';
      this.#end(task);
    }
    this.#live.delete(application);
    this.#counts.delete(application);
  }

  counts(application: string): Readonly<Counts> {
    return this.#counts.get(application) ?? { live: 0, finished: 0, failed: 0 };
  }

  /** Newest first: those that live, then those that have ended. */
  tasks(limit: number, application?: string): Omit<TaskInfo, 'host'>[] {
    const now = this.#clock.now();
    const found: Omit<TaskInfo, 'host'>[] = [];
    const add = ({ submittedAt, ms, ...task }: Known, live: boolean): void => {
      if (application === undefined || task.application === application) found.push({ ...task, ms: Math.round(live ? now - submittedAt : ms) });
    };
    for (const tasks of this.#live.values()) {
      for (const task of tasks.values()) {
        if (found.length >= limit) return found;
        add(task, true);
      }
    }
    for (let i = 0; i < this.#ended.length && found.length < limit; i++) {
      add(this.#ended[(this.#next - 1 - i + 2 * this.#ended.length) % this.#ended.length] as Known, false);
    }
    return found;
  }

  #count(application: string): Counts {
    let counts = this.#counts.get(application);
    if (counts === undefined) this.#counts.set(application, (counts = { live: 0, finished: 0, failed: 0 }));
    return counts;
  }

  #end(task: Known): void {
    task.ms = this.#clock.now() - task.submittedAt;
    if (this.#ended.length < MAX_ENDED) {
      this.#ended.push(task);
      this.#next = this.#ended.length % MAX_ENDED;
    } else {
      this.#ended[this.#next] = task;
      this.#next = (this.#next + 1) % MAX_ENDED;
    }
  }
}
