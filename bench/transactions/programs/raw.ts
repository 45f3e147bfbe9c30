/** The same with nothing in between: the client of the store, one table with the same key, one statement prepared or one COPY. */
import { DatabaseSync } from 'node:sqlite';
import { pipeline } from 'node:stream/promises';
import { Readable } from 'node:stream';
import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { serve } from '../../engine/programs/commands.ts';
import { keyAt } from './rows.ts';

interface Raw {
  load(table: string, rows: number): Promise<void>;
  /** Reads a row and writes it, in a transaction. */
  tiny(): Promise<void>;
  close(): Promise<void>;
}

function sqlite(path: string): Raw {
  const db = new DatabaseSync(path, { timeout: 60_000 });
  db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -65536');
  db.exec('CREATE TABLE tiny (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID');
  const get = db.prepare('SELECT value FROM tiny WHERE key = ?');
  const put = db.prepare('INSERT INTO tiny VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value');
  const [begin, commit] = [db.prepare('BEGIN IMMEDIATE'), db.prepare('COMMIT')];
  const counter = Buffer.from('counter');
  return {
    load(table, rows) {
      db.exec(`CREATE TABLE ${table} (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID`);
      const insert = db.prepare(`INSERT INTO ${table} VALUES (?, ?)`);
      begin.run();
      for (let i = 0; i < rows; i++) insert.run(Buffer.from(keyAt(i)), Buffer.from(String(i)));
      commit.run();
      return Promise.resolve();
    },
    tiny() {
      begin.run();
      const row = get.get(counter) as { value: Uint8Array } | undefined;
      put.run(counter, Buffer.from(String(Number(Buffer.from(row?.value ?? Buffer.from('0')).toString()) + 1)));
      commit.run();
      return Promise.resolve();
    },
    close() {
      db.close();
      return Promise.resolve();
    },
  };
}

async function postgres(connectionString: string): Promise<Raw> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  await client.query('CREATE TABLE tiny (key bytea PRIMARY KEY, value bytea)');
  const counter = Buffer.from('counter');
  return {
    async load(table, rows) {
      await client.query(`CREATE TABLE ${table} (key bytea PRIMARY KEY, value bytea)`);
      const hex = (text: string): string => Buffer.from(text).toString('hex');
      function* lines(): Generator<string> {
        let chunk: string[] = [];
        for (let i = 0; i < rows; i++) {
          chunk.push(`\\\\x${hex(keyAt(i))}\t\\\\x${hex(String(i))}\n`);
          if (chunk.length < 1000) continue;
          yield chunk.join('');
          chunk = [];
        }
        yield chunk.join('');
      }
      await pipeline(Readable.from(lines()), client.query(copyFrom(`COPY ${table} FROM STDIN`)));
    },
    async tiny() {
      await client.query('BEGIN');
      const { rows } = await client.query<{ value: Buffer }>({ name: 'get', text: 'SELECT value FROM tiny WHERE key = $1 FOR UPDATE', values: [counter] });
      const value = Buffer.from(String(Number(rows[0]?.value.toString() ?? '0') + 1));
      const text = 'INSERT INTO tiny VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value';
      await client.query({ name: 'put', text, values: [counter, value] });
      await client.query('COMMIT');
    },
    close: () => client.end(),
  };
}

const url = process.argv[2] as string;
const raw = url.startsWith('sqlite:') ? sqlite(url.slice('sqlite:'.length)) : await postgres(url);
let made = 0;

async function load(rows: string): Promise<number> {
  const name = `loaded${++made}`;
  const start = performance.now();
  await raw.load(name, Number(rows));
  return performance.now() - start;
}

async function tiny(count: string): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < Number(count); i++) {
    const start = performance.now();
    await raw.tiny();
    times.push(performance.now() - start);
  }
  return times.sort((a, b) => a - b)[times.length >> 1] as number;
}

await load('1000');
await tiny('20');
await serve({ load, tiny });
await raw.close();
