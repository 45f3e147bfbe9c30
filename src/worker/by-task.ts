/** Values by task. Task ids are unique in their application only; a string made of both for each look-up costs more than two maps. */
export class ByTask<T> {
  readonly #applications = new Map<string, Map<number, T>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(application: string, taskId: number): T | undefined {
    return this.#applications.get(application)?.get(taskId);
  }

  set(application: string, taskId: number, value: T): void {
    let tasks = this.#applications.get(application);
    if (tasks === undefined) this.#applications.set(application, (tasks = new Map()));
    const { size } = tasks;
    tasks.set(taskId, value);
    this.#size += tasks.size - size;
  }

  delete(application: string, taskId: number): void {
    const tasks = this.#applications.get(application);
    if (tasks?.delete(taskId) !== true) return;
    this.#size--;
    if (tasks.size === 0) this.#applications.delete(application);
  }

  *values(): Iterable<T> {
    for (const tasks of this.#applications.values()) yield* tasks.values();
  }
}
