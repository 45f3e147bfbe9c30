/** Clean-up of a store, in short steps that other work can go between; any number of drivers may do it at once. */
import { setTimeout as wait } from 'node:timers/promises';
import { unpackKeys } from './change-set.ts';
import type { KeyBytes, MaintenanceReport } from './contract.ts';
import { compareKeys, tableOf } from './versions.ts';

/** Rows of one step. */
const WINDOW = 2000;
/** Pause after a step, in times of what it took: clean-up takes a small share of the thread and of the store. */
const PAUSE = 4;
const MAX_PAUSE_MS = 200;
/** Sampled rows a dataset keeps. */
const MAX_SAMPLES = 2048;

export interface MaintenanceStore {
  /** One statement, committed at once; `?` are the values. */
  query(sql: string, values: readonly unknown[]): Promise<readonly Readonly<Record<string, never>>[]>;
  /** Fences sessions whose beats have stopped. */
  fence(): Promise<number>;
  /** Ends the clean-up between two steps; what is left is done another time. */
  readonly signal?: AbortSignal | undefined;
}

interface Area {
  low: KeyBytes | undefined;
  high: KeyBytes | undefined;
  readonly keys: [KeyBytes, string][];
  readonly aborted: Set<number>;
}

interface WritesRow {
  readonly version: string | number;
  readonly dataset: number;
  readonly state: string;
  readonly low: KeyBytes;
  readonly high: KeyBytes;
  readonly keys: Uint8Array | null;
}

export async function maintain(store: MaintenanceStore): Promise<MaintenanceReport> {
  const { query, signal } = store;
  const fencedSessions = await store.fence();
  const [bounds] = (await query(
    "SELECT (SELECT min(floor) FROM sessions WHERE fenced IS NULL) AS floor, (SELECT min(version) FROM versions WHERE state = 'open') AS opened, " +
      "(SELECT value + 1 FROM meta WHERE name = 'version') AS next",
    [],
  )) as unknown as [{ floor: string | number | null; opened: string | number | null; next: string | number }];
  const floor = Math.min(...[bounds.floor, bounds.opened, bounds.next].flatMap((bound) => (bound === null ? [] : [Number(bound)])));
  const settled = "(v.state = 'aborted' OR (v.state = 'committed' AND v.version < ?))";
  const written = (await query(
    `SELECT w.version, w.dataset, v.state, w.low, w.high, w.keys FROM writes w JOIN versions v ON v.version = w.version WHERE ${settled} ORDER BY w.version LIMIT 5000`,
    [floor],
  )) as unknown as WritesRow[];
  let prunedCells = 0;
  for (const [dataset, area] of areas(written)) {
    const pruned = await clean(store, dataset, area, floor);
    if (pruned === undefined) continue;
    prunedCells += pruned;
    for (const { version } of written.filter((one) => one.dataset === dataset)) {
      await query('DELETE FROM writes WHERE version = ? AND dataset = ?', [version, dataset]);
    }
  }
  if (signal?.aborted === true) return { fencedSessions, purgedVersions: 0, prunedCells };
  const gone = `version IN (SELECT v.version FROM versions v WHERE ${settled} AND NOT EXISTS (SELECT 1 FROM writes w WHERE w.version = v.version))`;
  const removed = (await query(`DELETE FROM versions WHERE ${gone} RETURNING state`, [floor])) as unknown as { state: string }[];
  await query('DELETE FROM sessions WHERE fenced IS NOT NULL AND NOT EXISTS (SELECT 1 FROM versions v WHERE v.epoch = sessions.epoch)', []);
  return { fencedSessions, purgedVersions: removed.filter(({ state }) => state === 'aborted').length, prunedCells };
}

/** What of each dataset is to be looked at: single cells, and one range around the large change sets. */
function areas(written: readonly WritesRow[]): Map<number, Area> {
  const found = new Map<number, Area>();
  for (const { version, dataset, state, low, high, keys } of written) {
    let area = found.get(dataset);
    if (area === undefined) found.set(dataset, (area = { low: undefined, high: undefined, keys: [], aborted: new Set() }));
    if (state === 'aborted') area.aborted.add(Number(version));
    const named = unpackKeys(keys);
    if (named !== undefined) for (const [row, column] of named) area.keys.push([row, column]);
    else {
      if (area.low === undefined || compareKeys(low, area.low) < 0) area.low = low;
      if (area.high === undefined || compareKeys(high, area.high) > 0) area.high = high;
    }
  }
  return found;
}

