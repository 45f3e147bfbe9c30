/** The embedded store: one SQLite file in WAL mode, opened by the driver and by every worker of its machine. */
import { resolve } from 'node:path';
import { systemClock, type Clock } from '../../core/clock.ts';
import type { Random } from '../../core/ids.ts';
import { ChangeSetBuilder } from '../change-set.ts';
import type { Cell, DatasetInfo, DatasetStore, KeyBytes, MaintenanceReport, NewDataset, RowRange, Snapshot, StoreSession } from '../contract.ts';
import { DATASET_ERRORS } from '../errors.ts';
import { cutSamples } from '../split.ts';
import { oldestNeeded, tableOf, VisibleCells, visibility, type VersionedCell } from '../versions.ts';
import { SqliteDatabase, type SqlValue } from './database.ts';
import { maintain } from '../maintenance.ts';
import { inKeyOrder } from './order.ts';
import { fence, SqliteSession } from './session.ts';
import { changeSetsOf, infoOf, insertCells, readSnapshot, recordWrites } from './statements.ts';

/** Cells put in order before they are written. */
const CHUNK = 131_072;
/** And at most so many bytes of them. */
const CHUNK_BYTES = 32 << 20;
/** Cells a write transaction takes at most, so that others get their turn. */
const WRITE_BATCH = 16_384;
const READ_BATCH = 4096;
/** Rows looked at to cut a dataset that only small transactions have written. */
const MAX_SPLIT_SCAN = 200_000;

export interface SqliteOptions {
  readonly clock?: Clock;
  readonly random?: Random;
  /** A task's connection: commits need not reach the disk before the driver's does. */
  readonly relaxed?: boolean;
}

export async function openSqliteStore(path: string, options: SqliteOptions = {}): Promise<DatasetStore> {
  const { clock = systemClock, random = Math.random, relaxed = false } = options;
  const database = await SqliteDatabase.open(resolve(path), clock, random);
  if (relaxed) database.relax();
  return new SqliteStore(database, clock);
}

class SqliteStore implements DatasetStore {
  readonly url: string;
  readonly #db: SqliteDatabase;
  readonly #clock: Clock;

  constructor(database: SqliteDatabase, clock: Clock) {
    this.#db = database;
    this.#clock = clock;
    this.url = `sqlite:${database.path}`;
  }

  create(dataset: NewDataset): Promise<DatasetInfo> {
    const db = this.#db;
    return db.write(() => {
      const { namespace, name } = dataset;
      if (db.get('SELECT id FROM datasets WHERE namespace = ? AND name = ?', namespace, name) !== undefined) throw DATASET_ERRORS.EXISTS({ name });
      const sql = 'INSERT INTO datasets (namespace, name, definition) VALUES (?, ?, ?) RETURNING id';
      const { id } = db.get(sql, namespace, name, JSON.stringify(dataset)) as unknown as { id: number };
      db.exec(
        `CREATE TABLE ${tableOf(id)} (row BLOB NOT NULL, col TEXT NOT NULL, version INTEGER NOT NULL, value BLOB, PRIMARY KEY (row, col, version)) WITHOUT ROWID`,
      );
      return { ...dataset, id };
    });
  }

