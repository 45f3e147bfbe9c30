import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe } from 'vitest';
import type { Datasets, DatasetStore, OpenOptions } from '../../src/dataset/contract.ts';
import { openDatasets } from '../../src/dataset/index.ts';
import { openStore, storeAddress } from '../../src/dataset/open-store.ts';
import { loadConfiguration } from '../../src/core/config.ts';
import { startPostgres, type PostgresServer } from '../support/postgres.ts';
import { describeWith } from '../support/requires.ts';

/** A kind of store under test: every test gets an empty one. */
export interface StoreBed {
  readonly kind: 'sqlite' | 'postgres';
  /** URL of an empty store; one a test. */
  url(): Promise<string>;
  /** A store as a process of its own would open it; closed after the test. */
  open(url: string): Promise<DatasetStore>;
  /** A driver; closed after the test. */
  datasets(url: string, options?: OpenOptions, settings?: Readonly<Record<string, string>>): Promise<Datasets>;
  /** Fences all drivers, as the reaper of another does with those that were silent for too long. */
  fence(url: string): Promise<void>;
  directory(): string;
}

/** The same body for each kind of store. */
export function describeEachStore(title: string, body: (bed: StoreBed) => void): void {
  describe(`${title}, on SQLite`, () => {
    suite('sqlite', body);
  });
  describeWith(['postgresql'], `${title}, on PostgreSQL`, () => {
    suite('postgres', body);
  });
}

function suite(kind: StoreBed['kind'], body: (bed: StoreBed) => void): void {
  const ends: (() => Promise<unknown>)[] = [];
  let directory = '';
  let server: PostgresServer | undefined;
  let database: string | undefined;
  let files = 0;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'spark-proxy-dataset-'));
    if (kind === 'postgres') server = await startPostgres();
  }, 60_000);
  const close = async (): Promise<void> => {
    for (const end of ends.splice(0).reverse()) await end();
  };
  afterEach(close);
  afterAll(async () => {
    await close();
    await server?.stop();
    await rm(directory, { recursive: true, force: true });
  }, 60_000);
  body({
    kind,
    async url() {
      if (server === undefined) return `sqlite:${join(directory, `${++files}.db`)}`;
      if (database === undefined) database = await server.database();
      else await server.clear(database);
      return database;
    },
    async open(url) {
      const store = await openStore(storeAddress(url));
      ends.push(() => store.close());
      return store;
    },
    async datasets(url, options = {}, settings = {}) {
      const configuration = loadConfiguration({ env: {}, conf: Object.entries({ 'dataset.files': join(directory, 'files'), ...settings }) });
      const datasets = await openDatasets({ store: url, ...options }, configuration);
      ends.push(() => datasets.close());
      return datasets;
    },
    async fence(url) {
      const fence = "UPDATE sessions SET fenced = 'its beats had stopped'; UPDATE versions SET state = 'aborted' WHERE state = 'open'";
      if (kind === 'sqlite') {
        const db = new DatabaseSync(url.slice('sqlite:'.length), { timeout: 20_000 });
        db.exec(fence);
        db.close();
        return;
      }
      const client = new pg.Client({ connectionString: url });
      await client.connect();
      await client.query(`SET search_path = spark_proxy; ${fence}`);
      await client.end();
    },
    directory: () => directory,
  });
}

/** The code of the error that a promise rejects with. */
export async function codeOf(work: Promise<unknown> | (() => Promise<unknown>)): Promise<string> {
  try {
    await (typeof work === 'function' ? work() : work);
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
  return 'no error';
}

export async function all<T>(rows: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const row of rows) found.push(row);
  return found;
}
