/** Connections to PostgreSQL through `pg`, an optional peer that is loaded when a postgres: store is opened. */
import type { ClientBase, Pool, QueryResultRow } from 'pg';
import { SparkProxyError } from '../../core/errors.ts';
import { createLogger } from '../../core/logger.ts';
import { DATASET_ERRORS } from '../errors.ts';
import type { StoreAddress } from '../open-store.ts';
import { LAYOUT, SCHEMA, SCHEMA_NAME } from './layout.ts';

const logger = createLogger('postgres');

type Copy = (typeof import('pg-copy-streams'))['from'];
export type PgClient = ClientBase;

async function peers(): Promise<{ readonly Pool: typeof Pool; readonly copyFrom: Copy }> {
  try {
    const [{ default: pg }, { from }] = await Promise.all([import('pg'), import('pg-copy-streams')]);
    return { Pool: pg.Pool, copyFrom: from };
  } catch (error) {
    throw DATASET_ERRORS.PEER_MISSING({}, error);
  }
}

/** Values of `?` placeholders in order, for statements that both stores share. */
export function numbered(sql: string): string {
  let n = 0;
  return sql.replace(/\?/g, () => `$${++n}`);
}

export class PostgresConnections {
  readonly url: string;
  readonly copyFrom: Copy;
  readonly #pool: Pool;

  private constructor(url: string, pool: Pool, copyFrom: Copy) {
    this.url = url;
    this.#pool = pool;
    this.copyFrom = copyFrom;
  }

  static async open({ url, password }: StoreAddress, max: number): Promise<PostgresConnections> {
    const { Pool, copyFrom } = await peers();
    const full = new URL(url);
    if (password !== undefined) full.password = encodeURIComponent(password);
    const pool = new Pool({
      connectionString: full.href,
      max,
      application_name: 'spark-proxy',
      options: `-c search_path=${SCHEMA_NAME}`,
      idleTimeoutMillis: 30_000,
      connectionTimeoutMillis: 30_000,
      keepAlive: true,
      keepAliveInitialDelayMillis: 10_000,
      allowExitOnIdle: true,
    });
    // A connection that ends while it is idle is replaced when the next is needed.
    pool.on('error', (error) => logger.warn('an idle connection ended', { error: error.message }));
    const connections = new PostgresConnections(url, pool, copyFrom);
    try {
      await connections.#prepare();
      return connections;
    } catch (error) {
      await pool.end();
      throw error;
    }
  }

  async #prepare(): Promise<void> {
    // Not to_regclass: a connection that was told "there is none" goes on to say so.
    const there = 'SELECT 1 FROM pg_tables WHERE schemaname = $1';
    if ((await this.query(there, [SCHEMA_NAME])).length === 0) {
      await this.transaction(async (client) => {
        // Several processes may open an empty database at once.
        await client.query('SELECT pg_advisory_xact_lock(7309453261)');
        if ((await client.query(there, [SCHEMA_NAME])).rowCount === 0) await client.query(SCHEMA);
      });
    }
    const [layout] = await this.query<{ value: string }>("SELECT value FROM meta WHERE name = 'layout'", []);
    if (Number(layout?.value) !== LAYOUT) throw DATASET_ERRORS.STORE_LAYOUT({ store: this.url, found: layout?.value, wanted: LAYOUT });
  }

  failure(error: unknown): SparkProxyError {
    return SparkProxyError.is(error) ? error : DATASET_ERRORS.STORE_FAILED({ store: this.url, reason: (error as Error).message }, error);
  }

  /** Rows of one statement. `name` keeps it prepared on each connection. @throws SP_DATASET_STORE_FAILED */
  async query<R extends QueryResultRow>(text: string, values: readonly unknown[], name?: string): Promise<R[]> {
    try {
      return (await this.#pool.query<R>({ text, values: [...values], ...(name === undefined ? {} : { name }) })).rows;
    } catch (error) {
      throw this.failure(error);
    }
  }

  /** @throws SP_DATASET_STORE_FAILED, or what `work` throws of this package */
  async transaction<R>(work: (client: PgClient) => Promise<R>): Promise<R> {
    const client = await this.#pool.connect().catch((error: unknown) => {
      throw this.failure(error);
    });
    let broken: Error | undefined;
    // A connection that ends between two statements says so here; without a listener that ends the process.
    const ended = (error: Error): void => void (broken ??= error);
    client.on('error', ended);
    try {
      await client.query('BEGIN');
      const result = await work(client);
      await client.query('COMMIT');
      return result;
    } catch (error) {
      await client.query('ROLLBACK').catch(ended);
      throw this.failure(error);
    } finally {
      client.removeListener('error', ended);
      client.release(broken);
    }
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }
}
