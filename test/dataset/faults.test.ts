/** What stores do to drivers: full, locked, broken, gone. Errors are coded, and nothing is half seen. */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { loadConfiguration } from '../../src/core/config.ts';
import { systemClock } from '../../src/core/clock.ts';
import { attachDatasets, openDatasets } from '../../src/dataset/index.ts';
import type { Datasets } from '../../src/dataset/contract.ts';
import { openSqliteStore } from '../../src/dataset/sqlite/store.ts';
import { SparkContext } from '../../src/scheduler/spark-context.ts';
import { faultProxy, type FaultProxy } from '../support/fault-proxy.ts';
import { startPostgres, type PostgresServer } from '../support/postgres.ts';
import { describeWith } from '../support/requires.ts';
import { all, codeOf } from './stores.ts';

const run = promisify(execFile);
let directory: string;
const open: Datasets[] = [];
const opened = async (store: string, settings: Readonly<Record<string, string>> = {}): Promise<Datasets> => {
  const datasets = await openDatasets({ store }, loadConfiguration({ env: {}, conf: Object.entries(settings) }));
  open.push(datasets);
  return datasets;
};

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'spark-proxy-faults-'));
});
afterEach(async () => {
  for (const datasets of open.splice(0)) await datasets.close().catch(() => undefined);
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe('SQLite', () => {
  test('a file that is no database, a directory, a newer layout: refused when it is opened', async () => {
    const garbage = join(directory, 'garbage.db');
    writeFileSync(garbage, 'x'.repeat(5000));
    expect(await codeOf(opened(`sqlite:${garbage}`))).toBe('SP_DATASET_STORE_FAILED');
    const place = join(directory, 'place.db');
    mkdirSync(place);
    expect(await codeOf(opened(`sqlite:${place}`))).toBe('SP_DATASET_STORE_FAILED');
    const newer = join(directory, 'newer.db');
    await (await opened(`sqlite:${newer}`)).close();
    const db = new DatabaseSync(newer);
    db.exec("UPDATE meta SET value = 99 WHERE name = 'layout'");
    db.close();
    expect(await codeOf(opened(`sqlite:${newer}`))).toBe('SP_DATASET_STORE_LAYOUT');
  });

  test('a disk that is full fails the transaction, and nothing of it is seen', async () => {
    const path = join(directory, 'full.db');
    const before = await opened(`sqlite:${path}`);
    await before.admin.create('kv', 'keyValue');
    await before.context.keyValue('kv').put('a', 'before');
    await before.close();
    // In a process whose files may not grow beyond 2 MB.
    const program = fileURLToPath(new URL('./programs/filler.ts', import.meta.url));
    const limited = `trap '' XFSZ; ulimit -f 2048; exec "$@"`;
    const { stdout } = await run('bash', ['-c', limited, 'bash', process.execPath, program, `sqlite:${path}`], { timeout: 60_000 });
    expect(JSON.parse(stdout)).toEqual({ large: 'SP_DATASET_STORE_FAILED', seen: 1 });
    const after = await opened(`sqlite:${path}`);
    expect(await all(after.context.keyValue('kv').scan())).toEqual([['a', 'before']]);
    await after.context.keyValue('kv').put('b', 'after');
    expect(await all(after.context.keyValue('kv').scan())).toHaveLength(2);
  }, 90_000);

  test('a file that another program has locked: commits wait for it, and fail after two minutes', async () => {
    const path = join(directory, 'locked.db');
    const datasets = await opened(`sqlite:${path}`);
    await datasets.admin.create('kv', 'keyValue');
    const other = new DatabaseSync(path);
    other.exec('BEGIN IMMEDIATE');
    const put = datasets.context.keyValue('kv').put('a', 1);
    await expect(Promise.race([put.then(() => 'done'), new Promise((resolve) => setTimeout(resolve, 100, 'waits'))])).resolves.toBe('waits');
    other.exec('COMMIT');
    await put;
    expect(await datasets.context.keyValue('kv').get('a')).toBe(1);

    let now = 0;
    const patient = await openSqliteStore(path, { clock: { ...systemClock, now: () => (now += 50_000) } });
    other.exec('BEGIN IMMEDIATE');
    expect(await codeOf(patient.openSession({ name: 'late', ttlMs: 1000 }))).toBe('SP_DATASET_STORE_FAILED');
    other.exec('COMMIT');
    other.close();
    await patient.close();
  }, 60_000);
});

describeWith(['postgresql'], 'PostgreSQL', () => {
  let server: PostgresServer;
  let proxy: FaultProxy;
  let url: string;
  /** The same database through the proxy. */
  let proxied: string;
  beforeAll(async () => {
    server = await startPostgres({ durable: true });
    url = await server.database();
    proxy = await faultProxy(server.port);
    proxied = url.replace(String(server.port), String(proxy.port));
    const datasets = await openDatasets({ store: url });
    await datasets.admin.create('kv', 'keyValue');
    await datasets.close();
  }, 90_000);
  afterAll(async () => {
    await proxy.close();
    await server.stop();
  }, 60_000);

  /** Every COMMIT that makes something visible waits, in the server, until the gate is opened. */
  async function holdCommits(): Promise<{ reached(): Promise<void>; open(): Promise<void> }> {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    await client.query(`
      SET search_path = spark_proxy;
      CREATE OR REPLACE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock_shared(42); RETURN NULL; END';
      SELECT pg_advisory_lock(42);
      CREATE CONSTRAINT TRIGGER hold AFTER INSERT OR UPDATE ON versions DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW WHEN (NEW.state = 'committed') EXECUTE FUNCTION hold()`);
    return {
      async reached() {
        const waiting = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
        await expect.poll(async () => (await client.query(waiting)).rowCount, { timeout: 30_000 }).toBe(1);
      },
      async open() {
        await client.query('SELECT pg_advisory_unlock(42)');
        await client.query('DROP TRIGGER hold ON versions');
        await client.end();
      },
    };
  }

  test('a wrong password is told without it; the right one comes from a file', async () => {
    const guest = await server.guest(url, 'right & proper');
    const wrong = guest.replace('guest@', 'guest:wr0ng-secret@');
    const failed: unknown = await opened(wrong).catch((error: unknown) => error);
    expect(failed).toMatchObject({ code: 'SP_DATASET_STORE_FAILED', cause: { code: '28P01' } });
    expect(JSON.stringify(failed) + String(failed)).not.toContain('wr0ng-secret');
    const file = join(directory, 'password');
    writeFileSync(file, 'right & proper\n', { mode: 0o600 });
    const datasets = await opened(guest, { 'dataset.store.password.file': file });
    expect(datasets.store.url).not.toContain('right');
    expect(await datasets.context.keyValue('kv').get('none')).toBeUndefined();
  });

  test('a server that is not there', async () => {
    expect(await codeOf(opened(url.replace(String(server.port), '1')))).toBe('SP_DATASET_STORE_FAILED');
  });

  describe.each([
    ['buffered by the driver', 0],
    ['that has staged rows', 10_001],
  ] as const)('a commit %s', (title, rows) => {
    /** A transaction through the proxy; its last step is `last`. */
    const begin = (datasets: Datasets, key: string, last: () => void): Promise<string> =>
      codeOf(
        datasets.execute(async (ds) => {
          await ds.keyValue<string, number>('kv').increment(key);
          for (let i = 0; i < rows; i++) await ds.keyValue('kv').put(`${key} ${i}`, i);
          last();
        }),
      );

    test.each(['its answer is lost', 'its connection ends before the server has done it'] as const)(
      'has happened, once, when %s',
      async (how) => {
        const key = `${title}, ${how}`;
        const datasets = await opened(proxied);
        const seen = (await opened(url)).context.keyValue<string, number>('kv');
        const gate = await holdCommits();
        const outcome = begin(datasets, key, () => undefined);
        await gate.reached();
        if (how === 'its answer is lost') {
          proxy.deafen(true);
          await gate.open();
          await expect.poll(() => seen.get(key), { timeout: 30_000 }).toBe(1);
          proxy.deafen(false);
          proxy.cut();
        } else {
          proxy.cut();
          await gate.open();
        }
        expect(await outcome).toBe('no error');
        expect(await seen.get(key)).toBe(1);
      },
      60_000,
    );

    test('has not happened when it never arrived, and the driver goes on', async () => {
      const key = `${title}, never`;
      const datasets = await opened(proxied);
      const seen = (await opened(url)).context.keyValue<string, number>('kv');
      const outcome = begin(datasets, key, () => {
        proxy.blackhole(true);
        setTimeout(() => {
          proxy.cut();
          proxy.blackhole(false);
        }, 200);
      });
      expect(await outcome).toBe('SP_DATASET_STORE_FAILED');
      expect(await seen.get(key)).toBeUndefined();
      expect(await datasets.context.keyValue<string, number>('kv').increment(key)).toBe(1);
    }, 60_000);
  });

  test.each(['SIGINT', 'SIGKILL'] as const)(
    'restarted (%s) in the middle of transactions: each is seen whole or not at all, and tells which',
    async (signal) => {
      const datasets = await opened(url);
      const sc = new SparkContext({ 'spark.master': 'local[2]', 'worker.instances': '0' });
      attachDatasets(sc, datasets);
      const kv = datasets.context.keyValue<string, number>('kv');
      try {
        const names = ['before', 'during', 'action'].map((name) => `${name} ${signal}`) as [string, string, string];
        for (const name of names) await datasets.admin.create(name.replace(' ', '-'), 'keyValue');
        const [before, during, action] = names.map((name) => name.replace(' ', '-')) as [string, string, string];
        let restarted: Promise<void> | undefined;
        // Staged before, committed after.
        const spanning = codeOf(
          datasets.execute(async (ds) => {
            for (let i = 0; i < 10_001; i++) await ds.keyValue(before).put(String(i), i);
            restarted = server.restart(signal);
            await restarted;
            await ds.keyValue(before).put('last', 1);
          }),
        );
        await expect.poll(() => restarted !== undefined, { timeout: 60_000 }).toBe(true);
        // Begun while it is away.
        const meanwhile = codeOf(datasets.execute((ds) => ds.keyValue(during).put('one', 1)));
        const saved = codeOf(
          sc
            .range(0, 1000, 1, 4)
            .map((i): [string, number] => [String(i), i])
            .saveAsDataset(action),
        );
        const outcomes = [await spanning, await meanwhile, await saved];
        await restarted;
        const observer = await opened(url);
        const sizes = [];
        for (const name of [before, during, action]) sizes.push((await all(observer.context.keyValue(name).scan())).length);
        const expected = [10_002, 1, 1000].map((rows, i) => (outcomes[i] === 'no error' ? rows : 0));
        expect(sizes).toEqual(expected);
        for (const outcome of outcomes) expect(['no error', 'SP_DATASET_STORE_FAILED', 'SP_SCHEDULER_JOB_ABORTED']).toContain(outcome);
        await expect.poll(() => codeOf(kv.put(signal, 1)), { timeout: 30_000 }).toBe('no error');
      } finally {
        await sc.stop();
      }
    },
    120_000,
  );
});
