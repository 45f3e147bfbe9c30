import { AsyncLocalStorage } from 'node:async_hooks';
import { availableParallelism, hostname } from 'node:os';
import { SERIALIZE } from '../closure/contract.ts';
import { systemClock } from '../core/clock.ts';
import { mutualCertificates } from '../core/certificates.ts';
import { watchConfiguration, type ConfigurationWatch } from '../core/config-live.ts';
import { listOf, loadConfiguration, type Configuration } from '../core/config.ts';
import { EventBus } from '../core/events.ts';
import { newId } from '../core/ids.ts';
import { createLogger } from '../core/logger.ts';
import { makeTemporaryDirectory, removeTemporaryDirectory } from '../core/temporary.ts';
import { VERIFY_PROPERTY, type Sink } from '../executor/plan.ts';
import { blockId } from '../executor/task-runtime.ts';
import { limitsOf, ThreadPool } from '../executor/thread-pool.ts';
import { userFrames, type RddContext, type RddNode } from '../rdd/node.ts';
import { RDD } from '../rdd/rdd.ts';
import { parallelizeNode, rangeNode, textFileNode } from '../rdd/sources.ts';
import { startBlockServer, type BlockServer } from '../shuffle/block-server.ts';
import { Accumulator, type AccumulatorParam } from '../storage/accumulator.ts';
import { BlobStore } from '../storage/blob-store.ts';
import { BlockLocations } from '../storage/block-locations.ts';
import { Broadcast } from '../storage/broadcast.ts';
import { isTaskThread } from '../storage/task-context.ts';
import { DAGScheduler } from './dag-scheduler.ts';
import { SCHEDULER_ERRORS } from './errors.ts';
import type { SparkListener, SparkListenerEvents } from './events.ts';
import { DRIVER_EXECUTOR, LocalSchedulerBackend } from './local-backend.ts';
import { prepareLineage } from './prepare.ts';
import { SparkConf } from './spark-conf.ts';
import { TaskScheduler } from './task-scheduler.ts';

const logger = createLogger('spark-context');

/** The entry point of a program: makes RDDs and runs their jobs; Spark's SparkContext, embedded. */
export class SparkContext implements RddContext {
  // Where it says `!`: not assigned in a task, which gets contextOfTask().
  readonly applicationId = newId('app');
  readonly appName!: string;
  readonly master!: string;
  readonly startTime = systemClock.wallTime();
  readonly configuration!: Configuration;
  /** What jobs, stages, tasks and executors do, under the names of Spark's listener. */
  readonly events = new EventBus<SparkListenerEvents>(logger);
  /** Where tasks leave the scheduler. */
  readonly backend!: LocalSchedulerBackend;
  readonly #conf!: SparkConf;
  readonly #dag!: DAGScheduler;
  readonly #blobs = new BlobStore();
  readonly #blocks = new BlockLocations();
  readonly #accumulators = new Map<number, Accumulator<never, unknown>>();
  readonly #properties = new AsyncLocalStorage<Readonly<Record<string, string>>>();
  readonly #localDir!: string;
  #rdds = 0;
  #shuffles = 0;
  #ids = 0;
  #stopped: Promise<void> | undefined;
  readonly #watch!: ConfigurationWatch;
  #blockServer: BlockServer | undefined;
  /** While a job runs the process must not end, even when all its work is elsewhere. */
  #keepAlive: NodeJS.Timeout | undefined;

