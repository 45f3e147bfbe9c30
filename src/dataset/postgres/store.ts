/** The store on a server: PostgreSQL 13 and newer. Same tables and rules as the embedded one; rows of tasks come by COPY. */
import type { Cell, DatasetInfo, DatasetStore, KeyBytes, MaintenanceReport, NewDataset, RowRange, Snapshot, StoreSession } from '../contract.ts';
import { DATASET_ERRORS } from '../errors.ts';
import { maintain } from '../maintenance.ts';
import type { StoreAddress } from '../open-store.ts';
import { cutSamples } from '../split.ts';
import { oldestNeeded, tableOf, VisibleCells } from '../versions.ts';
import { numbered, PostgresConnections } from './connection.ts';
import { createTable } from './layout.ts';
import { fence, PostgresSession } from './session.ts';
import { infoOf, readSnapshot, type DatasetRow } from './statements.ts';
import { writeCells } from './write.ts';

const READ_BATCH = 8192;
const MAX_SPLIT_SCAN = 200_000;
/** Connections of a driver, and of a thread that runs tasks. */
const POOL = { driver: 8, task: 2 };

interface StoredCell {
  readonly row: Buffer;
  readonly column: string;
  readonly version: string;
  readonly value: Buffer | null;
}

export async function openPostgresStore(address: StoreAddress, options: { readonly task: boolean }): Promise<DatasetStore> {
  return new PostgresStore(await PostgresConnections.open(address, options.task ? POOL.task : POOL.driver));
}

class PostgresStore implements DatasetStore {
  readonly url: string;
  readonly #db: PostgresConnections;

  constructor(connections: PostgresConnections) {
    this.#db = connections;
    this.url = connections.url;
  }

