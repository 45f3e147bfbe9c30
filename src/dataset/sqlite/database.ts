/** One connection to a SQLite file that several processes share. */
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { setTimeout as wait } from 'node:timers/promises';
import type { Clock } from '../../core/clock.ts';
import type { Random } from '../../core/ids.ts';
import { SparkProxyError } from '../../core/errors.ts';
import { DATASET_ERRORS } from '../errors.ts';

/** Longest wait for the one writer that SQLite allows, milliseconds. */
const BUSY_MS = 120_000;
const LAYOUT = 1;
/** Statements kept prepared; those of dropped datasets leave first. */
const MAX_STATEMENTS = 200;

const SCHEMA = `
  CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
  INSERT INTO meta VALUES ('layout', ${LAYOUT}), ('version', 0);
  CREATE TABLE datasets (id INTEGER PRIMARY KEY AUTOINCREMENT, namespace TEXT NOT NULL, name TEXT NOT NULL, definition TEXT NOT NULL, UNIQUE (namespace, name));
  CREATE TABLE sessions (epoch INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, ttl INTEGER NOT NULL, beat INTEGER NOT NULL, floor INTEGER NOT NULL, fenced TEXT);
  CREATE TABLE versions (version INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, state TEXT NOT NULL);
  CREATE INDEX unsettled ON versions (version) WHERE state <> 'committed';
  CREATE TABLE writes (version INTEGER NOT NULL, dataset INTEGER NOT NULL, count INTEGER NOT NULL, low BLOB NOT NULL, high BLOB NOT NULL, keys BLOB,
    PRIMARY KEY (version, dataset)) WITHOUT ROWID;
  CREATE TABLE samples (dataset INTEGER NOT NULL, version INTEGER NOT NULL, row BLOB NOT NULL, weight INTEGER NOT NULL);
  CREATE INDEX samples_of ON samples (dataset);
`;

export type SqlValue = SQLInputValue;
export type SqlRow = Readonly<Record<string, never>>;

interface SqliteError extends Error {
  readonly errcode?: number;
}

/** SQLITE_BUSY and SQLITE_LOCKED with their extended codes. */
function isBusy(error: unknown): boolean {
  const code = (error as SqliteError).errcode;
  return code !== undefined && ((code & 0xff) === 5 || (code & 0xff) === 6);
}

/**
 * ORDERING: SQLite runs on the calling thread; a write transaction never spans an await, so two of one connection cannot mix. Waiting for
 * another process' write is done by the timer, so that the thread's other work (heartbeats) goes on.
 */
export class SqliteDatabase {
  readonly path: string;
  readonly #db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  readonly #clock: Clock;
  readonly #random: Random;

  private constructor(path: string, clock: Clock, random: Random) {
    this.path = path;
    this.#clock = clock;
    this.#random = random;
    mkdirSync(dirname(path), { recursive: true });
    this.#db = new DatabaseSync(path, { timeout: 10 });
  }

  static async open(path: string, clock: Clock, random: Random): Promise<SqliteDatabase> {
    const database = new SqliteDatabase(path, clock, random);
    try {
      // Durable commits; the frames of tasks are made durable by the commit of their driver, which syncs the same log.
      await database.retry(() =>
        database.#db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -65536; PRAGMA temp_store = MEMORY'),
      );
      await database.write(() => {
        if (database.all("SELECT name FROM sqlite_schema WHERE name = 'meta'").length === 0) database.#db.exec(SCHEMA);
      });
      const found = (database.get("SELECT value FROM meta WHERE name = 'layout'") as { value: number } | undefined)?.value;
      if (found !== LAYOUT) throw DATASET_ERRORS.STORE_LAYOUT({ store: `sqlite:${path}`, found, wanted: LAYOUT });
      return database;
    } catch (error) {
      database.close();
      throw error;
    }
  }

  /** Tasks need no log sync of their own. */
  relax(): void {
    this.#db.exec('PRAGMA synchronous = NORMAL');
  }

  prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      if (this.#statements.size >= MAX_STATEMENTS) this.#statements.delete(this.#statements.keys().next().value as string);
      statement = this.#db.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  all(sql: string, ...values: SqlValue[]): SqlRow[] {
    return this.prepare(sql).all(...values) as SqlRow[];
  }

  get(sql: string, ...values: SqlValue[]): SqlRow | undefined {
    return this.prepare(sql).get(...values) as SqlRow | undefined;
  }

  /** Rows changed. */
  run(sql: string, ...values: SqlValue[]): number {
    return Number(this.prepare(sql).run(...values).changes);
  }

  exec(sql: string): void {
    this.#db.exec(sql);
  }

  /** Runs `work` in one write transaction. `work` is synchronous. */
  write<R>(work: () => R): Promise<R> {
    return this.retry(() => {
      this.prepare('BEGIN IMMEDIATE').run();
      try {
        const result = work();
        this.prepare('COMMIT').run();
        return result;
      } catch (error) {
        if (this.#db.isTransaction) this.prepare('ROLLBACK').run();
        throw error;
      }
    });
  }

  /** Runs `work`, again and again while another process holds what it needs. @throws SP_DATASET_STORE_FAILED */
  async retry<R>(work: () => R): Promise<R> {
    const end = this.#clock.now() + BUSY_MS;
    for (;;) {
      try {
        return work();
      } catch (error) {
        if (SparkProxyError.is(error)) throw error;
        if (!isBusy(error) || this.#clock.now() > end)
          throw DATASET_ERRORS.STORE_FAILED({ store: `sqlite:${this.path}`, reason: (error as Error).message }, error);
      }
      await wait(1 + this.#random() * 8);
    }
  }

  close(): void {
    this.#statements.clear();
    if (this.#db.isOpen) this.#db.close();
  }
}
