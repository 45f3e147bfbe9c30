/**
 * One captured context's way out: transport, register center, dispatcher and, where asked for, worker processes.
 * OWNERSHIP: begins when the context is captured, ends when the context stops. While it cannot place tasks, they run inside.
 */
import { hostname } from 'node:os';
import { systemClock, type Timer } from '../core/clock.ts';
import { IdMap } from '../core/id-map.ts';
import { withoutPassword, type Configuration } from '../core/config.ts';
import { createLogger } from '../core/logger.ts';
import { makeTemporaryDirectory, removeTemporaryDirectory } from '../core/temporary.ts';
import { version } from '../core/version.ts';
import type { Dispatcher, DispatcherListener, DispatcherStats } from '../dispatcher/contract.ts';
import { encodeFailure } from '../protocol/failure.ts';
import type { StatusUpdate, TaskDescription } from '../protocol/task.ts';
import type { RegisterCenter } from '../registry/contract.ts';
import type { SparkListener } from '../scheduler/events.ts';
import type { SchedulerBackend, WorkerOffer } from '../scheduler/backend.ts';
import type { Transport } from '../transports/contract.ts';
import { transportUrlOf } from '../transports/index.ts';
import { reachableHost } from '../transports/reachable.ts';
import { RESCHEDULE_ERRORS } from './errors.ts';
import { openDispatcher } from './open-dispatcher.ts';
import { stageFeed } from './stage-feed.ts';
import { startWorkerProcesses, type WorkerProcesses } from './worker-processes.ts';

const logger = createLogger('reschedule');

/** Executor id under which tasks for the dispatcher are offered and launched; the worker is the dispatcher's choice. */
export const EXTERNAL_EXECUTOR = 'external';

/** Workers that are there and were not given its tasks (they run none of the kind, or not for this application) are offered again after this long, milliseconds. */
const UNSUITED_MS = 1000;

/** What was done with the tasks of one context. */
export interface SessionStats {
  readonly runId: string;
  readonly destination: 'external' | 'internal';
  /** Tasks captured at launchTasks. */
  readonly captured: number;
  /** Of these, those whose launch proceeded inside. */
  readonly inside: number;
  readonly dispatcher: DispatcherStats | undefined;
}

/** Whose tasks go out: a SparkContext, or the calls of `offload`. */
export interface SessionOwner {
  readonly applicationId: string;
  readonly appName: string;
  readonly configuration: Configuration;
  readonly backend: Pick<SchedulerBackend, 'blob' | 'onBlobReleased' | 'statusUpdate' | 'executorLost' | 'reviveOffers'>;
  /** Begins to give its shuffle files to workers, where it has any. */
  serveBlocks(host: string): Promise<void>;
  /** Stages, for the order of tasks. */
  addSparkListener(listener: SparkListener): () => void;
}

export class RescheduleSession implements DispatcherListener {
  readonly runId: string;
  readonly #context: SessionOwner;
  readonly #url: string | undefined;
  readonly #instances: number;
  readonly #blobs = new Set<string>();
  readonly #out = new IdMap<true>();
  #transport: Transport | undefined;
  #registry: RegisterCenter | undefined;
  #dispatcher: Dispatcher | undefined;
  #workers: WorkerProcesses | undefined;
  #localDir: string | undefined;
  #unsubscribe: (() => void) | undefined;
  #waiting: Timer | undefined;
  #starting: Promise<void> | undefined;
  readonly #unwatch: () => void;
  #lastStats: DispatcherStats | undefined;
  /** Tasks came back although workers are there (told once): until when, or until how many are there, tasks run inside. */
  #unsuited: { readonly until: number; readonly workers: number } | undefined;
  #captured = 0;
  #inside = 0;
  #closed = false;
  #closing: Promise<void> | undefined;
  readonly #closedListeners: (() => void)[] = [];
  readonly #changeListeners: (() => void)[] = [];

