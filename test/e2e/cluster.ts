/** Dispatchers, workers and programs as processes, over any transport. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ClusterStatus } from '../../src/protocol/admin.ts';
import { run, start, type Running } from './run-program.ts';

const CLI = fileURLToPath(new URL('../../bin/spark-proxy.js', import.meta.url));
export const SUMS = fileURLToPath(new URL('programs/sums.ts', import.meta.url));
/** What `sums.ts` prints, however often a task was run. */
export const SUMS_ANSWER = JSON.stringify({ totals: [79_800, 80_200, 80_600], seen: 1200 });

const CONF = ['registry.beat=150ms', 'registry.ttl=900ms', 'log.level=info'].flatMap((setting) => ['--conf', setting]);

export interface Daemon {
  readonly pid: number;
  readonly log: () => string;
  /** Resolves when the log has this. */
  said(what: string | RegExp): Promise<void>;
  signal(signal: NodeJS.Signals): void;
  /** Signals, and waits for its end. */
  end(signal: NodeJS.Signals): Promise<number | null>;
  readonly exited: Promise<number | null>;
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

function daemon(args: readonly string[]): Daemon {
  const child: ChildProcess = spawn(process.execPath, [CLI, ...args, ...CONF], { stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  const looks = new Set<() => void>();
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    log += text;
    for (const look of looks) look();
  });
  const exited = once(child, 'exit').then(([code]) => code as number | null);
  return {
    pid: child.pid as number,
    log: () => log,
    exited,
    said(what) {
      return new Promise((resolve, reject) => {
        const look = (): void => {
          if (typeof what === 'string' ? !log.includes(what) : !what.test(log)) return;
          looks.delete(look);
          resolve();
        };
        looks.add(look);
        void exited.then(() => reject(new Error(`${args[0]} ended before it said ${what}:\n${log}`)));
        look();
      });
    },
    signal: (signal) => void child.kill(signal),
    async end(signal) {
      child.kill(signal);
      if (signal !== 'SIGKILL') child.kill('SIGCONT');
      return exited;
    },
  };
}

/** A program, with the process that runs it. */
export function killAll(program: Running): void {
  try {
    process.kill(-(program.child.pid as number), 'SIGKILL');
  } catch {
    // It has ended.
  }
}

export class Cluster {
  readonly url: string;
  readonly #ends: (() => unknown)[] = [];
  readonly #local = mkdtempSync(join(tmpdir(), 'cluster-'));

  constructor(url: string) {
    this.url = url;
    this.#ends.push(() => rmSync(this.#local, { recursive: true, force: true }));
  }

  async dispatcher(...options: string[]): Promise<Daemon> {
    const started = daemon(['dispatcher', '--url', this.url, ...options]);
    this.#ends.push(() => started.end('SIGKILL'));
    await started.said('dispatcher: ready');
    return started;
  }

  async worker(slots = 2): Promise<Daemon> {
    const started = daemon(['worker', '--url', this.url, '--slots', String(slots), '--conf', `spark.local.dir=${this.#local}`]);
    this.#ends.push(() => started.end('SIGKILL'));
    await started.said('worker: ready');
    return started;
  }

  /** Starts a program, and waits until its first tasks are about to be launched. */
  async program(args: readonly string[] = [SUMS], conf: readonly string[] = []): Promise<Running> {
    const all = [`spark.local.dir=${this.#local}`, ...conf].flatMap((setting) => ['--conf', setting]);
    const running = start(['run', '--url', this.url, '--summary', ...CONF, ...all, ...args], { timeoutMs: 120_000 });
    this.#ends.push(async () => {
      killAll(running);
      await running.ended.catch(() => undefined);
    });
    await new Promise<void>((resolve, reject) => {
      const look = (): void => void (running.output.stderr.includes('begun') && resolve());
      running.child.stderr?.on('data', look);
      running.ended.then(() => reject(new Error(`the program ended too soon\n${running.output.stderr}`)), reject);
      look();
    });
    return running;
  }

  /** An operator's command; its answer as JSON. */
  async ask<T>(...args: string[]): Promise<T> {
    const { code, stdout, stderr } = await run([...args, '--json', '--url', this.url, '--conf', 'registry.beat=150ms', '--conf', 'registry.ttl=900ms']);
    if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}: ${stderr}`);
    return JSON.parse(stdout) as T;
  }

  /** Asks for the status until it is as wanted; a test that waits in vain fails by its time limit. */
  async until(holds: (status: ClusterStatus) => boolean): Promise<ClusterStatus> {
    for (;;) {
      const status = await this.ask<ClusterStatus>('status').catch(() => undefined);
      if (status !== undefined && holds(status)) return status;
    }
  }

  async close(): Promise<void> {
    for (const end of this.#ends.splice(0).reverse()) await end();
  }
}
