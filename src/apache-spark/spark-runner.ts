/** Runs tasks of Apache Spark on a worker: one executor an application, started when the application is announced. */
import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock, type Clock, type Timer } from '../core/clock.ts';
import { printable, SparkProxyError } from '../core/errors.ts';
import { createLogger, type Logger } from '../core/logger.ts';
import type { TaskDescription } from '../protocol/task.ts';
import type { Load, RegistryEvent } from '../registry/contract.ts';
import type { BlobSource, TaskRunner } from '../worker/contract.ts';
import { readSparkLabels, type SparkAsk } from './announcement.ts';
import { sparkErrors } from './errors.ts';
import { FIRST_EXECUTOR_ID } from './events.ts';
import { agentJar, executorCommand, executorMemory } from './executor-command.ts';
import { ExecutorProcess } from './executor-process.ts';
import { startLinkServer, type LinkHandler, type LinkPeer, type LinkServer } from './link-server.ts';
import { SPARK_KIND } from './placement.ts';
import { MAX_AHEAD } from './run-ahead.ts';
import { fittingVersion, versionsLabel, type SparkInstallation } from './versions.ts';

export interface SparkRunnerOptions {
  readonly workerId: string;
  /** Cores an executor has; the worker's slots. */
  readonly slots: number;
  /** Memory of all executors of this worker, MiB. */
  readonly memoryMiB: number;
  /** Under which drivers and other executors reach this machine. */
  readonly host: string;
  /** Executors have their directories here; nobody else may write or remove anything in it. */
  readonly directory: string;
  readonly installations: readonly SparkInstallation[];
  /** An executor whose application has no job for so long ends; the next job starts another. 0: never. Milliseconds. */
  readonly idleMs: number;
  /** An application that the register center has lost keeps its executor for so long, milliseconds. @defaultValue 60000 */
  readonly lingerMs?: number;
  /** Opens a secret that the dispatcher sealed. @defaultValue applications with spark.authenticate are refused */
  readonly unseal?: ((sealed: string, application: string) => string) | undefined;
  /** More options for the JVM of executors. */
  readonly javaOptions?: readonly string[];
  /** Jars on the class path of executors that start from now on. @defaultValue none */
  readonly classPath?: () => readonly string[];
  /** @defaultValue agentJar() */
  readonly agent?: string;
  readonly clock?: Clock;
  readonly logger?: Logger;
}

export interface SparkRunner extends TaskRunner {
  /** For the worker's registration: the versions it has. */
  readonly label: string;
  /** `blobs` is asked for the base of a task that is said as what makes it differ from another. */
  run(task: TaskDescription, blobs: BlobSource): Promise<Uint8Array>;
  /** Applications come, say how busy they are, and go. */
  applicationEvent(event: RegistryEvent): void;
  /** Its executors now. */
  executors(): readonly { readonly application: string; readonly executorId: string; readonly pid: number | undefined; readonly tasks: number }[];
}

interface Entry {
  readonly ask: SparkAsk;
  executor: ExecutorProcess | undefined;
  token: string;
  /** MiB it holds while it runs. */
  holds: number;
  activeJobs: number;
  failures: number;
  startedAt: number;
  retry: Timer | undefined;
  idle: Timer | undefined;
  /** Runs while the register center does not know its application. */
  leaving: Timer | undefined;
}

interface Waiting {
  readonly blobs: BlobSource;
  readonly resolve: (result: Uint8Array) => void;
  readonly reject: (error: unknown) => void;
}

const LINGER_MS = 60_000;
const MIN_BACKOFF_MS = 500;
const MAX_BACKOFF_MS = 30_000;
/** An executor that ran for so long is forgiven earlier failures. */
const HEALTHY_MS = 60_000;
/** How many there are from FIRST_EXECUTOR_ID on. */
const IDS = 1_000_000_000;

