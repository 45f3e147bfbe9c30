import { IdMap } from './id-map.ts';

interface Tasks<T> {
  readonly values: IdMap<T>;
  /** No id above it was ever set: ids mostly rise, and a look-up in a large map misses the cache. */
  highest: number;
}

/** Values by task. Task ids are unique in their application only; a string made of both for each look-up costs more than two look-ups. */
export class ByTask<T> {
  readonly #applications = new Map<string, Tasks<T>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(application: string, taskId: number): T | undefined {
    const tasks = this.#applications.get(application);
    return tasks === undefined || taskId > tasks.highest ? undefined : tasks.values.get(taskId);
  }

  set(application: string, taskId: number, value: T): void {
    let tasks = this.#applications.get(application);
    if (tasks === undefined) this.#applications.set(application, (tasks = { values: new IdMap(), highest: taskId }));
    else if (taskId > tasks.highest) tasks.highest = taskId;
    const { values } = tasks;
    const { size } = values;
    values.set(taskId, value);
    this.#size += values.size - size;
  }

  delete(application: string, taskId: number): void {
    const values = this.#applications.get(application)?.values;
    if (values?.delete(taskId) === undefined) return;
    this.#size--;
    // One may stay: most often it is the only one, and has new tasks soon.
    if (values.size === 0 && this.#applications.size > 1) this.#applications.delete(application);
  }

  *values(): Iterable<T> {
    for (const { values } of this.#applications.values()) yield* values.values();
  }
}
