import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';
import { existsSync, mkdtempSync, openSync, closeSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const LOWEST_PORT = 10_000;
const PORT_RANGE = '/proc/sys/net/ipv4/ip_local_port_range';

/** Below those that the system itself gives to connections: nobody takes one of these between its choice and its use. */
function portsOfOurs(): number {
  const lowest = existsSync(PORT_RANGE) ? Number.parseInt(readFileSync(PORT_RANGE, 'utf8'), 10) : 32_768;
  return Math.max(lowest, LOWEST_PORT + 10_000);
}

/** A port nobody listens on, on the loopback interface. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(LOWEST_PORT, portsOfOurs());
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!isFree) continue;
    await new Promise<void>((resolve) => server.close(() => resolve()));
    return port;
  }
}

export function serverDirectory(prefix: string): string {
  return mkdtempSync(join(tmpdir(), `spark-proxy-${prefix}-`));
}

/**
 * Ends the server and removes its directory once `owner` is gone, however it went (also by SIGKILL): a shell that looks
 * every second. It ends by itself with the server.
 */
export function watchOver(owner: number, server: number, directory: string): void {
  const script =
    'while kill -0 "$1" 2>/dev/null && kill -0 "$2" 2>/dev/null; do sleep 1; done; kill -0 "$1" 2>/dev/null && exit; kill -9 "-$2" 2>/dev/null; rm -rf -- "$3"';
  spawn('/bin/sh', ['-c', script, 'watch', String(owner), String(server), directory], { detached: true, stdio: 'ignore' }).unref();
}

export interface ServerProcessOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly directory: string;
  /** Resolves when the server answers; called again and again until it does not throw. */
  ready(): Promise<void>;
  /** Time to become ready, milliseconds. */
  readonly readyMs: number;
  /** Process whose end ends the server. @defaultValue process.pid */
  readonly owner?: number;
}

/** A server in a process group of its own; its output is in `server.log` of its directory. */
export interface ServerProcess {
  readonly pid: number;
  readonly alive: boolean;
  /** Sends the signal to its group and, unless it only stops or continues it, waits for its end. */
  signal(signal: NodeJS.Signals): Promise<void>;
}

export async function startServer(options: ServerProcessOptions): Promise<ServerProcess> {
  const { command, args, directory, env = {}, readyMs } = options;
  const logPath = join(directory, 'server.log');
  const log = openSync(logPath, 'a');
  const child: ChildProcess = spawn(command, args, { detached: true, stdio: ['ignore', log, log], env: { ...process.env, ...env }, cwd: directory });
  closeSync(log);
  child.unref();
  const exited = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  });
  const { pid } = child;
  if (pid === undefined) throw new Error(`${command} cannot be started`);
  watchOver(options.owner ?? process.pid, pid, directory);
  const alive = (): boolean => child.exitCode === null && child.signalCode === null;
  const server: ServerProcess = {
    pid,
    get alive() {
      return alive();
    },
    async signal(signal) {
      try {
        process.kill(-pid, signal);
      } catch {
        // Gone already.
      }
      if (signal === 'SIGSTOP' || signal === 'SIGCONT') return;
      // Whoever waits for its end must not end before.
      child.ref();
      await exited;
    },
  };
  const deadline = performance.now() + readyMs;
  for (;;) {
    try {
      await options.ready();
      return server;
    } catch (error) {
      if (!alive() || performance.now() > deadline) {
        await server.signal('SIGKILL');
        throw new Error(`${command} did not become ready:\n${readFileSync(logPath, 'utf8').slice(-4000)}`, { cause: error });
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

export function removeServerDirectory(directory: string): void {
  rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
}

/** Runs a program to its end. Rejects with its error output. */
export function run(command: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(command, args, { env: { ...process.env, ...env }, maxBuffer: 1 << 24 }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`${command} ${args.join(' ')}: ${stderr || stdout}`, { cause: error }));
    });
  });
}