/** @throws SP_SPARK_NO_AGENT; the error of listen */
export async function createSparkRunner(options: SparkRunnerOptions): Promise<SparkRunner> {
  const runner = new Runner(options, options.agent ?? agentJar());
  await runner.open();
  return runner;
}

class Runner implements SparkRunner {
  readonly kind = SPARK_KIND;
  readonly label: string;
  readonly #options: SparkRunnerOptions;
  readonly #agent: string;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #entries = new Map<string, Entry>();
  readonly #byExecutor = new Map<string, ExecutorProcess>();
  readonly #stopping = new Set<Promise<void>>();
  readonly #waiting = new Map<TaskDescription, Waiting>();
  #active = 0;
  #link: LinkServer | undefined;
  #closed = false;

  constructor(options: SparkRunnerOptions, agent: string) {
    this.#options = options;
    this.#agent = agent;
    this.#clock = options.clock ?? systemClock;
    this.#logger = options.logger ?? createLogger('spark-runner');
    this.label = versionsLabel(options.installations);
  }

  get capacity(): number {
    // Twice: what has ended there is said a little later.
    return this.#options.slots * (1 + 2 * MAX_AHEAD);
  }

  async open(): Promise<void> {
    this.#link = await startLinkServer({ host: '127.0.0.1', port: 0, logger: this.#logger, clock: this.#clock, accept: (peer) => this.#accept(peer) });
  }

