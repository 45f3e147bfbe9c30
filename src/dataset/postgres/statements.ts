/** Steps of the PostgreSQL store. */
import { compareChangeSets, unpackKeys, type ChangeSet } from '../change-set.ts';
import type { DatasetInfo, NewDataset, Snapshot } from '../contract.ts';
import { DATASET_ERRORS } from '../errors.ts';
import { tableOf } from '../versions.ts';
import type { PgClient, PostgresConnections } from './connection.ts';

export interface DatasetRow {
  readonly id: number;
  readonly definition: NewDataset;
}

export function infoOf({ id, definition }: DatasetRow): DatasetInfo {
  return { ...definition, id };
}

/** One statement, so that both are of one moment. */
const SNAPSHOT = "SELECT value, 1 AS counter FROM meta WHERE name = 'version' UNION ALL SELECT version, 0 FROM versions WHERE state <> 'committed'";

export async function readSnapshot(db: PostgresConnections | PgClient): Promise<Snapshot> {
  const result = 'transaction' in db ? await db.query(SNAPSHOT, [], 'snapshot') : (await db.query(SNAPSHOT)).rows;
  let readVersion = 0;
  const excluded: number[] = [];
  for (const { value, counter } of result as { value: string; counter: number }[]) {
    if (counter === 1) readVersion = Number(value);
    else excluded.push(Number(value));
  }
  return { readVersion, excluded: excluded.sort((a, b) => a - b), own: [] };
}

interface WritesRow {
  readonly version: string;
  readonly count: number;
  readonly low: Buffer;
  readonly high: Buffer;
  readonly keys: Buffer | null;
}

export async function changeSetsOf(client: PgClient, versions: readonly number[], dataset: number): Promise<ChangeSet[]> {
  const sql = 'SELECT version, count, low, high, keys FROM writes WHERE dataset = $1 AND version = ANY ($2::bigint[])';
  const { rows } = await client.query<WritesRow>(sql, [dataset, versions]);
  return rows.map((row) => ({ ...row, version: Number(row.version), keys: unpackKeys(row.keys) }));
}

/** Versions that have committed and that the snapshot does not see. */
export async function committedSince(client: PgClient, snapshot: Snapshot): Promise<number[]> {
  const sql = "SELECT version FROM versions WHERE state = 'committed' AND (version > $1 OR version = ANY ($2::bigint[]))";
  const { rows } = await client.query<{ version: string }>(sql, [snapshot.readVersion, snapshot.excluded]);
  return rows.map(({ version }) => Number(version));
}

/** Locks the datasets that the versions wrote, in order, so that two commits never wait for each other in a circle. */
export async function lockDatasets(client: PgClient, versions: readonly number[], more: readonly number[]): Promise<DatasetInfo[]> {
  const sql =
    'SELECT id, definition FROM datasets WHERE id = ANY ($2::int[]) OR id IN (SELECT dataset FROM writes WHERE version = ANY ($1::bigint[])) ORDER BY id FOR NO KEY UPDATE';
  return (await client.query<DatasetRow>(sql, [versions, more])).rows.map(infoOf);
}

/** @throws SP_DATASET_CONFLICT */
export async function checkConflicts(client: PgClient, dataset: DatasetInfo, versions: readonly number[], since: readonly number[]): Promise<void> {
  const { conflicts: level, id, name } = dataset;
  if (level === 'NONE' || since.length === 0) return;
  const [mine, theirs] = [await changeSetsOf(client, versions, id), await changeSetsOf(client, since, id)];
  const found = compareChangeSets(level, mine, theirs);
  if (found === 'conflict' || (await collides(client, dataset, found))) throw DATASET_ERRORS.CONFLICT({ name, what: level === 'COLUMN' ? 'cell' : 'row' });
}

async function collides(client: PgClient, dataset: DatasetInfo, questions: Exclude<ReturnType<typeof compareChangeSets>, 'conflict'>): Promise<boolean> {
  const table = tableOf(dataset.id);
  const cell = dataset.conflicts === 'COLUMN';
  const same = cell ? ' AND t.col = k.c' : '';
  for (const { keys, versions } of questions.probes) {
    const sql = `SELECT 1 FROM unnest($1::bytea[], $2::text[]) AS k(r, c) JOIN ${table} t ON t.row = k.r${same} WHERE t.version = ANY ($3::bigint[]) LIMIT 1`;
    const { rowCount } = await client.query(sql, [keys.map(([row]) => Buffer.from(row)), keys.map(([, column]) => column), versions]);
    if (rowCount === 1) return true;
  }
  for (const { low, high, mine, theirs } of questions.joins) {
    const sql = `SELECT 1 FROM ${table} a JOIN ${table} b ON b.row = a.row${cell ? ' AND b.col = a.col' : ''} WHERE a.version = $1 AND b.version = $2 AND a.row BETWEEN $3 AND $4 LIMIT 1`;
    const { rowCount } = await client.query(sql, [mine, theirs, low, high]);
    if (rowCount === 1) return true;
  }
  return false;
}
