import type { Submission } from './contract.ts';
import { FenceMemory } from './fence.ts';
import { TaskEntry } from './task-entry.ts';

/** Which submissions are live, and what is remembered of those that ended. */
export class TaskLedger {
  readonly #tasks = new Map<string, Map<number, TaskEntry>>();
  readonly #fence: FenceMemory;
  #sequence = 0;
  #live = 0;

  constructor(fenceLimit: number) {
    this.#fence = new FenceMemory(fenceLimit);
  }

  get live(): number {
    return this.#live;
  }

  /** Undefined: this task is live already. */
  add({ application, task }: Submission): TaskEntry | undefined {
    let tasks = this.#tasks.get(application);
    if (tasks === undefined) this.#tasks.set(application, (tasks = new Map()));
    if (tasks.has(task.taskId)) return undefined;
    const entry = new TaskEntry(application, task, this.#sequence++, this.#fence.lastEpoch(application, task.taskId));
    tasks.set(task.taskId, entry);
    this.#live++;
    return entry;
  }

  find(application: string, taskId: number): TaskEntry | undefined {
    return this.#tasks.get(application)?.get(taskId);
  }

  /** The highest epoch known of a task, live or ended; 0 when there is none. */
  lastEpoch(application: string, taskId: number): number {
    return this.find(application, taskId)?.epoch ?? this.#fence.lastEpoch(application, taskId);
  }

  /** Forgets a task but for its epoch: the one that ended it, or one higher when no lease it had may end it any more. */
  end(entry: TaskEntry, now: number, by: 'its lease' | 'the dispatcher'): void {
    const { application, task, epoch } = entry;
    entry.transition('ENDED', now, by);
    const tasks = this.#tasks.get(application) as Map<number, TaskEntry>;
    tasks.delete(task.taskId);
    if (tasks.size === 0) this.#tasks.delete(application);
    if (epoch > 0) this.#fence.remember(application, task.taskId, by === 'its lease' ? epoch : epoch + 1);
    this.#live--;
  }

  *entries(): Iterable<TaskEntry> {
    for (const tasks of this.#tasks.values()) yield* tasks.values();
  }
}
