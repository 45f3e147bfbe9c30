/** Which executors hold which cached partition; the driver's side of Spark's BlockManagerMaster. */
export class BlockLocations {
  readonly #holders = new Map<string, Set<string>>();

  add(blockId: string, executorId: string): void {
    const holders = this.#holders.get(blockId);
    if (holders === undefined) this.#holders.set(blockId, new Set([executorId]));
    else holders.add(executorId);
  }

  locations(blockId: string): string[] {
    return [...(this.#holders.get(blockId) ?? [])];
  }

  removeExecutor(executorId: string): void {
    for (const holders of this.#holders.values()) holders.delete(executorId);
  }

  /** Forgets blocks whose id begins with `prefix`. */
  remove(prefix: string): void {
    for (const id of this.#holders.keys()) if (id.startsWith(prefix)) this.#holders.delete(id);
  }
}
