import { chownSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { execFileSync } from 'node:child_process';
import pg from 'pg';
import { COMPONENTS } from '../../tools/components.ts';
import { freePort, removeServerDirectory, run, serverDirectory, startServer, type ServerProcess } from './server-process.ts';

export interface PostgresServerOptions {
  readonly password?: string;
  /** Commits reach the disk, as they would outside of tests. @defaultValue false */
  readonly durable?: boolean;
  /** More settings: `['-c', 'max_connections=200']`. */
  readonly args?: readonly string[];
}

/** A private PostgreSQL on a free loopback port, its data in a temporary directory. */
export interface PostgresServer {
  readonly port: number;
  readonly pid: number;
  /** A new, empty database: its URL, with the password if there is one. */
  database(): Promise<string>;
  /** A user who needs this password: its URL of a database, without the password. */
  guest(url: string, password: string): Promise<string>;
  /** Stops it as its operator would, or as a crash does, and starts it again. */
  restart(signal?: 'SIGINT' | 'SIGKILL'): Promise<void>;
  /** Empties a database of what this project keeps there: quicker than a new one. */
  clear(url: string): Promise<void>;
  stop(): Promise<void>;
}

/** PostgreSQL refuses to run as root: then it runs as the user that its package has made. */
function asServerUser(command: string, args: readonly string[]): { readonly command: string; readonly args: readonly string[] } {
  if (process.getuid?.() !== 0) return { command, args };
  return { command: 'setpriv', args: ['--reuid=postgres', '--regid=postgres', '--clear-groups', command, ...args] };
}

/** Ready in about two seconds: one a test file, a database a test. */
export async function startPostgres(options: PostgresServerOptions = {}): Promise<PostgresServer> {
  const { password, durable = false } = options;
  const directory = serverDirectory('postgres');
  if (process.getuid?.() === 0) {
    const id = (flag: string): number => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }));
    chownSync(directory, id('-u'), id('-g'));
  }
  const binaries = dirname(COMPONENTS.postgresql.find() as string);
  const data = join(directory, 'data');
  const real = execFileSync('readlink', ['-f', join(binaries, 'postgres')], { encoding: 'utf8' }).trim();
  const init = asServerUser(join(dirname(real), 'initdb'), ['-D', data, '-U', 'tester', '--no-sync', '--auth=trust', '-E', 'UTF8', '--no-locale']);
  await run(init.command, init.args);
  const port = await freePort();
  const connection = (database: string): pg.ClientConfig => ({ host: '127.0.0.1', port, user: 'tester', database });
  const fast = durable ? [] : ['-c', 'fsync=off', '-c', 'full_page_writes=off'];
  const settings = [
    '-c',
    'listen_addresses=127.0.0.1',
    '-c',
    `unix_socket_directories=${directory}`,
    '-c',
    'max_connections=200',
    ...fast,
    ...(options.args ?? []),
  ];
  const ready = async (): Promise<void> => {
    const client = new pg.Client(connection('postgres'));
    client.on('error', () => undefined);
    await client.connect();
    await client.end();
  };
  const launch = (): Promise<ServerProcess> =>
    startServer({ ...asServerUser(real, ['-D', data, '-p', String(port), ...settings]), directory, ready, readyMs: 60_000 });
  const connectAdmin = async (): Promise<pg.Client> => {
    const client = new pg.Client(connection('postgres'));
    client.on('error', () => undefined);
    await client.connect();
    return client;
  };
  // Only a guest is asked for a password.
  writeFileSync(join(data, 'pg_hba.conf'), 'host all guest 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n');
  let server = await launch();
  let admin = await connectAdmin();
  if (password !== undefined) await admin.query(`ALTER USER tester PASSWORD '${password.replaceAll("'", "''")}'`);
  let databases = 0;
  return {
    port,
    get pid() {
      return server.pid;
    },
    async database() {
      const name = `test_${++databases}`;
      await admin.query(`CREATE DATABASE ${name}`);
      const secret = password === undefined ? '' : `:${encodeURIComponent(password)}`;
      return `postgres://tester${secret}@127.0.0.1:${port}/${name}`;
    },
    async guest(url, secret) {
      await admin.query(`CREATE ROLE guest LOGIN SUPERUSER PASSWORD '${secret.replaceAll("'", "''")}'`);
      return url.replace(/\/\/[^@]*@/, '//guest@');
    },
    async restart(signal = 'SIGINT') {
      await admin.end().catch(() => undefined);
      await server.signal(signal);
      // After a crash its processes may still hold the data for a moment.
      for (let attempt = 1; ; attempt++) {
        try {
          server = await launch();
          break;
        } catch (error) {
          if (attempt === 5) throw error;
        }
      }
      admin = await connectAdmin();
    },
    async clear(url) {
      const client = new pg.Client({ connectionString: url });
      await client.connect();
      await client.query('DROP SCHEMA IF EXISTS spark_proxy CASCADE');
      await client.end();
    },
    async stop() {
      await admin.end();
      await server.signal('SIGINT');
      removeServerDirectory(directory);
    },
  };
}