  find(namespace: string, name: string): Promise<DatasetInfo | undefined> {
    return this.#db.retry(() => {
      const row = this.#db.get('SELECT id, definition FROM datasets WHERE namespace = ? AND name = ?', namespace, name);
      return row === undefined ? undefined : infoOf(row);
    });
  }

  list(namespace?: string): Promise<DatasetInfo[]> {
    const sql = 'SELECT id, definition FROM datasets WHERE ?1 IS NULL OR namespace = ?1 ORDER BY namespace, name';
    return this.#db.retry(() => this.#db.all(sql, namespace ?? null).map(infoOf));
  }

  drop({ id, name }: DatasetInfo): Promise<void> {
    const db = this.#db;
    return db.write(() => {
      if (db.run('DELETE FROM datasets WHERE id = ?', id) === 0) throw DATASET_ERRORS.NOT_FOUND({ name, store: this.url });
      db.exec(`DROP TABLE ${tableOf(id)}`);
      db.run('DELETE FROM writes WHERE dataset = ?', id);
      db.run('DELETE FROM samples WHERE dataset = ?', id);
    });
  }

  async openSession(options: { readonly name: string; readonly ttlMs: number }): Promise<StoreSession> {
    const db = this.#db;
    const epoch = await db.write(() => {
      fence(db, 'another driver of the same name has opened the store', 'name = ?', options.name);
      const sql = 'INSERT INTO sessions (name, ttl, beat, floor) VALUES (?, ?, ?, ?) RETURNING epoch';
      return (db.get(sql, options.name, options.ttlMs, this.#clock.wallTime(), oldestNeeded(readSnapshot(db))) as unknown as { epoch: number }).epoch;
    });
    return new SqliteSession(db, epoch, this.#clock);
  }

  snapshot(): Promise<Snapshot> {
    return this.#db.retry(() => readSnapshot(this.#db));
  }

  get(dataset: DatasetInfo, row: KeyBytes, snapshot: Snapshot): Promise<Cell[]> {
    return this.#db.retry(() => {
      // Newest first: the first visible version of each column is the one.
      const sql = `SELECT row, col AS "column", version, value FROM ${tableOf(dataset.id)} WHERE row = ? ORDER BY col DESC, version DESC`;
      const visible = visibility(snapshot);
      const cells: Cell[] = [];
      let settled: string | undefined;
      for (const raw of this.#db.prepare(sql).iterate(row)) {
        const { column, version, value } = raw as unknown as VersionedCell;
        if (column === settled || !visible(version)) continue;
        settled = column;
        if (value !== null) cells.push({ row, column, value });
        // Kinds without columns have this one only.
        if (column === '') break;
      }
      return cells.reverse();
    });
  }

  async *scan(dataset: DatasetInfo, range: RowRange, snapshot: Snapshot): AsyncGenerator<readonly Cell[]> {
    const table = tableOf(dataset.id);
    const merge = new VisibleCells(snapshot);
    const end = range.end === undefined ? '' : ' AND row < ?';
    const ends = range.end === undefined ? [] : [range.end];
    const first = `SELECT row, col AS "column", version, value FROM ${table} WHERE row >= ?${end} ORDER BY row, col, version LIMIT ${READ_BATCH}`;
    const next = `SELECT row, col AS "column", version, value FROM ${table} WHERE (row, col, version) > (?, ?, ?)${end} ORDER BY row, col, version LIMIT ${READ_BATCH}`;
    let raw = await this.#db.retry(() => this.#db.all(first, range.start ?? new Uint8Array(), ...ends) as unknown as VersionedCell[]);
    for (;;) {
      const out: Cell[] = [];
      for (const stored of raw) merge.add(stored, out);
      const last = raw.at(-1);
      if (last === undefined || raw.length < READ_BATCH) merge.end(out);
      if (out.length > 0) yield out;
      if (last === undefined || raw.length < READ_BATCH) return;
      raw = await this.#db.retry(() => this.#db.all(next, last.row, last.column, last.version, ...ends) as unknown as VersionedCell[]);
    }
  }

  split(dataset: DatasetInfo, parts: number): Promise<KeyBytes[]> {
    return this.#db.retry(() => {
      const sampled = this.#db.all('SELECT row, weight FROM samples WHERE dataset = ?', dataset.id) as unknown as { row: KeyBytes; weight: number }[];
      if (sampled.length > 0) return cutSamples(sampled, parts);
      const rows = this.#db.all(`SELECT DISTINCT row FROM ${tableOf(dataset.id)} ORDER BY row LIMIT ${MAX_SPLIT_SCAN}`) as unknown as { row: KeyBytes }[];
      return cutSamples(
        rows.map(({ row }) => ({ row, weight: 1 })),
        parts,
      );
    });
  }

  async write(dataset: DatasetInfo, version: number, cells: Iterable<Cell>): Promise<void> {
    const db = this.#db;
    const flush = (batch: readonly Cell[]): Promise<void> =>
      db.write(() => {
        const open = db.get("SELECT 1 FROM versions WHERE version = ? AND state = 'open'", version);
        if (open === undefined) throw DATASET_ERRORS.VERSION_CLOSED({ version });
        const changes = ChangeSetBuilder.of(changeSetsOf(db, [version], dataset.id)[0]);
        insertCells(db, dataset.id, version, batch, changes);
        recordWrites(db, dataset.id, version, changes);
      });
    let [chunk, bytes]: [Cell[], number] = [[], 0];
    const write = async (): Promise<void> => {
      const ordered = inKeyOrder(chunk);
      [chunk, bytes] = [[], 0];
      for (let at = 0; at < ordered.length; at += WRITE_BATCH) await flush(ordered.slice(at, at + WRITE_BATCH));
    };
    for (const cell of cells) {
      chunk.push(cell);
      bytes += cell.row.length + (cell.value?.length ?? 0);
      if (chunk.length >= CHUNK || bytes >= CHUNK_BYTES) await write();
    }
    if (chunk.length > 0) await write();
  }

  unused(dataset: DatasetInfo, versions: readonly number[]): Promise<number[]> {
    const sql =
      "SELECT value AS version FROM json_each(?) WHERE NOT EXISTS (SELECT 1 FROM versions v WHERE v.version = value AND v.state = 'open') " +
      `AND NOT EXISTS (SELECT 1 FROM ${tableOf(dataset.id)} d WHERE d.version = value)`;
    return this.#db.retry(() => (this.#db.all(sql, JSON.stringify(versions)) as unknown as { version: number }[]).map(({ version }) => version));
  }

  maintain(signal?: AbortSignal): Promise<MaintenanceReport> {
    const db = this.#db;
    const query = (sql: string, values: readonly unknown[]): Promise<never[]> => db.retry(() => db.all(sql, ...(values as SqlValue[])) as never[]);
    return maintain({ query, signal, fence: () => db.write(() => fence(db, 'its beats had stopped', 'beat + ttl < ?', this.#clock.wallTime())) });
  }

  close(): Promise<void> {
    this.#db.close();
    return Promise.resolve();
  }
}