  #accept(peer: LinkPeer): { welcome: Record<string, string>; handler: LinkHandler } {
    const { hello, remote } = peer;
    const executorId = hello.get('executorId') ?? '';
    for (const { executor, token, ask } of this.#entries.values()) {
      if (executor?.executorId !== executorId || token !== hello.get('token')) continue;
      executor.linked(peer);
      const tasks = Math.max(1, Math.floor(this.#options.slots / (Number(ask.settings['spark.task.cpus']) || 1)));
      return { welcome: { executor: executorId, tasks: String(tasks) }, handler: executor };
    }
    throw sparkErrors.LINK_REFUSED({ remote, reason: 'no executor of this worker shows that token' });
  }

  /**
   * At most `slots` at a time, whosever tasks they are: each application counts on all cores of its executor. An executor
   * that has the worker to itself may have more wait, of which it runs as many as it has cores.
   */
  run(task: TaskDescription, blobs: BlobSource): Promise<Uint8Array> {
    if (this.#waiting.size === 0 && this.#fits(task)) return this.#begin(task, blobs);
    return new Promise((resolve, reject) => this.#waiting.set(task, { blobs, resolve, reject }));
  }

  #fits({ executorId }: TaskDescription): boolean {
    const { slots } = this.#options;
    if (this.#active < slots) return true;
    return this.#active < this.capacity && this.#byExecutor.get(executorId)?.tasks === this.#active;
  }

  async #begin(task: TaskDescription, blobs: BlobSource): Promise<Uint8Array> {
    this.#active++;
    try {
      const executor = this.#byExecutor.get(task.executorId);
      if (executor === undefined) throw sparkErrors.EXECUTOR_ENDED({ executor: task.executorId, name: task.name });
      return await executor.run(task, blobs);
    } finally {
      this.#active--;
      for (const [next, { blobs: source, resolve, reject }] of this.#waiting) {
        if (!this.#fits(next)) break;
        this.#waiting.delete(next);
        this.#begin(next, source).then(resolve, reject);
      }
    }
  }

  /**
   * Only what waits here is dropped. What has begun is Spark's: its driver kills it by itself, and a dispatcher that is gone
   * is no reason to.
   */
  kill(task: TaskDescription): void {
    const waiting = this.#waiting.get(task);
    this.#waiting.delete(task);
    waiting?.reject(sparkErrors.TASK_FAILED({ name: task.name, state: 'KILLED', executor: task.executorId }));
  }

  executors() {
    return [...this.#byExecutor.values()].map(({ application, executorId, pid, tasks }) => ({ application, executorId, pid, tasks }));
  }

  applicationEvent(event: RegistryEvent): void {
    if (this.#closed) return;
    if (event.type === 'joined') {
      const ask = readSparkLabels(event.entry);
      if (ask === undefined) return;
      let entry = this.#entries.get(ask.application);
      if (entry !== undefined && entry.ask.driverUrl !== ask.driverUrl) this.#end(entry);
      else if (entry !== undefined) {
        entry.leaving?.cancel();
        entry.leaving = undefined;
        return this.#activity(entry, event.load);
      }
      entry = {
        ask,
        executor: undefined,
        token: '',
        holds: 0,
        activeJobs: 0,
        failures: 0,
        startedAt: 0,
        retry: undefined,
        idle: undefined,
        leaving: undefined,
      };
      this.#entries.set(ask.application, entry);
      if (ask.mode === 'external') this.#start(entry);
      this.#activity(entry, event.load);
      return;
    }
    const entry = this.#entries.get(event.id);
    if (entry === undefined) return;
    if (event.type === 'beat') this.#activity(entry, event.load);
    else if (entry.executor === undefined) this.#end(entry);
    // Perhaps only its dispatcher has gone: its driver goes on with this executor, and ends it when it ends.
    else entry.leaving ??= this.#clock.after(this.#options.lingerMs ?? LINGER_MS, () => this.#end(entry), { background: true });
  }

  #activity(entry: Entry, load: Load): void {
    entry.activeJobs = load.running;
    const { idleMs } = this.#options;
    if (load.running > 0) {
      entry.idle?.cancel();
      entry.idle = undefined;
      if (entry.executor === undefined && entry.retry === undefined && entry.ask.mode === 'external') this.#start(entry);
    } else if (entry.executor !== undefined && entry.idle === undefined && idleMs > 0) {
      entry.idle = this.#clock.after(
        idleMs,
        () => {
          entry.idle = undefined;
          if (entry.activeJobs === 0 && entry.executor?.tasks === 0) this.#stop(entry, 'its application idles');
        },
        { background: true },
      );
    }
  }

  #start(entry: Entry): void {
    const { ask } = entry;
    entry.retry?.cancel();
    entry.retry = undefined;
    let executor: ExecutorProcess;
    try {
      executor = this.#launch(entry);
    } catch (error) {
      this.#logger.error('an executor cannot be started', { application: ask.application, error: (error as Error).message });
      // Memory may become free; a version or secret that is missing stays missing.
      if (SparkProxyError.is(error) && error.code === 'SP_SPARK_NO_MEMORY') this.#retryLater(entry, MAX_BACKOFF_MS);
      return;
    }
    entry.executor = executor;
    this.#byExecutor.set(executor.executorId, executor);
    this.#logger.info('an executor starts', { application: ask.application, executor: executor.executorId, pid: executor.pid });
  }

  /** @throws SP_SPARK_NO_VERSION, SP_SPARK_NO_MEMORY, SP_SPARK_NO_SECRET */
  #launch(entry: Entry): ExecutorProcess {
    const { ask } = entry;
    const { installations, workerId, host, slots, unseal, javaOptions = [], classPath } = this.#options;
    const spark = fittingVersion(installations, ask.sparkVersion, ask.scalaVersion);
    if (spark === undefined) throw sparkErrors.NO_VERSION({ wanted: `${ask.sparkVersion} (Scala ${ask.scalaVersion})`, known: this.label || 'none' });
    const { totalMiB } = executorMemory(ask.settings);
    this.#makeRoom(entry, totalMiB);
    let secret: string | undefined;
    if (ask.authenticated) {
      if (ask.sealedSecret === '' || unseal === undefined) throw sparkErrors.NO_SECRET({ application: ask.application });
      secret = unseal(ask.sealedSecret, ask.application);
    }
    const executorId = String(FIRST_EXECUTOR_ID + (randomBytes(4).readUInt32BE() % IDS));
    const token = randomBytes(16).toString('hex');
    const directory = this.#directory(ask, executorId);
    entry.token = token;
    entry.holds = totalMiB;
    entry.startedAt = this.#clock.now();
    const link = `127.0.0.1:${this.#link?.port ?? 0}`;
    const command = executorCommand({
      ask,
      spark,
      executorId,
      workerId,
      host,
      cores: slots,
      directory,
      link,
      token,
      secret,
      agent: this.#agent,
      javaOptions,
      classPath: classPath?.() ?? [],
    });
    const executor = new ExecutorProcess({
      executorId,
      application: ask.application,
      command,
      directory,
      clock: this.#clock,
      onExit: (expected, why) => this.#exited(entry, executor, directory, expected, why),
    });
    return executor;
  }

  /** Of this executor alone, so that nothing but its own end removes it. */
  #directory(ask: SparkAsk, executorId: string): string {
    return join(this.#options.directory, `${ask.application.replaceAll(/[^\w.-]/g, '_')}-${executorId}`);
  }

  /** Idle executors of other applications make room; what works does not. @throws SP_SPARK_NO_MEMORY */
  #makeRoom(wanting: Entry, needed: number): void {
    const { memoryMiB } = this.#options;
    let free = memoryMiB;
    for (const { holds } of this.#entries.values()) free -= holds;
    if (free >= needed) return;
    const idle = [...this.#entries.values()].filter((one) => one !== wanting && one.executor !== undefined && one.activeJobs === 0 && one.executor.tasks === 0);
    for (const one of idle) {
      if (free >= needed) break;
      free += one.holds;
      this.#stop(one, 'another application needs its memory');
    }
    if (free < needed) throw sparkErrors.NO_MEMORY({ application: wanting.ask.application, needed, free: Math.max(0, free) });
  }

  #exited(entry: Entry, executor: ExecutorProcess, directory: string, expected: boolean, why: string): void {
    const { ask } = entry;
    this.#byExecutor.delete(executor.executorId);
    if (!expected)
      this.#logger.warn('an executor is gone', { application: ask.application, executor: executor.executorId, why, log: printable(executor.tail(), 2000) });
    this.#remove(directory);
    if (entry.executor !== executor) return;
    entry.executor = undefined;
    entry.holds = 0;
    if (expected || this.#closed || this.#entries.get(ask.application) !== entry) return;
    if (entry.leaving !== undefined) return this.#end(entry);
    if (this.#clock.now() - entry.startedAt > HEALTHY_MS) entry.failures = 0;
    this.#retryLater(entry, Math.min(MAX_BACKOFF_MS, MIN_BACKOFF_MS * 2 ** entry.failures++));
  }

  /** Its Python workers may write for a moment longer. */
  #remove(directory: string): void {
    const removing = rm(directory, { recursive: true, force: true, maxRetries: 3 })
      .catch((error: unknown) => this.#logger.warn('the directory of an executor stays', { directory, error: (error as Error).message }))
      .finally(() => this.#stopping.delete(removing));
    this.#stopping.add(removing);
  }

  #retryLater(entry: Entry, ms: number): void {
    entry.retry?.cancel();
    entry.retry = this.#clock.after(ms, () => this.#start(entry), { background: true });
  }

  #stop(entry: Entry, reason: string): void {
    const { executor } = entry;
    if (executor === undefined) return;
    this.#logger.info('an executor is stopped', { application: entry.ask.application, executor: executor.executorId, reason });
    entry.executor = undefined;
    entry.holds = 0;
    const stopping = executor.stop().finally(() => this.#stopping.delete(stopping));
    this.#stopping.add(stopping);
  }

  #end(entry: Entry): void {
    this.#entries.delete(entry.ask.application);
    entry.retry?.cancel();
    entry.idle?.cancel();
    entry.leaving?.cancel();
    this.#stop(entry, 'its application has ended');
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const entry of this.#entries.values()) this.#end(entry);
    while (this.#stopping.size > 0) await Promise.allSettled(this.#stopping);
    await this.#link?.close();
  }
}
