import { Redis, type RedisOptions } from 'ioredis';
import { COMPONENTS } from '../../tools/components.ts';
import { freePort, removeServerDirectory, serverDirectory, startServer, type ServerProcess } from './server-process.ts';
import { testAuthority, type TestAuthority } from './tls.ts';

export interface RedisServerOptions {
  readonly password?: string;
  /** TLS only, with an authority of its own (see `authority`). */
  readonly tls?: boolean;
  /** TLS: clients must show a certificate of the authority. */
  readonly mutual?: boolean;
  /** Append-only file: what was confirmed survives `kill` and `restart`. @defaultValue false */
  readonly appendOnly?: boolean;
  /** More lines of configuration as arguments: `['--maxmemory', '3mb']`. */
  readonly args?: readonly string[];
}

/** A private Redis on a free loopback port, its data in a temporary directory. */
export interface RedisServer {
  readonly port: number;
  /** Its process, which another follows with `restart`. */
  readonly pid: number;
  /** With the password, if it has one. */
  readonly url: string;
  readonly authority: TestAuthority | undefined;
  /** A client of the test; closed by `stop`. */
  client(options?: RedisOptions): Redis;
  /** Ends it without warning. */
  kill(): Promise<void>;
  /** Kills it if need be, and starts it again on the same port with the same data. */
  restart(): Promise<void>;
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** Ends it, and leaves nothing behind. */
  stop(): Promise<void>;
}

/** Ready in tens of milliseconds: one a test file is cheap. */
export async function startRedis(options: RedisServerOptions = {}): Promise<RedisServer> {
  const { password, tls = false, mutual = false, appendOnly = false } = options;
  const directory = serverDirectory('redis');
  const port = await freePort();
  const authority = tls ? await testAuthority(directory) : undefined;
  const common = ['--bind', '127.0.0.1', '--dir', directory, '--save', '', '--appendonly', appendOnly ? 'yes' : 'no', '--appendfsync', 'everysec'];
  const listen =
    authority === undefined
      ? ['--port', String(port)]
      : [
          ...['--port', '0', '--tls-port', String(port), '--tls-ca-cert-file', authority.caFile],
          ...['--tls-cert-file', authority.server.certFile, '--tls-key-file', authority.server.keyFile, '--tls-auth-clients', mutual ? 'yes' : 'no'],
        ];
  const secret = password === undefined ? [] : ['--requirepass', password];
  const args = [...listen, ...common, ...secret, ...(options.args ?? [])];
  const clients = new Set<Redis>();

  const connect = (more: RedisOptions = {}): Redis => {
    const secure = authority === undefined ? {} : { tls: { ca: authority.ca, cert: authority.client.cert, key: authority.client.key } };
    const given = password === undefined ? {} : { password };
    const redis = new Redis({ host: '127.0.0.1', port, lazyConnect: true, ...given, ...secure, ...more } as Omit<RedisOptions, 'replyMapping'>);
    redis.on('error', () => undefined);
    return redis;
  };
  const ready = async (): Promise<void> => {
    const redis = connect({ retryStrategy: () => null, connectTimeout: 2000 });
    try {
      await redis.connect();
      await redis.ping();
    } finally {
      redis.disconnect();
    }
  };
  const start = (): Promise<ServerProcess> => startServer({ command: COMPONENTS.redis.find() as string, args, directory, ready, readyMs: 30_000 });
  let server = await start();

  return {
    port,
    get pid() {
      return server.pid;
    },
    url: `${tls ? 'rediss' : 'redis'}://${password === undefined ? '' : `:${encodeURIComponent(password)}@`}127.0.0.1:${port}`,
    authority,
    client(more) {
      const redis = connect(more);
      clients.add(redis);
      return redis;
    },
    kill: () => server.signal('SIGKILL'),
    async restart() {
      if (server.alive) await server.signal('SIGKILL');
      server = await start();
    },
    pause: () => server.signal('SIGSTOP'),
    resume: () => server.signal('SIGCONT'),
    async stop() {
      for (const redis of clients) redis.disconnect();
      await server.signal('SIGKILL');
      removeServerDirectory(directory);
    },
  };
}
