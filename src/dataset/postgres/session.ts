import { newId } from '../../core/ids.ts';
import { ChangeSetBuilder } from '../change-set.ts';
import type { CommitRequest, StoreSession } from '../contract.ts';
import { DATASET_ERRORS } from '../errors.ts';
import { oldestNeeded } from '../versions.ts';
import type { PgClient, PostgresConnections } from './connection.ts';
import { hasCommitted, isAnswerLost } from './outcome.ts';
import { checkConflicts, committedSince, lockDatasets, readSnapshot } from './statements.ts';

/** Versions that a task is just writing under are locked; they are left for the next time, and cannot commit without their session. */
const ABORT = "UPDATE versions SET state = 'aborted' WHERE version IN (SELECT version FROM versions WHERE state = 'open' AND ";

/** Fences the sessions that `condition` names, and aborts what fenced ones have open. Gives their number. */
export async function fence(client: PgClient, reason: string, condition: string, values: readonly unknown[]): Promise<number> {
  const { rowCount } = await client.query(`UPDATE sessions SET fenced = $1 WHERE fenced IS NULL AND ${condition}`, [reason, ...values]);
  await client.query(`${ABORT} epoch IN (SELECT epoch FROM sessions WHERE fenced IS NOT NULL) FOR UPDATE SKIP LOCKED)`);
  return rowCount ?? 0;
}

const ALLOCATE = `
  WITH live AS MATERIALIZED (SELECT 1 FROM sessions WHERE epoch = $1 AND fenced IS NULL FOR SHARE),
    counter AS (UPDATE meta SET value = value + $2 WHERE name = 'version' AND EXISTS (SELECT 1 FROM live) RETURNING value)
  INSERT INTO versions (version, epoch, state) SELECT generate_series(value - $2 + 1, value), $1, 'open' FROM counter RETURNING version`;

export class PostgresSession implements StoreSession {
  readonly epoch: number;
  readonly #db: PostgresConnections;

  constructor(connections: PostgresConnections, epoch: number) {
    this.#db = connections;
    this.epoch = epoch;
  }

  async #fenced(): Promise<Error> {
    const [row] = await this.#db.query<{ fenced: string | null }>('SELECT fenced FROM sessions WHERE epoch = $1', [this.epoch]);
    return DATASET_ERRORS.FENCED({ reason: row?.fenced ?? 'its session is gone' });
  }

  async allocate(count: number): Promise<number[]> {
    const rows = await this.#db.query<{ version: string }>(ALLOCATE, [this.epoch, count], 'allocate');
    if (rows.length === 0) throw await this.#fenced();
    return rows.map(({ version }) => Number(version)).sort((a, b) => a - b);
  }

  async commit(request: CommitRequest): Promise<void> {
    const token = newId('commit');
    try {
      await this.#commit(request, token);
    } catch (error) {
      if (!isAnswerLost(error) || !(await hasCommitted(this.#db, { epoch: this.epoch, versions: request.versions, token }, error))) throw error;
    }
  }

  async #commit(request: CommitRequest, token: string): Promise<void> {
    const { versions, writes } = request;
    if (versions.length === 0) {
      const [row] = await this.#db.query<{ outcome: string }>(WRITES, writesOf(request, this.epoch, token), 'commit_writes');
      this.#check(row?.outcome, request);
      return;
    }
    await this.#db.transaction(async (client) => {
      const { rows } = await client.query<{ fenced: string | null }>('SELECT fenced FROM sessions WHERE epoch = $1 FOR SHARE', [this.epoch]);
      if (rows[0] === undefined || rows[0].fenced !== null) throw DATASET_ERRORS.FENCED({ reason: rows[0]?.fenced ?? 'its session is gone' });
      const more = writes.map(({ dataset }) => dataset.id);
      const datasets = await lockDatasets(client, versions, more);
      const since = (await committedSince(client, request.snapshot)).filter((version) => !versions.includes(version));
      for (const dataset of datasets) await checkConflicts(client, dataset, versions, since);
      if (writes.length > 0) {
        const outcome = await client.query<{ outcome: string }>(WRITES, writesOf(request, this.epoch, token));
        this.#check(outcome.rows[0]?.outcome, request);
      }
      const committed = await client.query("UPDATE versions SET state = 'committed' WHERE version = ANY ($1::bigint[]) AND state = 'open' RETURNING version", [
        versions,
      ]);
      const done = new Set(committed.rows.map(({ version }: { version: string }) => Number(version)));
      for (const version of versions) if (!done.has(version)) throw DATASET_ERRORS.VERSION_CLOSED({ version });
    });
  }

  #check(outcome: string | undefined, { writes }: CommitRequest): void {
    if (outcome === 'ok') return;
    const [kind, detail] = (outcome ?? '').split(':', 2);
    if (kind === 'fenced') throw DATASET_ERRORS.FENCED({ reason: detail });
    const dataset = writes.find((one) => one.dataset.id === Number(detail))?.dataset;
    throw DATASET_ERRORS.CONFLICT({ name: dataset?.name, what: dataset?.conflicts === 'COLUMN' ? 'cell' : 'row' });
  }

  async abort(versions: readonly number[]): Promise<void> {
    if (versions.length === 0) return;
    await this.#db.query(`${ABORT} version = ANY ($1::bigint[]))`, [versions]);
  }

  async beat(needed: number): Promise<void> {
    await this.#db.transaction(async (client) => {
      const floor = Math.min(needed, oldestNeeded(await readSnapshot(client)));
      const { rowCount } = await client.query('UPDATE sessions SET beat = now(), floor = $2 WHERE epoch = $1 AND fenced IS NULL', [this.epoch, floor]);
      if (rowCount === 0) throw await this.#fenced();
    });
  }

  async close(): Promise<void> {
    await this.#db.query("UPDATE versions SET state = 'aborted' WHERE state = 'open' AND epoch = $1", [this.epoch]);
    await this.#db.query('DELETE FROM sessions WHERE epoch = $1', [this.epoch]);
  }
}

const WRITES = 'SELECT commit_writes($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) AS outcome';

function writesOf({ snapshot, writes, oldestNeeded: floor }: CommitRequest, epoch: number, token: string): unknown[] {
  const changes = writes.map(({ cells }) => {
    const builder = new ChangeSetBuilder();
    for (const cell of cells) builder.add(cell);
    return builder;
  });
  const cells = writes.flatMap(({ dataset, cells: some }) => some.map((cell) => ({ dataset: dataset.id, ...cell })));
  const bytes = (value: Uint8Array | null | undefined): Buffer | null => (value === null || value === undefined ? null : Buffer.from(value));
  return [
    epoch,
    snapshot.readVersion,
    snapshot.excluded,
    floor,
    writes.map(({ dataset }) => dataset.id),
    writes.map(({ dataset }) => dataset.conflicts),
    changes.map(({ low }) => bytes(low)),
    changes.map(({ high }) => bytes(high)),
    changes.map((builder) => bytes(builder.packedKeys())),
    changes.map(({ count }) => count),
    cells.map(({ dataset }) => dataset),
    cells.map(({ row }) => bytes(row)),
    cells.map(({ column }) => column),
    cells.map(({ value }) => bytes(value)),
    token,
  ];
}
