/** Dispatchers, workers and programs as processes, over any transport; asked in this process, so that looking costs nothing. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { connectAdmin, type AdminClient } from '../../src/cli/admin-client.ts';
import type { AdminAnswer, AdminAsk, AdminQuestion, ClusterStatus } from '../../src/protocol/admin.ts';
import { run, start, type Running } from './run-program.ts';

const CLI = fileURLToPath(new URL('../../bin/spark-proxy.js', import.meta.url));
export const SUMS = fileURLToPath(new URL('programs/sums.ts', import.meta.url));
const LIAR = fileURLToPath(new URL('programs/lying-worker.ts', import.meta.url));
/** What `sums.ts` prints, however often a task was run: its sums, and rows counted by an accumulator, each once. */
export const SUMS_ANSWER = JSON.stringify({ totals: [79_800, 80_200, 80_600], seen: 1200 });
/** Tasks it runs. */
export const SUMS_TASKS = 72;

const BEATS = ['registry.beat=150ms', 'registry.ttl=1500ms'];
const CONF = [...BEATS, 'log.level=info'].flatMap((setting) => ['--conf', setting]);

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

function daemon(args: readonly string[], program = CLI): Daemon {
  const child: ChildProcess = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
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
      if (signal === 'SIGKILL') child.kill('SIGCONT');
      return exited;
    },
  };
}

/** A program, with the processes it started. */
export function killAll(program: Running): void {
  try {
    process.kill(-(program.child.pid as number), 'SIGKILL');
  } catch {
    // It has ended.
  }
}

/** Resolves when the program has printed this on its standard error. */
export function printed(program: Running, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const look = (): void => void (program.output.stderr.includes(text) && resolve());
    program.child.stderr?.on('data', look);
    program.ended.then(() => reject(new Error(`the program ended without a word of ${text}\n${program.output.stderr}`)), reject);
    look();
  });
}

export class Cluster {
  readonly url: string;
  readonly #ends: (() => unknown)[] = [];
  #admin: AdminClient | undefined;
  readonly #local = mkdtempSync(join(tmpdir(), 'cluster-'));

  constructor(url: string) {
    this.url = url;
    this.#ends.push(() => rmSync(this.#local, { recursive: true, force: true }));
  }

  async dispatcher(...conf: string[]): Promise<Daemon> {
    return this.#daemon(['dispatcher', '--url', this.url, ...CONF, ...conf.flatMap((setting) => ['--conf', setting])], 'dispatcher: ready');
  }

  async worker(slots = 2, ...more: string[]): Promise<Daemon> {
    return this.#daemon(['worker', '--url', this.url, '--slots', String(slots), '--conf', `spark.local.dir=${this.#local}`, ...CONF, ...more], 'worker: ready');
  }

  lyingWorker(how: 'value' | 'file'): Promise<Daemon> {
    return this.#daemon([this.url, this.#local, how], 'worker: ready', LIAR);
  }

  async #daemon(args: readonly string[], ready: string, program?: string): Promise<Daemon> {
    const started = daemon(args, program);
    this.#ends.push(() => started.end('SIGKILL'));
    await started.said(ready);
    return started;
  }

  /** Starts a program, and waits until its first tasks are about to be launched. */
  async program(args: readonly string[] = [SUMS], conf: readonly string[] = []): Promise<Running> {
    const all = [`spark.local.dir=${this.#local}`, ...conf].flatMap((setting) => ['--conf', setting]);
    const running = start(['run', '--url', this.url, '--summary', ...CONF, ...all, ...args], { timeoutMs: 170_000 });
    // Looked at by whoever asks for it.
    running.ended.catch(() => undefined);
    this.#ends.push(async () => {
      killAll(running);
      await running.ended.catch(() => undefined);
    });
    await printed(running, 'begun');
    return running;
  }

  /** A question of an operator's. */
  async ask<Q extends AdminQuestion>(question: Q, ask: AdminAsk<Q>): Promise<AdminAnswer<Q>> {
    this.#admin ??= await connectAdmin('test', { url: this.url, conf: [...BEATS, 'log.level=error'] });
    try {
      return await this.#admin.ask(question, ask);
    } catch (error) {
      await this.hangUp();
      throw error;
    }
  }

  /** Nobody asks any more. */
  async hangUp(): Promise<void> {
    const admin = this.#admin;
    this.#admin = undefined;
    await admin?.close();
  }

  /** An operator's command, as a process of its own. */
  command(...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
    return run([...args, '--url', this.url, ...BEATS.flatMap((setting) => ['--conf', setting])]);
  }

  /** Asks for the status until it is as wanted; a test that waits in vain fails by its time limit. */
  async until(holds: (status: ClusterStatus) => boolean): Promise<ClusterStatus> {
    for (;;) {
      // Between two leaders there is nobody to ask.
      const status = await this.ask('status', {}).catch(() => undefined);
      if (status !== undefined && holds(status)) return status;
      await wait(20);
    }
  }

  async close(): Promise<void> {
    await this.hangUp();
    for (const end of this.#ends.splice(0).reverse()) await end();
  }
}
