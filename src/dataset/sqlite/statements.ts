/** Steps of the SQLite store; each runs inside the caller's transaction. */
import { compareChangeSets, unpackKeys, type ChangeSet, type ChangeSetBuilder } from '../change-set.ts';
import type { Cell, DatasetInfo, KeyBytes, NewDataset, Snapshot } from '../contract.ts';
import { DATASET_ERRORS } from '../errors.ts';
import { tableOf } from '../versions.ts';
import type { SqliteDatabase, SqlRow } from './database.ts';

/** Change sets smaller than this are not sampled. */
const MIN_SAMPLED = 64;

export function readSnapshot(db: SqliteDatabase): Snapshot {
  // One statement, so that both are of one moment.
  const sql = "SELECT value, 1 AS counter FROM meta WHERE name = 'version' UNION ALL SELECT version, 0 FROM versions WHERE state <> 'committed'";
  let readVersion = 0;
  const excluded: number[] = [];
  for (const { value, counter } of db.all(sql) as unknown as { value: number; counter: number }[]) {
    if (counter === 1) readVersion = value;
    else excluded.push(value);
  }
  return { readVersion, excluded: excluded.length > 1 ? excluded.sort((a, b) => a - b) : excluded, own: [] };
}

export function allocate(db: SqliteDatabase, epoch: number, count: number, state: string): number[] {
  const { value } = db.get("UPDATE meta SET value = value + ? WHERE name = 'version' RETURNING value", count) as unknown as { value: number };
  const versions = Array.from({ length: count }, (_, i) => value - count + 1 + i);
  for (const version of versions) db.run('INSERT INTO versions (version, epoch, state) VALUES (?, ?, ?)', version, epoch, state);
  return versions;
}

export function insertCells(db: SqliteDatabase, dataset: number, version: number, cells: Iterable<Cell>, changes: ChangeSetBuilder): void {
  const statement = db.prepare(
    `INSERT INTO ${tableOf(dataset)} (row, col, version, value) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value`,
  );
  for (const cell of cells) {
    statement.run(cell.row, cell.column, version, cell.value);
    changes.add(cell);
  }
}

export function recordWrites(db: SqliteDatabase, dataset: number, version: number, changes: ChangeSetBuilder): void {
  if (changes.low === undefined || changes.high === undefined) return;
  const sql =
    'INSERT INTO writes (version, dataset, count, low, high, keys) VALUES (?, ?, ?, ?, ?, ?) ' +
    'ON CONFLICT DO UPDATE SET count = excluded.count, low = excluded.low, high = excluded.high, keys = excluded.keys';
  db.run(sql, version, dataset, changes.count, changes.low, changes.high, changes.packedKeys());
  if (changes.sample.length < MIN_SAMPLED) return;
  const weight = Math.max(1, Math.round(changes.sampledOf / changes.sample.length));
  for (const row of changes.sample) db.run('INSERT INTO samples (dataset, version, row, weight) VALUES (?, ?, ?, ?)', dataset, version, row, weight);
}

interface WritesRow {
  readonly version: number;
  readonly count: number;
  readonly low: KeyBytes;
  readonly high: KeyBytes;
  readonly keys: Uint8Array | null;
}

export function changeSetsOf(db: SqliteDatabase, versions: readonly number[], dataset: number): ChangeSet[] {
  if (versions.length === 0) return [];
  const sql = 'SELECT version, count, low, high, keys FROM writes WHERE dataset = ? AND version IN (SELECT value FROM json_each(?))';
  const rows = db.all(sql, dataset, JSON.stringify(versions)) as unknown as WritesRow[];
  return rows.map((row) => ({ ...row, keys: unpackKeys(row.keys) }));
}

export function infoOf(row: SqlRow): DatasetInfo {
  const { id, definition } = row as unknown as { id: number; definition: string };
  return { ...(JSON.parse(definition) as NewDataset), id };
}

export function datasetsWritten(db: SqliteDatabase, versions: readonly number[]): DatasetInfo[] {
  const sql = 'SELECT id, definition FROM datasets WHERE id IN (SELECT dataset FROM writes WHERE version IN (SELECT value FROM json_each(?)))';
  return versions.length === 0 ? [] : db.all(sql, JSON.stringify(versions)).map(infoOf);
}

/** Versions that have committed and that the snapshot does not see. */
export function committedSince(db: SqliteDatabase, snapshot: Snapshot): number[] {
  const sql =
    snapshot.excluded.length === 0
      ? "SELECT version FROM versions WHERE version > ? AND state = 'committed'"
      : "SELECT version FROM versions WHERE (version > ? OR version IN (SELECT value FROM json_each(?))) AND state = 'committed'";
  const values = snapshot.excluded.length === 0 ? [snapshot.readVersion] : [snapshot.readVersion, JSON.stringify(snapshot.excluded)];
  return (db.all(sql, ...values) as unknown as { version: number }[]).map(({ version }) => version);
}

/** @throws SP_DATASET_CONFLICT */
export function checkConflicts(db: SqliteDatabase, dataset: DatasetInfo, mine: readonly ChangeSet[], since: readonly number[]): void {
  const { conflicts: level, id, name } = dataset;
  if (level === 'NONE' || mine.length === 0 || since.length === 0) return;
  const found = compareChangeSets(level, mine, changeSetsOf(db, since, id));
  if (found === 'conflict' || collides(db, dataset, found)) throw DATASET_ERRORS.CONFLICT({ name, what: level === 'COLUMN' ? 'cell' : 'row' });
}

function collides(
  db: SqliteDatabase,
  { conflicts: level, id }: DatasetInfo,
  { probes, joins }: Exclude<ReturnType<typeof compareChangeSets>, 'conflict'>,
): boolean {
  const table = tableOf(id);
  const cell = level === 'COLUMN';
  for (const { keys, versions } of probes) {
    const sql = `SELECT 1 FROM ${table} WHERE row = ?1${cell ? ' AND col = ?2' : ' AND ?2 IS NOT NULL'} AND version IN (SELECT value FROM json_each(?3)) LIMIT 1`;
    const list = JSON.stringify(versions);
    if (keys.some(([row, column]) => db.get(sql, row, column, list) !== undefined)) return true;
  }
  for (const { low, high, mine, theirs } of joins) {
    const sql = `SELECT 1 FROM ${table} a JOIN ${table} b ON b.row = a.row${cell ? ' AND b.col = a.col' : ''} AND b.version = ? WHERE a.row >= ? AND a.row <= ? AND a.version = ? LIMIT 1`;
    if (db.get(sql, theirs, low, high, mine) !== undefined) return true;
  }
  return false;
}
