import type { MapStatus } from '../shuffle/map-output.ts';

/** Which map outputs exist, and where; Spark's MapOutputTrackerMaster. */
export class MapOutputTracker {
  readonly #shuffles = new Map<number, (MapStatus | undefined)[]>();

  register(shuffleId: number, numMaps: number): void {
    if (!this.#shuffles.has(shuffleId)) this.#shuffles.set(shuffleId, new Array<MapStatus | undefined>(numMaps).fill(undefined));
  }

  add(shuffleId: number, mapIndex: number, status: MapStatus): void {
    const statuses = this.#shuffles.get(shuffleId);
    if (statuses !== undefined) statuses[mapIndex] = status;
  }

  /** Map tasks without output. */
  missing(shuffleId: number): number[] {
    return (this.#shuffles.get(shuffleId) ?? []).flatMap((status, index) => (status === undefined ? [index] : []));
  }

  /** All outputs of a shuffle that is complete. */
  statuses(shuffleId: number): readonly MapStatus[] {
    return (this.#shuffles.get(shuffleId) ?? []) as MapStatus[];
  }

  removeOutput(shuffleId: number, mapIndex: number, executorId: string): void {
    const statuses = this.#shuffles.get(shuffleId);
    if (statuses?.[mapIndex]?.executorId === executorId) statuses[mapIndex] = undefined;
  }

  /** Drops everything that lived on an executor; tells whether there was something. */
  removeOutputsOnExecutor(executorId: string): boolean {
    let any = false;
    for (const statuses of this.#shuffles.values()) {
      statuses.forEach((status, index) => {
        if (status?.executorId !== executorId) return;
        statuses[index] = undefined;
        any = true;
      });
    }
    return any;
  }
}