  constructor(context: SessionOwner, runId: string) {
    this.runId = runId;
    this.#context = context;
    const { backend, configuration } = context;
    this.#instances = configuration.get('worker.instances');
    this.#url = transportUrlOf(configuration) ?? (this.#instances > 0 ? 'tcp://127.0.0.1:0' : undefined);
    this.#startOnce();
    // The destination may be changed while the program runs.
    this.#unwatch = configuration.onChange((key) => {
      if (key !== 'reschedule.dst.executor' || this.#closed) return;
      this.#startOnce();
      backend.reviveOffers();
    });
  }

  #startOnce(): void {
    if (this.#url === undefined || this.destination === 'internal' || this.#transport !== undefined || this.#starting !== undefined) return;
    this.#starting = this.#start(this.#url).finally(() => {
      this.#starting = undefined;
      this.#context.backend.reviveOffers();
    });
  }

  get destination(): 'external' | 'internal' {
    return this.#context.configuration.get('reschedule.dst.executor');
  }

  /** Starts what leads outside; a failure is told once, and the tasks stay inside. */
  async #start(url: string): Promise<void> {
    const { configuration, backend } = this.#context;
    if (this.#instances > 0) {
      this.#waiting = systemClock.after(
        configuration.get('worker.register.timeout'),
        () => {
          logger.warn('not all worker processes have registered in time', { asked: this.#instances });
          this.#stopWaiting();
        },
        { background: true },
      );
    }
    try {
      const { transport, registry, dispatcher } = await openDispatcher(url, configuration, this.#context.applicationId, this);
      this.#transport = transport;
      this.#registry = registry;
      this.#dispatcher = dispatcher;
      await this.#context.serveBlocks(configuration.get('spark.driver.host') ?? reachableHost(url));
      await this.#registry.announce({
        kind: 'application',
        id: this.#context.applicationId,
        host: hostname(),
        pid: process.pid,
        version,
        slots: 0,
        kinds: [],
        labels: { 'run.id': this.runId, name: this.#context.appName },
        queue: '',
      });
      const offBlobs = backend.onBlobReleased((hash) => {
        if (this.#blobs.delete(hash)) this.#dispatcher?.releaseBlob(hash);
      });
      const { applicationId } = this.#context;
      const isSpeculating = configuration.get('spark.speculation') === 'true';
      const offStages = this.#context.addSparkListener(stageFeed((stages) => this.#dispatcher?.stages(applicationId, stages), isSpeculating));
      this.#unsubscribe = () => {
        offBlobs();
        offStages();
      };
      if (this.#instances > 0 && !this.#closed) {
        this.#localDir = makeTemporaryDirectory(configuration.get('spark.local.dir'), 'spark-proxy-workers');
        this.#workers = startWorkerProcesses(this.#instances, this.#transport.url, configuration, this.#localDir, systemClock, (pid) => this.#workerDied(pid));
      }
    } catch (cause) {
      const error = RESCHEDULE_ERRORS.NO_TRANSPORT({ url: withoutPassword(url), reason: (cause as Error).message }, cause);
      logger.error(error.message);
      this.#dispatcher = undefined;
      this.#stopWaiting();
    }
  }

  /** Its process was seen to end: nobody need wait for its beats to be missed. */
  #workerDied(pid: number): void {
    const worker = this.#dispatcher?.stats().workers.find((known) => known.pid === pid && known.alive);
    if (worker !== undefined) void this.#registry?.evict(worker.id);
  }

  #stopWaiting(): void {
    this.#waiting?.cancel();
    this.#waiting = undefined;
    this.#context.backend.reviveOffers();
  }

  readonly #cost = (commons: readonly string[]): number => this.#dispatcher?.cost(this.#context.applicationId, commons) ?? 1;

  /** Offers for the scheduler, or undefined: those of the backend itself. */
  offers(): WorkerOffer[] | undefined {
    if (this.destination === 'internal' || this.#closed) return undefined;
    const capacity = this.#dispatcher?.capacity();
    if (this.#waiting !== undefined) {
      if (capacity === undefined || capacity.workers < this.#instances) return [];
      this.#stopWaiting();
    }
    if (capacity === undefined) return this.#starting === undefined ? undefined : [];
    if (capacity.workers === 0 || this.#areUnsuited(capacity.workers)) return undefined;
    return [{ executorId: EXTERNAL_EXECUTOR, host: '*', cores: capacity.credit, cost: this.#cost }];
  }

  #areUnsuited(workers: number): boolean {
    return this.#unsuited !== undefined && this.#unsuited.workers === workers && systemClock.now() < this.#unsuited.until;
  }

  /** Slots outside, for the default number of partitions. */
  plannedSlots(): number {
    if (this.destination === 'internal' || this.#url === undefined) return 0;
    return Math.max(this.#dispatcher?.capacity().slots ?? 0, this.#instances * this.#context.configuration.get('worker.slots'));
  }

  /** Counts what launchTasks was given, and takes those tasks that were offered outside; returns the others. */
  capture(tasks: readonly TaskDescription[]): readonly TaskDescription[] {
    this.#captured += tasks.length;
    const outside = tasks.filter((task) => task.executorId === EXTERNAL_EXECUTOR);
    const others = outside.length === 0 ? tasks : tasks.filter((task) => task.executorId !== EXTERNAL_EXECUTOR);
    this.#inside += others.length;
    const dispatcher = this.#dispatcher;
    if (outside.length === 0) return others;
    if (dispatcher === undefined) {
      this.handBack(this.#context.applicationId, outside);
      return others;
    }
    for (const task of outside) {
      this.#out.set(task.taskId, true);
      for (const hash of task.commons) {
        if (this.#blobs.has(hash)) continue;
        this.#blobs.add(hash);
        dispatcher.putBlob({ hash, bytes: this.#context.backend.blob(hash) });
      }
    }
    const application = this.#context.applicationId;
    dispatcher.submit(outside.map((task) => ({ application, task })));
    return others;
  }

  /** True when the task is outside and its cancellation was asked for. */
  kill(taskId: number, reason: string): boolean {
    if (!this.#out.has(taskId) || this.#dispatcher === undefined) return false;
    this.#dispatcher.cancel(this.#context.applicationId, taskId, reason);
    return true;
  }

  // What the dispatcher tells

  statusUpdate(_application: string, update: StatusUpdate): void {
    if (update.state !== 'RUNNING') this.#out.delete(update.taskId);
    this.#context.backend.statusUpdate(update);
  }

  /** The attempts end as lost, which is no failure of theirs: the scheduler offers the tasks again, now inside. */
  handBack(_application: string, tasks: readonly TaskDescription[]): void {
    // First, because the scheduler asks for offers at once.
    const workers = this.#dispatcher?.capacity().workers ?? 0;
    if (workers > 0) {
      if (this.#unsuited === undefined) logger.warn('no worker that is there takes these tasks: they run inside', { workers, tasks: tasks.length });
      this.#unsuited = { until: systemClock.now() + UNSUITED_MS, workers };
    }
    for (const { taskId } of tasks) {
      this.#out.delete(taskId);
      this.#context.backend.statusUpdate({
        taskId,
        state: 'LOST',
        executorId: EXTERNAL_EXECUTOR,
        data: encodeFailure(RESCHEDULE_ERRORS.HANDED_BACK({ taskId })),
      });
    }
  }

  workerLost(workerId: string, reason: string): void {
    logger.info('worker lost', { worker: workerId, reason });
    this.#context.backend.executorLost(workerId, reason);
  }

  capacityChanged(): void {
    for (const listener of this.#changeListeners.splice(0)) listener();
    this.#context.backend.reviveOffers();
  }

  stats(): SessionStats {
    return {
      runId: this.runId,
      destination: this.destination,
      captured: this.#captured,
      inside: this.#inside,
      dispatcher: this.#dispatcher?.stats() ?? this.#lastStats,
    };
  }

  /** Where workers connect to; resolves when the transport is open. @throws SP_RESCHEDULE_NO_TRANSPORT */
  async url(): Promise<string> {
    await this.#starting;
    if (this.#transport === undefined) throw RESCHEDULE_ERRORS.NO_TRANSPORT({ url: withoutPassword(this.#url ?? '(none)'), reason: 'it is not open' });
    return this.#transport.url;
  }

  /** Resolves at the next change of who is there or how much they may be given. */
  changed(): Promise<void> {
    return new Promise((resolve) => this.#changeListeners.push(resolve));
  }

  /** Called once, when everything of the session has ended. */
  onClosed(listener: () => void): void {
    this.#closedListeners.push(listener);
  }

  /** Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#closed = true;
    // Idle connections keep no process alive, but their orderly end must.
    const keepAlive = setInterval(() => undefined, 2 ** 30);
    try {
      this.#unwatch();
      this.#waiting?.cancel();
      this.#waiting = undefined;
      await this.#starting;
      this.#lastStats = this.#dispatcher?.stats();
      this.#unsubscribe?.();
      await this.#workers?.stop();
      await this.#dispatcher?.close();
      this.#dispatcher = undefined;
      await this.#registry?.close();
      await this.#transport?.close();
      if (this.#localDir !== undefined) await removeTemporaryDirectory(this.#localDir);
    } finally {
      clearInterval(keepAlive);
    }
    for (const listener of this.#closedListeners) listener();
  }
}
