/** Writes of tasks: large ones by COPY straight into the table of the dataset, small ones by one statement. */
import { SparkProxyError } from '../../core/errors.ts';
import { ChangeSetBuilder } from '../change-set.ts';
import type { Cell, DatasetInfo } from '../contract.ts';
import { DATASET_ERRORS } from '../errors.ts';
import { tableOf } from '../versions.ts';
import type { PgClient, PostgresConnections } from './connection.ts';
import { CopyBuffer } from './copy.ts';
import { changeSetsOf } from './statements.ts';

/** Cells below which one INSERT is less work than a COPY. */
const SMALL = 500;
/** Cells of one COPY: kept until it is known that none of them was written before. */
const COPY_CELLS = 65_536;
const MIN_SAMPLED = 64;
const UNIQUE_VIOLATION = '23505';

export function writeCells(db: PostgresConnections, dataset: DatasetInfo, version: number, cells: Iterable<Cell>): Promise<void> {
  return db.transaction(async (client) => {
    // Shared with other writes of the attempt; whoever aborts the version waits, or passes it by.
    const { rowCount } = await client.query("SELECT 1 FROM versions WHERE version = $1 AND state = 'open' FOR SHARE", [version]);
    if (rowCount === 0) throw DATASET_ERRORS.VERSION_CLOSED({ version });
    const changes = ChangeSetBuilder.of((await changeSetsOf(client, [version], dataset.id))[0]);
    const table = tableOf(dataset.id);
    let batch: Cell[] = [];
    const flush = async (): Promise<void> => {
      for (const cell of batch) changes.add(cell);
      if (batch.length < SMALL) await upsert(client, table, version, batch);
      else await copy(db, client, table, version, batch);
      batch = [];
    };
    for (const cell of cells) {
      batch.push(cell);
      if (batch.length >= COPY_CELLS) await flush();
    }
    if (batch.length > 0) await flush();
    await record(client, dataset.id, version, changes);
  });
}

async function copy(db: PostgresConnections, client: PgClient, table: string, version: number, cells: readonly Cell[]): Promise<void> {
  const buffer = new CopyBuffer(version);
  for (const cell of cells) buffer.add(cell);
  await client.query('SAVEPOINT cells');
  try {
    await buffer.send(db, client, table);
    await client.query('RELEASE SAVEPOINT cells');
  } catch (error) {
    if (SparkProxyError.is(error) || (error as { code?: string }).code !== UNIQUE_VIOLATION) throw error;
    // Some cell was written before under this version: the slow way, in order.
    await client.query('ROLLBACK TO SAVEPOINT cells');
    for (let at = 0; at < cells.length; at += SMALL * 8) await upsert(client, table, version, cells.slice(at, at + SMALL * 8));
  }
}

async function upsert(client: PgClient, table: string, version: number, cells: readonly Cell[]): Promise<void> {
  const last = new Map(cells.map((cell) => [`${cell.row.length}:${Buffer.from(cell.row).toString('latin1')}${cell.column}`, cell]));
  const unique = [...last.values()];
  const sql =
    `INSERT INTO ${table} (row, col, version, value) SELECT r, c, $4, v FROM unnest($1::bytea[], $2::text[], $3::bytea[]) AS k(r, c, v) ` +
    'ON CONFLICT (row, col, version) DO UPDATE SET value = excluded.value';
  const bytes = (value: Uint8Array | null): Buffer | null => (value === null ? null : Buffer.from(value));
  await client.query(sql, [unique.map(({ row }) => bytes(row)), unique.map(({ column }) => column), unique.map(({ value }) => bytes(value)), version]);
}

async function record(client: PgClient, dataset: number, version: number, changes: ChangeSetBuilder): Promise<void> {
  if (changes.low === undefined || changes.high === undefined) return;
  const sql =
    'INSERT INTO writes (version, dataset, count, low, high, keys) VALUES ($1, $2, $3, $4, $5, $6) ' +
    'ON CONFLICT (version, dataset) DO UPDATE SET count = excluded.count, low = excluded.low, high = excluded.high, keys = excluded.keys';
  await client.query(sql, [version, dataset, changes.count, changes.low, changes.high, changes.packedKeys()]);
  if (changes.sample.length < MIN_SAMPLED) return;
  const weight = Math.max(1, Math.round(changes.sampledOf / changes.sample.length));
  const samples = 'INSERT INTO samples (dataset, version, row, weight) SELECT $1, $2, r, $3 FROM unnest($4::bytea[]) AS k(r)';
  await client.query(samples, [dataset, version, weight, changes.sample.map((row) => Buffer.from(row))]);
}
