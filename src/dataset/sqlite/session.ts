import type { Clock } from '../../core/clock.ts';
import { ChangeSetBuilder } from '../change-set.ts';
import type { CommitRequest, StoreSession } from '../contract.ts';
import { DATASET_ERRORS } from '../errors.ts';
import { oldestNeeded, tableOf } from '../versions.ts';
import type { SqliteDatabase, SqlValue } from './database.ts';
import { allocate, changeSetsOf, checkConflicts, committedSince, datasetsWritten, insertCells, readSnapshot, recordWrites } from './statements.ts';

/** Fences the sessions that `condition` names: what they have open is aborted, and nothing of theirs commits any more. Gives their number. */
export function fence(db: SqliteDatabase, reason: string, condition: string, ...values: SqlValue[]): number {
  const fenced = db.all(`UPDATE sessions SET fenced = ? WHERE fenced IS NULL AND ${condition} RETURNING epoch`, reason, ...values) as unknown as {
    epoch: number;
  }[];
  for (const { epoch } of fenced) db.run("UPDATE versions SET state = 'aborted' WHERE state = 'open' AND epoch = ?", epoch);
  return fenced.length;
}

export class SqliteSession implements StoreSession {
  readonly epoch: number;
  readonly #db: SqliteDatabase;
  readonly #clock: Clock;

  constructor(db: SqliteDatabase, epoch: number, clock: Clock) {
    this.#db = db;
    this.epoch = epoch;
    this.#clock = clock;
  }

  #requireLive(): void {
    const row = this.#db.get('SELECT fenced FROM sessions WHERE epoch = ?', this.epoch) as { fenced: string | null } | undefined;
    if (row === undefined || row.fenced !== null) throw DATASET_ERRORS.FENCED({ reason: row?.fenced ?? 'its session is gone' });
  }

  allocate(count: number): Promise<number[]> {
    return this.#db.write(() => {
      this.#requireLive();
      return allocate(this.#db, this.epoch, count, 'open');
    });
  }

  commit(request: CommitRequest): Promise<void> {
    const db = this.#db;
    const { snapshot, versions, writes } = request;
    return db.write(() => {
      this.#requireLive();
      const since = committedSince(db, snapshot).filter((version) => !versions.includes(version));
      if (since.length > 0) for (const dataset of datasetsWritten(db, versions)) checkConflicts(db, dataset, changeSetsOf(db, versions, dataset.id), since);
      for (const version of versions) {
        if (db.run("UPDATE versions SET state = 'committed' WHERE version = ? AND state = 'open'", version) === 0)
          throw DATASET_ERRORS.VERSION_CLOSED({ version });
      }
      if (writes.length === 0) return;
      const [version] = allocate(db, this.epoch, 1, 'committed') as [number];
      const floor = this.#floor(request.oldestNeeded);
      for (const { dataset, cells } of writes) {
        const changes = new ChangeSetBuilder();
        insertCells(db, dataset.id, version, cells, changes);
        checkConflicts(db, dataset, changes.changeSets(version), since);
        recordWrites(db, dataset.id, version, changes);
        const table = tableOf(dataset.id);
        const sql =
          `DELETE FROM ${table} WHERE row = ?1 AND col = ?2 AND version < ` +
          `(SELECT max(version) FROM ${table} WHERE row = ?1 AND col = ?2 AND version < ?3)`;
        for (const { row, column } of cells) db.run(sql, row, column, floor);
      }
    });
  }

  /** Below it no snapshot of any driver tells versions apart. */
  #floor(ours: number): number {
    const { floor } = this.#db.get('SELECT min(floor) AS floor FROM sessions WHERE fenced IS NULL AND epoch <> ?', this.epoch) as unknown as {
      floor: number | null;
    };
    const { version } = this.#db.get("SELECT min(version) AS version FROM versions WHERE state <> 'committed'") as unknown as { version: number | null };
    return Math.min(ours, floor ?? Infinity, version ?? Infinity);
  }

  abort(versions: readonly number[]): Promise<void> {
    if (versions.length === 0) return Promise.resolve();
    return this.#db.write(() => {
      for (const version of versions) this.#db.run("UPDATE versions SET state = 'aborted' WHERE version = ? AND state = 'open'", version);
    });
  }

  beat(needed: number): Promise<void> {
    return this.#db.write(() => {
      this.#requireLive();
      const floor = Math.min(needed, oldestNeeded(readSnapshot(this.#db)));
      this.#db.run('UPDATE sessions SET beat = ?, floor = ? WHERE epoch = ?', this.#clock.wallTime(), floor, this.epoch);
    });
  }

  close(): Promise<void> {
    return this.#db.write(() => {
      this.#db.run("UPDATE versions SET state = 'aborted' WHERE state = 'open' AND epoch = ?", this.epoch);
      this.#db.run('DELETE FROM sessions WHERE epoch = ?', this.epoch);
    });
  }
}