  /** @throws SP_CONFIG_BAD_VALUE, SP_CONFIG_UNKNOWN_KEY with where the value came from */
  constructor(conf: SparkConf | Readonly<Record<string, string | number | boolean>> = new SparkConf()) {
    if (isTaskThread()) return contextOfTask(SparkContext.prototype);
    this.#conf = conf instanceof SparkConf ? conf : new SparkConf(conf);
    const sources = { conf: [...this.#conf.getAll()] };
    const configuration = (this.configuration = loadConfiguration(sources));
    this.appName = configuration.get('spark.app.name');
    this.master = configuration.get('spark.master');
    const { threads, maxFailures } = parseMaster(this.master);
    this.#localDir = makeTemporaryDirectory(configuration.get('spark.local.dir'), 'spark-proxy');
    const pool = new ThreadPool({
      executorId: DRIVER_EXECUTOR,
      ownFiles: true,
      localDir: this.#localDir,
      threads,
      tls: mutualCertificates(configuration),
      ...limitsOf(configuration),
    });
    const taskScheduler = new TaskScheduler({
      maxFailures: maxFailures ?? configuration.get('spark.task.maxFailures'),
      clock: systemClock,
      logger: createLogger('task-scheduler'),
    });
    this.backend = new LocalSchedulerBackend(taskScheduler, pool, this.#blobs, threads);
    this.#dag = new DAGScheduler({
      application: this.applicationId,
      taskScheduler,
      blobs: this.#blobs,
      blocks: this.#blocks,
      events: this.events,
      clock: systemClock,
      maxStageAttempts: configuration.get('spark.stage.maxConsecutiveAttempts'),
      maxResultBytes: () => configuration.get('spark.driver.maxResultSize'),
      code: () => listOf(configuration.get('application.code')),
      inside: () => this.#blockServer?.location,
      taskTimeoutMs: () => configuration.get('task.timeout'),
      mergeAccumulators: (updates) => {
        for (const [id, update] of updates) this.#accumulators.get(id)?.merge(update);
      },
    });
    taskScheduler.initialize(this.backend, this.#dag);
    this.backend.start();
    this.#watch = watchConfiguration(configuration, sources);
    configuration.onChange(() => pool.setLimits(limitsOf(configuration)));
    this.events.emit('onApplicationStart', { appId: this.applicationId, appName: this.appName, time: this.startTime });
  }

  /** A copy: changing it has no effect on this context. */
  getConf(): SparkConf {
    return new SparkConf(Object.fromEntries(this.#conf.getAll()));
  }

  get defaultParallelism(): number {
    return this.configuration.get('spark.default.parallelism') ?? this.backend.defaultParallelism();
  }

  get isStopped(): boolean {
    return this.#stopped !== undefined;
  }

  // RDDs

  parallelize<T>(data: Iterable<T>, numSlices = this.defaultParallelism): RDD<T> {
    this.#requireRunning();
    return new RDD<T>(this, parallelizeNode(this, data, numSlices));
  }

  /** Numbers from `start` (0) up to, not including, `end`. */
  range(end: number): RDD<number>;
  range(start: number, end: number, step?: number, numSlices?: number): RDD<number>;
  range(first: number, end?: number, step = 1, numSlices = this.defaultParallelism): RDD<number> {
    this.#requireRunning();
    return new RDD<number>(this, end === undefined ? rangeNode(this, 0, first, step, numSlices) : rangeNode(this, first, end, step, numSlices));
  }

  /**
   * Lines of text files: a path, a directory, a glob, or several of them. Large files are cut into byte ranges,
   * small ones share a partition. UTF-8; lines end in LF or CRLF. Missing input is an error of the first action.
   */
  textFile(path: string | readonly string[], minPartitions = Math.max(2, this.defaultParallelism * 2)): RDD<string> {
    this.#requireRunning();
    return new RDD<string>(this, textFileNode(this, path, minPartitions));
  }

  emptyRDD<T>(): RDD<T> {
    return this.parallelize<T>([], 1);
  }

  union<T>(first: RDD<T>, ...rest: readonly RDD<T>[]): RDD<T> {
    return first.union(...rest);
  }

  // Shared variables

  broadcast<T>(value: T): Broadcast<T> {
    this.#requireRunning();
    return new Broadcast(++this.#ids, value);
  }

  longAccumulator(name?: string): Accumulator<number> {
    return this.#register((id) => new Accumulator<number>(id, name ?? `accumulator ${id}`, 'long'));
  }

  doubleAccumulator(name?: string): Accumulator<number> {
    return this.#register((id) => new Accumulator<number>(id, name ?? `accumulator ${id}`, 'double'));
  }

  collectionAccumulator<T>(name?: string): Accumulator<T, T[]> {
    return this.#register((id) => new Accumulator<T, T[]>(id, name ?? `accumulator ${id}`, 'collection'));
  }

  /** Any fold: `zero`, `add` and `merge` are shipped like other functions. */
  accumulator<T, U>(param: AccumulatorParam<T, U>, name?: string): Accumulator<T, U> {
    return this.#register((id) => new Accumulator<T, U>(id, name ?? `accumulator ${id}`, 'custom', param));
  }

  #register<T, U>(make: (id: number) => Accumulator<T, U>): Accumulator<T, U> {
    this.#requireRunning();
    const accumulator = make(++this.#ids);
    this.#accumulators.set(accumulator.id, accumulator as unknown as Accumulator<never, unknown>);
    return accumulator;
  }

  // Listeners and properties

  /** Returns the function that removes it. */
  addSparkListener(listener: SparkListener): () => void {
    const removals = Object.entries(listener).map(([event, handler]) => this.events.on(event as keyof SparkListenerEvents, handler.bind(listener) as never));
    return () => removals.forEach((remove) => remove());
  }

  /** For jobs submitted from here on in this asynchronous flow; tasks read it from TaskContext. undefined removes it. */
  setLocalProperty(key: string, value: string | undefined): void {
    const { [key]: _old, ...others } = this.#properties.getStore() ?? {};
    this.#properties.enterWith(value === undefined ? others : { ...others, [key]: value });
  }

  getLocalProperty(key: string): string | undefined {
    return this.#properties.getStore()?.[key];
  }

  // Jobs

  newRddId(): number {
    return this.#rdds++;
  }

  newShuffleId(): number {
    return this.#shuffles++;
  }

  async runJob(node: RddNode, sink: Sink, partitions: readonly number[], onResult: (index: number, value: unknown) => void): Promise<void> {
    this.#requireRunning();
    const calledFrom = new Error().stack ?? '';
    const given = this.#properties.getStore() ?? {};
    const properties = this.configuration.get('verify.quorum') > 0 ? { ...given, [VERIFY_PROPERTY]: 'true' } : given;
    const preparing = prepareLineage(node);
    if (preparing !== undefined) await preparing;
    this.#requireRunning();
    this.#keepAlive ??= setInterval(() => undefined, 2 ** 30);
    try {
      await this.#dag.runJob({ node, sink, partitions, properties, onResult }).done;
    } catch (error) {
      throw withCallSite(error, calledFrom);
    } finally {
      if (this.#dag.activeJobs === 0) {
        clearInterval(this.#keepAlive);
        this.#keepAlive = undefined;
      }
    }
  }

  /** From now on workers of other machines can read the shuffle files of tasks that ran inside. @throws SP_SHUFFLE_CANNOT_SERVE */
  async serveBlocks(host: string): Promise<void> {
    if (this.#blockServer !== undefined || this.#stopped !== undefined) return;
    const port = this.configuration.get('spark.blockManager.port');
    const server = await startBlockServer({ directory: this.#localDir, host, port, machine: hostname(), tls: mutualCertificates(this.configuration) });
    if (this.#stopped === undefined) this.#blockServer = server;
    else await server.close();
  }

  cancelAllJobs(reason = 'cancelled by the program'): void {
    this.#dag.cancelAll(reason);
  }

  unpersist(rddId: number): void {
    const prefix = blockId(this.applicationId, rddId);
    this.#blocks.remove(prefix);
    this.backend.dropBlocks(prefix);
    this.events.emit('onUnpersistRDD', { rddId });
  }

  #requireRunning(): void {
    if (this.#stopped !== undefined) throw SCHEDULER_ERRORS.CONTEXT_STOPPED();
  }

  /** Ends running jobs, threads and files. Idempotent. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    this.#watch.close();
    this.#dag.cancelAll('the SparkContext was stopped');
    this.events.emit('onApplicationEnd', { appId: this.applicationId, time: systemClock.wallTime() });
    await this.backend.stop();
    await this.#blockServer?.close();
    await removeTemporaryDirectory(this.#localDir);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** Contexts do not travel. @throws SP_SCHEDULER_CONTEXT_IN_TASK */
  [SERIALIZE](): never {
    throw SCHEDULER_ERRORS.CONTEXT_IN_TASK();
  }
}

/** What a task gets that imports a module which makes a context: nothing runs there, and whoever uses it is told. */
function contextOfTask(prototype: SparkContext): SparkContext {
  return new Proxy(Object.create(prototype) as SparkContext, {
    get(_, key) {
      // Asked of any object that is awaited or shown.
      if (key === 'then' || (typeof key === 'symbol' && key !== Symbol.asyncDispose)) return undefined;
      throw SCHEDULER_ERRORS.CONTEXT_MADE_IN_TASK();
    },
  });
}

function parseMaster(master: string): { threads: number; maxFailures: number | undefined } {
  const match = /^local(?:\[(\*|\d+)(?:,\s*(\d+))?\])?$/.exec(master);
  if (match === null) throw SCHEDULER_ERRORS.BAD_MASTER({ master });
  const [, threads, maxFailures] = match;
  return {
    threads: threads === undefined ? 1 : threads === '*' ? availableParallelism() : Number(threads),
    maxFailures: maxFailures === undefined ? undefined : Number(maxFailures),
  };
}

/** A job fails far from the action that asked for it: its error ends with the user's own lines. */
function withCallSite(error: unknown, calledFrom: string): unknown {
  if (error instanceof Error) {
    const head = (error.stack ?? error.message).split('\n').filter((line) => !/^\s+at /.test(line));
    Object.defineProperty(error, 'stack', { value: [...head, ...userFrames(calledFrom)].join('\n'), configurable: true, writable: true });
  }
  return error;
}
