import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { connect as connectAmqp } from 'amqplib';
import { dirname, join } from 'node:path';
import { COMPONENTS, findProgram } from '../../tools/components.ts';
import { freePort, removeServerDirectory, run, serverDirectory, startServer, type ServerProcess } from './server-process.ts';
import { testAuthority, type TestAuthority } from './tls.ts';

export interface RabbitmqServerOptions {
  /** @defaultValue guest */
  readonly user?: string;
  readonly password?: string;
  /** A TLS port beside the plain one (see `tlsUrl`). */
  readonly tls?: boolean;
  /** TLS: clients must show a certificate of the authority. */
  readonly mutual?: boolean;
  /** More lines for rabbitmq.conf. */
  readonly config?: readonly string[];
  /** Process whose end ends the server. @defaultValue process.pid */
  readonly owner?: number;
}

/** A private RabbitMQ on free loopback ports, with a node name, cookie, epmd and data of its own. */
export interface RabbitmqServer {
  readonly port: number;
  /** Its process, which another follows with `restart`. */
  readonly pid: number;
  readonly url: string;
  readonly tlsUrl: string | undefined;
  readonly authority: TestAuthority | undefined;
  /** Runs rabbitmqctl (seconds). */
  ctl(...args: readonly string[]): Promise<string>;
  /** Writes what it has answered but, in 3.10, not yet written: without it a kill soon after loses a queue just declared, and what is in it. */
  settle(): Promise<unknown>;
  kill(): Promise<void>;
  /** Kills it if need be, and starts it again on the same port with the same data. */
  restart(): Promise<void>;
  pause(): Promise<void>;
  resume(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Ready in 4 s on a quiet machine, up to 20 s on a busy one, and 140 MB: tests that do not kill it take `sharedRabbitmq`.
 * The server is run by the script in its library, since the one on the PATH switches user.
 */
export async function startRabbitmq(options: RabbitmqServerOptions = {}): Promise<RabbitmqServer> {
  const { user = 'guest', password = 'guest', tls = false, mutual = false } = options;
  const directory = serverDirectory('rabbitmq');
  const [port, tlsPort, distPort, epmdPort] = [await freePort(), await freePort(), await freePort(), await freePort()];
  const authority = tls ? await testAuthority(directory) : undefined;
  const program = COMPONENTS.rabbitmq.find() as string;
  const path = (name: string): string => join(directory, name);
  const config = [
    `listeners.tcp.1 = 127.0.0.1:${port}`,
    `default_user = ${user}`,
    `default_pass = ${password}`,
    'disk_free_limit.absolute = 10MB',
    'vm_memory_high_watermark.relative = 0.8',
    'log.console = true',
    'log.console.level = warning',
    'log.file = false',
    ...(authority === undefined
      ? []
      : [
          `listeners.ssl.1 = 127.0.0.1:${tlsPort}`,
          `ssl_options.cacertfile = ${authority.caFile}`,
          `ssl_options.certfile = ${authority.server.certFile}`,
          `ssl_options.keyfile = ${authority.server.keyFile}`,
          `ssl_options.verify = ${mutual ? 'verify_peer' : 'verify_none'}`,
          `ssl_options.fail_if_no_peer_cert = ${mutual}`,
        ]),
    ...(options.config ?? []),
  ];
  writeFileSync(path('rabbitmq.conf'), `${config.join('\n')}\n`);
  writeFileSync(path('enabled_plugins'), '[].\n');
  const env = {
    RUNNING_UNDER_SYSTEMD: 'true',
    HOME: directory,
    RABBITMQ_CONF_ENV_FILE: '/dev/null',
    RABBITMQ_NODENAME: `t${port}@localhost`,
    RABBITMQ_NODE_PORT: String(port),
    RABBITMQ_DIST_PORT: String(distPort),
    ERL_EPMD_PORT: String(epmdPort),
    ERL_EPMD_ADDRESS: '127.0.0.1',
    RABBITMQ_MNESIA_BASE: path('data'),
    RABBITMQ_LOG_BASE: path('log'),
    RABBITMQ_CONFIG_FILE: path('rabbitmq.conf'),
    RABBITMQ_ENABLED_PLUGINS_FILE: path('enabled_plugins'),
    RABBITMQ_FEATURE_FLAGS_FILE: path('feature_flags'),
    // Schedulers that spin would take a small machine from the tests.
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none',
    // Else it lies where the test run began.
    ERL_CRASH_DUMP: path('erl_crash.dump'),
    LANG: 'C.UTF-8',
  };
  const owner = options.owner === undefined ? {} : { owner: options.owner };
  // Erlang would start one as a daemon that outlives it.
  const epmd = await startServer({
    command: findProgram('epmd') as string,
    args: ['-port', String(epmdPort), '-address', '127.0.0.1'],
    directory,
    ready: async () => undefined,
    readyMs: 1000,
    ...owner,
  });
  const url = `amqp://${user}:${encodeURIComponent(password)}@127.0.0.1:${port}`;
  const ready = async (): Promise<void> => {
    const connection = await connectAmqp(url, { timeout: 5000 });
    connection.on('error', () => undefined);
    await connection.close();
  };
  const start = (): Promise<ServerProcess> => startServer({ command: program, args: [], env, directory, ready, readyMs: 90_000, ...owner });
  let server = await start();
  const ctlProgram = existsSync(join(dirname(program), 'rabbitmqctl')) ? join(dirname(program), 'rabbitmqctl') : 'rabbitmqctl';

  const ctl = (...args: readonly string[]): Promise<string> => run(ctlProgram, ['-q', '-n', env.RABBITMQ_NODENAME, ...args], env);

  return {
    port,
    get pid() {
      return server.pid;
    },
    url,
    tlsUrl: tls ? `amqps://${user}:${encodeURIComponent(password)}@127.0.0.1:${tlsPort}` : undefined,
    authority,
    ctl,
    settle: () => ctl('eval', 'mnesia:sync_log(), [dets:sync(T) || T <- dets:all()].'),
    kill: () => server.signal('SIGKILL'),
    async restart() {
      if (server.alive) await server.signal('SIGKILL');
      server = await start();
    },
    pause: () => server.signal('SIGSTOP'),
    resume: () => server.signal('SIGCONT'),
    async stop() {
      await server.signal('SIGKILL');
      await epmd.signal('SIGKILL');
      removeServerDirectory(directory);
    },
  };
}

/** Set by the global set-up: where the test files of a run meet, and the process that outlives them. */
export const SHARED_DIRECTORY = 'SPARK_PROXY_TEST_SHARED';

/**
 * The URL of one RabbitMQ for all test files of a run, started by whoever asks first; it ends with the run. Users keep
 * apart by the cluster in their URLs (`?cluster=`), and must not stop it.
 */
export async function sharedRabbitmq(): Promise<string> {
  const [directory, owner] = (process.env[SHARED_DIRECTORY] ?? '').split('|') as [string, string];
  if (directory === '') throw new Error('sharedRabbitmq needs the global set-up of the test run');
  const told = join(directory, 'rabbitmq');
  let mine = true;
  try {
    mkdirSync(join(directory, 'rabbitmq.lock'));
  } catch {
    mine = false;
  }
  if (mine) {
    let said: string;
    try {
      const server = await startRabbitmq({ owner: Number(owner) });
      said = `ok ${server.url}`;
    } catch (error) {
      said = `no ${(error as Error).message}`;
    }
    writeFileSync(`${told}.part`, said);
    renameSync(`${told}.part`, told);
  }
  while (!existsSync(told)) await new Promise((resolve) => setTimeout(resolve, 100));
  const said = readFileSync(told, 'utf8');
  if (!said.startsWith('ok ')) throw new Error(said.slice(3));
  return said.slice(3);
}
