/** What a version wrote of a dataset, in bounded space, and whether two of them collide; Tephra's change sets. */
import { packValue, unpackValue } from '../protocol/columns.ts';
import type { Cell, ConflictLevel, KeyBytes } from './contract.ts';
import { compareKeys } from './versions.ts';

/** Cells named one by one; larger change sets keep their bounds only, and the table itself is asked. */
export const MAX_KEYS = 256;
/** Rows sampled of a large change set, to cut datasets into ranges. */
const MAX_SAMPLE = 64;

export type CellKey = readonly [row: KeyBytes, column: string];

export interface ChangeSet {
  readonly version: number;
  readonly count: number;
  readonly low: KeyBytes;
  readonly high: KeyBytes;
  /** undefined: too many to name. */
  readonly keys: readonly CellKey[] | undefined;
}

/** Gathers what is written, in one pass: every row counts for bounds, a systematic sample for splits. */
export class ChangeSetBuilder {
  count = 0;
  low: KeyBytes | undefined;
  high: KeyBytes | undefined;
  keys: CellKey[] | undefined = [];
  /** Rows of this call only: earlier ones were recorded before. */
  sample: KeyBytes[] = [];
  sampledOf = 0;
  #step = 1;

  /** Continues what was written before. */
  static of(before: ChangeSet | undefined): ChangeSetBuilder {
    const builder = new ChangeSetBuilder();
    if (before !== undefined) Object.assign(builder, { count: before.count, low: before.low, high: before.high, keys: before.keys && [...before.keys] });
    return builder;
  }

  add(cell: Cell): void {
    const { row } = cell;
    if (this.low === undefined || compareKeys(row, this.low) < 0) this.low = row;
    if (this.high === undefined || compareKeys(row, this.high) > 0) this.high = row;
    if (this.keys !== undefined) {
      if (this.keys.length < MAX_KEYS) this.keys.push([row, cell.column]);
      else this.keys = undefined;
    }
    this.count += 1;
    if (this.sampledOf++ % this.#step === 0) {
      this.sample.push(row);
      if (this.sample.length >= MAX_SAMPLE * 2) {
        this.sample = this.sample.filter((_, i) => i % 2 === 0);
        this.#step *= 2;
      }
    }
  }

  /** Nothing, when nothing was written. */
  changeSets(version: number): ChangeSet[] {
    const { low, high, count, keys } = this;
    return low === undefined || high === undefined ? [] : [{ version, count, low, high, keys }];
  }

  packedKeys(): Uint8Array | null {
    return this.keys === undefined ? null : packValue(this.keys);
  }
}

export function unpackKeys(packed: Uint8Array | null): readonly CellKey[] | undefined {
  return packed === null ? undefined : (unpackValue(packed) as CellKey[]);
}

/** What must be looked up in the table to know whether two sides collide. */
export interface ConflictQuestions {
  /** Whether any of these cells has one of these versions. */
  readonly probes: readonly { readonly keys: readonly CellKey[]; readonly versions: readonly number[] }[];
  /** Whether any row (or cell) of the range has versions of both. */
  readonly joins: readonly { readonly low: KeyBytes; readonly high: KeyBytes; readonly mine: number; readonly theirs: number }[];
}

/** 'conflict' when it is certain, otherwise what is to be asked. */
export function compareChangeSets(level: ConflictLevel, mine: readonly ChangeSet[], theirs: readonly ChangeSet[]): 'conflict' | ConflictQuestions {
  const probes: { keys: readonly CellKey[]; versions: number[] }[] = [];
  const joins: { low: KeyBytes; high: KeyBytes; mine: number; theirs: number }[] = [];
  if (level === 'NONE') return { probes, joins };
  const identity = ([row, column]: CellKey): string => `${row.length}:${Buffer.from(row).toString('latin1')}${level === 'COLUMN' ? column : ''}`;
  const small = new Set(mine.flatMap((set) => set.keys?.map(identity) ?? []));
  for (const other of theirs) {
    if (other.keys?.some((key) => small.has(identity(key))) === true) return 'conflict';
    for (const set of mine) {
      const overlap = compareKeys(set.low, other.high) <= 0 && compareKeys(other.low, set.high) <= 0;
      if (!overlap || (set.keys !== undefined && other.keys !== undefined)) continue;
      if (other.keys !== undefined) probes.push({ keys: other.keys, versions: [set.version] });
      else if (set.keys !== undefined) probes.push({ keys: set.keys, versions: [other.version] });
      else {
        const low = compareKeys(set.low, other.low) > 0 ? set.low : other.low;
        const high = compareKeys(set.high, other.high) < 0 ? set.high : other.high;
        joins.push({ low, high, mine: set.version, theirs: other.version });
      }
    }
  }
  return { probes, joins };
}