/** Cells removed; undefined when it was ended before it was done. */
async function clean({ query, signal }: MaintenanceStore, dataset: number, area: Area, floor: number): Promise<number | undefined> {
  const exists = await query('SELECT id FROM datasets WHERE id = ?', [dataset]);
  if (exists.length === 0) return 0;
  const table = tableOf(dataset);
  let removed = 0;
  const remove = async (where: string, values: readonly unknown[]): Promise<void> => {
    const start = performance.now();
    const aborted = [...area.aborted];
    if (aborted.length > 0) {
      const list = aborted.map(() => '?').join();
      removed += (await query(`DELETE FROM ${table} WHERE ${where} AND version IN (${list}) RETURNING 1 AS one`, [...values, ...aborted])).length;
    }
    // Where every cell has one version there is nothing to remove, and nobody needs to be kept waiting by a DELETE.
    const several = `SELECT 1 AS one FROM ${table} WHERE ${where} AND version < ? GROUP BY row, col HAVING count(*) > 1 OR count(value) < count(*) LIMIT 1`;
    if ((await query(several, [...values, floor])).length > 0) {
      // Superseded below the floor; then what is left below it is the newest: a tombstone there hides nothing any more.
      const newer = `EXISTS (SELECT 1 FROM ${table} n WHERE n.row = ${table}.row AND n.col = ${table}.col AND n.version > ${table}.version AND n.version < ?)`;
      removed += (await query(`DELETE FROM ${table} WHERE ${where} AND version < ? AND ${newer} RETURNING 1 AS one`, [...values, floor, floor])).length;
      const older = `EXISTS (SELECT 1 FROM ${table} o WHERE o.row = ${table}.row AND o.col = ${table}.col AND o.version < ${table}.version)`;
      removed += (await query(`DELETE FROM ${table} WHERE ${where} AND version < ? AND value IS NULL AND NOT ${older} RETURNING 1 AS one`, [...values, floor]))
        .length;
    }
    await wait(Math.min(MAX_PAUSE_MS, PAUSE * (performance.now() - start)));
  };
  const seen = new Set<string>();
  for (const [row, column] of area.keys) {
    const identity = `${row.length}:${Buffer.from(row).toString('latin1')}${column}`;
    if (seen.has(identity)) continue;
    seen.add(identity);
    if (signal?.aborted === true) return undefined;
    await remove('row = ? AND col = ?', [row, column]);
  }
  let low = area.low;
  while (low !== undefined) {
    if (signal?.aborted === true) return undefined;
    const [next] = (await query(`SELECT row FROM ${table} WHERE row > ? ORDER BY row LIMIT 1 OFFSET ${WINDOW}`, [low])) as unknown as [
      { row: KeyBytes } | undefined,
    ];
    const end: KeyBytes | undefined = next === undefined || compareKeys(next.row, area.high as KeyBytes) > 0 ? undefined : next.row;
    if (end === undefined) await remove('row >= ? AND row <= ?', [low, area.high]);
    else await remove('row >= ? AND row < ?', [low, end]);
    low = end;
  }
  const dead = [...area.aborted];
  if (dead.length > 0) await query(`DELETE FROM samples WHERE dataset = ? AND version IN (${dead.map(() => '?').join()})`, [dataset, ...dead]);
  await thin(query, dataset);
  return removed;
}

/** Keeps every second sampled row, at twice its weight, while there are too many. */
async function thin(query: MaintenanceStore['query'], dataset: number): Promise<void> {
  const [counted] = (await query('SELECT count(*) AS n FROM samples WHERE dataset = ?', [dataset])) as unknown as [{ n: string | number }];
  if (Number(counted.n) <= MAX_SAMPLES) return;
  const ranked = 'SELECT version, row, row_number() OVER (ORDER BY row) AS place FROM samples WHERE dataset = ?';
  await query(`DELETE FROM samples WHERE dataset = ? AND (version, row) IN (SELECT version, row FROM (${ranked}) r WHERE place % 2 = 0)`, [dataset, dataset]);
  await query('UPDATE samples SET weight = weight * 2 WHERE dataset = ?', [dataset]);
}