  create(dataset: NewDataset): Promise<DatasetInfo> {
    const { namespace, name } = dataset;
    return this.#db.transaction(async (client) => {
      const sql = 'INSERT INTO datasets (namespace, name, definition) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING id';
      const { rows } = await client.query<{ id: number }>(sql, [namespace, name, JSON.stringify(dataset)]);
      const id = rows[0]?.id;
      if (id === undefined) throw DATASET_ERRORS.EXISTS({ name });
      await client.query(createTable(tableOf(id)));
      return { ...dataset, id };
    });
  }

  async find(namespace: string, name: string): Promise<DatasetInfo | undefined> {
    const [row] = await this.#db.query<DatasetRow>('SELECT id, definition FROM datasets WHERE namespace = $1 AND name = $2', [namespace, name]);
    return row === undefined ? undefined : infoOf(row);
  }

  async list(namespace?: string): Promise<DatasetInfo[]> {
    const sql = 'SELECT id, definition FROM datasets WHERE $1::text IS NULL OR namespace = $1 ORDER BY namespace COLLATE "C", name COLLATE "C"';
    return (await this.#db.query<DatasetRow>(sql, [namespace ?? null])).map(infoOf);
  }

  drop({ id, name }: DatasetInfo): Promise<void> {
    return this.#db.transaction(async (client) => {
      const { rowCount } = await client.query('DELETE FROM datasets WHERE id = $1', [id]);
      if (rowCount === 0) throw DATASET_ERRORS.NOT_FOUND({ name, store: this.url });
      await client.query(`DROP TABLE ${tableOf(id)}`);
      await client.query('DELETE FROM writes WHERE dataset = $1', [id]);
      await client.query('DELETE FROM samples WHERE dataset = $1', [id]);
    });
  }

  async openSession(options: { readonly name: string; readonly ttlMs: number }): Promise<StoreSession> {
    const epoch = await this.#db.transaction(async (client) => {
      await fence(client, 'another driver of the same name has opened the store', 'name = $2', [options.name]);
      const floor = oldestNeeded(await readSnapshot(client));
      const sql = 'INSERT INTO sessions (name, ttl, beat, floor) VALUES ($1, $2, now(), $3) RETURNING epoch';
      const { rows } = await client.query<{ epoch: string }>(sql, [options.name, Math.round(options.ttlMs), floor]);
      return Number(rows[0]?.epoch);
    });
    return new PostgresSession(this.#db, epoch);
  }

  snapshot(): Promise<Snapshot> {
    return readSnapshot(this.#db);
  }

  async get(dataset: DatasetInfo, row: KeyBytes, snapshot: Snapshot): Promise<Cell[]> {
    const sql =
      `SELECT DISTINCT ON (col) col AS "column", value FROM ${tableOf(dataset.id)} ` +
      'WHERE row = $1 AND (version <= $2 AND version <> ALL ($3::bigint[]) OR version = ANY ($4::bigint[])) ORDER BY col, version DESC';
    const values = [row, snapshot.readVersion, snapshot.excluded, snapshot.own];
    const found = await this.#db.query<{ column: string; value: Buffer | null }>(sql, values, `get_${dataset.id}`);
    return found.flatMap(({ column, value }) => (value === null ? [] : [{ row, column, value }]));
  }

  async *scan(dataset: DatasetInfo, range: RowRange, snapshot: Snapshot): AsyncGenerator<readonly Cell[]> {
    const merge = new VisibleCells(snapshot);
    const select = `SELECT row, col AS "column", version, value FROM ${tableOf(dataset.id)}`;
    const end = range.end === undefined ? [] : [range.end];
    const order = `ORDER BY row, col, version LIMIT ${READ_BATCH}`;
    const below = range.end === undefined ? '' : ' AND row < ?';
    const first = numbered(`${select} WHERE row >= ?${below} ${order}`);
    const next = numbered(`${select} WHERE (row, col, version) > (?, ?, ?)${below} ${order}`);
    let raw = await this.#db.query<StoredCell>(first, [range.start ?? Buffer.alloc(0), ...end]);
    for (;;) {
      const last = raw.at(-1);
      const done = last === undefined || raw.length < READ_BATCH;
      // The next page comes while this one is used.
      const following = done ? undefined : this.#db.query<StoredCell>(next, [last.row, last.column, last.version, ...end]);
      following?.catch(() => undefined);
      const out: Cell[] = [];
      for (const { row, column, version, value } of raw) merge.add({ row, column, version: Number(version), value }, out);
      if (done) merge.end(out);
      if (out.length > 0) yield out;
      if (following === undefined) return;
      raw = await following;
    }
  }

  async split(dataset: DatasetInfo, parts: number): Promise<KeyBytes[]> {
    const sampled = await this.#db.query<{ row: Buffer; weight: number }>('SELECT row, weight FROM samples WHERE dataset = $1', [dataset.id]);
    if (sampled.length > 0) return cutSamples(sampled, parts);
    const rows = await this.#db.query<{ row: Buffer }>(`SELECT DISTINCT row FROM ${tableOf(dataset.id)} ORDER BY row LIMIT ${MAX_SPLIT_SCAN}`, []);
    return cutSamples(
      rows.map(({ row }) => ({ row, weight: 1 })),
      parts,
    );
  }

  write(dataset: DatasetInfo, version: number, cells: Iterable<Cell>): Promise<void> {
    return writeCells(this.#db, dataset, version, cells);
  }

  async unused(dataset: DatasetInfo, versions: readonly number[]): Promise<number[]> {
    const sql =
      "SELECT u.version FROM unnest($1::bigint[]) AS u(version) WHERE NOT EXISTS (SELECT 1 FROM versions v WHERE v.version = u.version AND v.state = 'open') " +
      `AND NOT EXISTS (SELECT 1 FROM ${tableOf(dataset.id)} d WHERE d.version = u.version)`;
    return (await this.#db.query<{ version: string }>(sql, [versions])).map(({ version }) => Number(version));
  }

  maintain(signal?: AbortSignal): Promise<MaintenanceReport> {
    return maintain({
      signal,
      query: (sql, values) => this.#db.query(numbered(sql), values),
      fence: () => this.#db.transaction((client) => fence(client, 'its beats had stopped', "beat + ttl * interval '1 millisecond' < now()", [])),
    });
  }

  close(): Promise<void> {
    return this.#db.close();
  }
}
