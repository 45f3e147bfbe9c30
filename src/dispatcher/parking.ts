import type { ParkedTask } from './contract.ts';
import type { TaskEntry } from './task-entry.ts';

/** Parked tasks whose story is kept; the oldest goes first. */
const MAX_PARKED = 1000;

const keyOf = (application: string, taskId: number): string => `${taskId} ${application}`;

/** Tasks that were lost on too many workers, with the story of each. Held ones wait here for an operator. */
export class ParkingLot {
  readonly #parked = new Map<string, { readonly told: ParkedTask; readonly entry: TaskEntry | undefined }>();

  /** Returns a held task that had to make room. */
  add(entry: TaskEntry, now: number, held: boolean): { readonly told: ParkedTask; readonly evicted: TaskEntry | undefined } {
    const { application, task, history } = entry;
    const told: ParkedTask = { application, taskId: task.taskId, name: task.name, parkedMs: now, held, leases: history };
    const key = keyOf(application, task.taskId);
    this.#parked.delete(key);
    this.#parked.set(key, { told, entry: held ? entry : undefined });
    if (this.#parked.size <= MAX_PARKED) return { told, evicted: undefined };
    const [oldest, { entry: evicted }] = this.#parked.entries().next().value as [string, { entry: TaskEntry | undefined }];
    this.#parked.delete(oldest);
    return { told, evicted };
  }

  /** Forgets it; the task, if it is held. */
  remove(application: string, taskId: number): TaskEntry | undefined {
    const key = keyOf(application, taskId);
    const entry = this.#parked.get(key)?.entry;
    this.#parked.delete(key);
    return entry;
  }

  list(): ParkedTask[] {
    return [...this.#parked.values()].map(({ told }) => told);
  }

  /** Its application has gone: nobody will ask. */
  dropApplication(application: string): void {
    for (const [key, { told }] of this.#parked) if (told.application === application) this.#parked.delete(key);
  }
}
