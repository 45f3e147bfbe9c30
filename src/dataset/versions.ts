/** What a snapshot sees of cells that are kept in several versions. */
import type { Cell, KeyBytes, Snapshot } from './contract.ts';

/** Table that keeps the cells of a dataset. */
export function tableOf(dataset: number): string {
  return `d_${dataset}`;
}

/** A cell as a store keeps it. */
export interface VersionedCell extends Cell {
  readonly version: number;
}

/** Whether a snapshot sees a version; built once for many questions. */
export function visibility(snapshot: Snapshot): (version: number) => boolean {
  const { readVersion } = snapshot;
  const excluded = new Set(snapshot.excluded);
  const own = new Set(snapshot.own);
  if (own.size === 0 && excluded.size === 0) return (version) => version <= readVersion;
  return (version) => own.has(version) || (version <= readVersion && !excluded.has(version));
}

/** The oldest version that the snapshot might need to tell from newer ones: all below are settled for it. */
export function oldestNeeded(snapshot: Snapshot): number {
  return Math.min(snapshot.readVersion + 1, snapshot.excluded[0] ?? Infinity);
}

export function withOwn(snapshot: Snapshot, versions: readonly number[]): Snapshot {
  return versions.length === 0 ? snapshot : { ...snapshot, own: [...snapshot.own, ...versions] };
}

export function compareKeys(a: KeyBytes, b: KeyBytes): number {
  return Buffer.compare(a, b);
}

/** Takes cells in order of (row, column, version) and gives the newest visible one of each; tombstones hide. */
export class VisibleCells {
  readonly #visible: (version: number) => boolean;
  #candidate: VersionedCell | undefined;

  constructor(snapshot: Snapshot) {
    this.#visible = visibility(snapshot);
  }

  add(cell: VersionedCell, out: Cell[]): void {
    if (!this.#visible(cell.version)) return;
    const last = this.#candidate;
    if (last !== undefined && (last.column !== cell.column || compareKeys(last.row, cell.row) !== 0)) this.end(out);
    this.#candidate = cell;
  }

  end(out: Cell[]): void {
    const cell = this.#candidate;
    if (cell !== undefined && cell.value !== null) out.push(cell);
    this.#candidate = undefined;
  }
}
