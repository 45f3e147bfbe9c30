/** One Apache Spark application in the dispatcher's process: what its agent says, what the dispatcher answers. */
import type { Clock, Timer } from '../core/clock.ts';
import { SparkProxyError } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import type { DispatcherListener } from '../dispatcher/contract.ts';
import { decodeFailure } from '../protocol/failure.ts';
import type { SparkApplicationInfo, SparkExecutor } from '../protocol/spark-application.ts';
import type { Blob, StatusUpdate, TaskDescription } from '../protocol/task.ts';
import type { Registration } from '../registry/contract.ts';
import type { HostSelector } from '../selectors/contract.ts';
import { Differences } from './differences.ts';
import { parseEvent, type SparkEvent } from './events.ts';
import { FRAME, FrameWriter, type FrameReader } from './frames.ts';
import type { LinkHandler, LinkPeer } from './link-server.ts';
import { LatencyHistogram } from './metrics.ts';
import { placeRound, readRound, SPARK_KIND, stageOfName } from './placement.ts';
import { RunAhead } from './run-ahead.ts';

/** What an application needs of a dispatcher; `LocalDispatcher.attach` gives it. */
export interface SparkPort {
  putBlob(blob: Blob): void;
  releaseBlob(hash: string): void;
  submit(tasks: readonly TaskDescription[]): void;
  cancel(taskId: number, reason: string): void;
  detach(reason: string): void;
}

/** The workers that can run its tasks, as the register center tells them. */
export interface SparkWorkers {
  get(workerId: string): Registration | undefined;
  /** Workers with a Spark that fits, whether their executors are attached or not. */
  fitting(sparkVersion: string, scalaVersion: string): readonly Registration[];
  readonly version: number;
  /** Tasks of all applications that are known to run on it. */
  started(workerId: string): number;
  isDraining(workerId: string): boolean;
}

export interface SparkApplicationOptions {
  readonly id: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly workers: SparkWorkers;
  readonly selector: HostSelector;
  readonly attach: (listener: DispatcherListener) => SparkPort;
  /** Captured and not heard of for so long: it is sent Spark's own way, milliseconds. */
  readonly deliverMs: number;
  /** How long a new context waits for its executors, milliseconds. */
  readonly registerMs: number;
  /** Workers that are expected to be there before a context goes on. */
  readonly expectedWorkers: number;
  readonly onEvent?: ((application: string, event: SparkEvent) => void) | undefined;
  /** Jobs began or ended. */
  readonly onActivity: (activeJobs: number) => void;
}

interface LiveTask {
  readonly executorId: string;
  readonly workerId: string;
  readonly stageId: number;
  readonly since: number;
  started: boolean;
  /** Taken away from its executor if it waits there. */
  recallable: boolean;
}

interface MutableFigures {
  captured: number;
  finished: number;
  fallenBack: number;
}

/** After the first executor, how long others may take before the context goes on. */
const SETTLE_MS = 3000;
const SWEEP_MS = 1000;
/** A task that waits at an executor for so long is taken away from it, milliseconds. */
const STUCK_MS = 1000;

/**
 * DELIVERY: the agent keeps a task until Spark hears of it from its executor. What this side cannot deliver (no worker, no
 * executor, lost, late) it says as `fallback`, and the agent sends it Spark's own way to the same executor, which runs it once.
 * RETRIES are Spark's: nothing is ever sent to another executor than the one Spark has written down.
 */
export class SparkApplication implements DispatcherListener, LinkHandler {
  readonly id: string;
  hello: ReadonlyMap<string, string>;
  readonly #options: SparkApplicationOptions;
  readonly #port: SparkPort;
  readonly #executors = new Map<string, SparkExecutor>();
  readonly #live = new Map<number, LiveTask>();
  readonly #byWorker = new Map<string, MutableFigures>();
  readonly #latency = new LatencyHistogram();
  readonly #jobs = new Set<number>();
  #ahead = new RunAhead();
  readonly #differences: Differences;
  /** Also those that are gone: ends of their tasks are told later. */
  readonly #external = new Set<string>();
  readonly #startedMs: number;
  readonly #counts = { captured: 0, rerouted: 0, fallenBack: 0, direct: 0, moved: 0, endedOutside: 0, endedInside: 0 };
  readonly #sweeping: Timer;
  #peer: LinkPeer | undefined;
  #going: Timer | undefined;
  #gone = false;
  #finished = false;
  #mode: 'external' | 'internal';

  constructor(peer: LinkPeer, options: SparkApplicationOptions) {
    this.id = options.id;
    this.hello = peer.hello;
    this.#peer = peer;
    this.#options = options;
    this.#mode = peer.hello.get('mode') === 'internal' ? 'internal' : 'external';
    this.#startedMs = Date.now();
    this.#port = options.attach(this);
    this.#differences = new Differences(this.#port);
    this.#sweeping = options.clock.every(SWEEP_MS, () => this.#sweep());
    // After this turn: the welcome goes first.
    this.#going = options.clock.after(0, () => this.#mayGo(), { background: true });
    options.clock.after(options.registerMs, () => this.#go(), { background: true });
  }

  /** The driver is here again after its link broke: it keeps its name and figures. */
  relink(peer: LinkPeer): void {
    this.#peer?.close();
    this.#peer = peer;
    this.hello = peer.hello;
    this.#gone = false;
    // It has forgotten what it was told.
    this.#ahead = new RunAhead();
    this.#go();
  }

  get peer(): LinkPeer | undefined {
    return this.#peer;
  }

  /** Spark has said that it ends. */
  get finished(): boolean {
    return this.#finished;
  }

  get linked(): boolean {
    return this.#peer !== undefined;
  }

  get mode(): 'external' | 'internal' {
    return this.#mode;
  }

  /** Live: the next launch goes the other way. */
  setMode(mode: 'external' | 'internal'): void {
    this.#mode = mode;
    this.#peer?.send(new FrameWriter(FRAME.mode).u8(mode === 'external' ? 1 : 0));
  }

  /** SparkContext.stop, from outside. */
  stop(reason: string): void {
    this.#peer?.send(new FrameWriter(FRAME.stop).string(reason));
  }

  /** Spark kills this attempt, and retries it as its own rules say. */
  killTask(taskId: number, reason: string): void {
    this.#peer?.send(new FrameWriter(FRAME.killTask).u64(taskId).u8(1).string(reason));
  }

  /** Nobody comes back: its driver has ended. */
  end(reason: string): void {
    this.#sweeping.cancel();
    this.#going?.cancel();
    this.#peer?.close();
    this.#peer = undefined;
    this.#port.detach(reason);
    this.#live.clear();
  }

  /** A worker has joined: perhaps the one that the context waits for. */
  workersChanged(): void {
    if (!this.#gone) this.#mayGo();
  }

  /** It drains: Spark offers its executor nothing more, and what it has not begun is Spark's own to deliver. Or it does no more. */
  workerDrains(workerId: string, draining: boolean): void {
    for (const { executorId, workerId: on } of this.#executors.values()) {
      if (on === workerId) this.#peer?.send(new FrameWriter(FRAME.offer).string(executorId).u8(draining ? 0 : 1));
    }
    if (draining) this.#cancelWaiting((task) => task.workerId === workerId, 'its worker drains');
  }

  /** What is cancelled ends as KILLED, and is said to the agent as `fallback`. */
  #cancelWaiting(which: (task: LiveTask) => boolean, reason: string): void {
    for (const [taskId, task] of this.#live) if (!task.started && which(task)) this.#port.cancel(taskId, reason);
  }

  started(workerId: string): number {
    let count = 0;
    for (const task of this.#live.values()) if (task.started && task.workerId === workerId) count++;
    return count;
  }

  outstanding(workerId: string): number {
    let count = 0;
    for (const task of this.#live.values()) if (task.workerId === workerId) count++;
    return count;
  }

  // What the agent says

  frame(type: number, reader: FrameReader): void {
    switch (type) {
      case FRAME.tasks:
        return this.#tasks(reader);
      case FRAME.event:
        return this.#event(reader.strings());
      case FRAME.choose:
        return this.#choose(reader);
      default:
        this.#options.logger.debug('a frame of unknown type was ignored', { application: this.id, type });
    }
  }

  closed(): void {
    this.#peer = undefined;
    // The agent has sent Spark's own way whatever had not arrived; what waits here must not arrive late.
    this.#cancelWaiting(() => true, 'the link to its driver is down');
  }

  #attached({ executorId, workerId, host, cores }: SparkExecutor): void {
    this.#executors.set(executorId, { executorId, workerId, host, cores });
    this.#external.add(executorId);
    this.#options.logger.info('an external executor is attached', { application: this.id, executor: executorId, worker: workerId });
    if (this.#options.workers.isDraining(workerId)) this.workerDrains(workerId, true);
    this.#mayGo();
  }

  #detached(executorId: string, reason: string): void {
    if (!this.#executors.delete(executorId)) return;
    this.#options.logger.info('an external executor is gone', { application: this.id, executor: executorId, reason });
    // Spark resubmits its tasks; what waits here must not arrive anywhere.
    for (const [taskId, task] of this.#live) {
      if (task.executorId !== executorId) continue;
      this.#live.delete(taskId);
      this.#port.cancel(taskId, 'its executor is gone');
    }
  }

  #tasks(reader: FrameReader): void {
    const lost: number[] = [];
    const tasks: TaskDescription[] = [];
    const since = this.#options.clock.now();
    while (reader.more) {
      const taskId = reader.u64();
      const attemptNumber = reader.i32();
      const index = reader.i32();
      const executorId = reader.string();
      const name = reader.string();
      const bytes = reader.bytes();
      const executor = this.#executors.get(executorId);
      this.#counts.captured++;
      if (executor === undefined || this.#options.workers.get(executor.workerId) === undefined) {
        lost.push(taskId);
        continue;
      }
      this.#figures(executor.workerId).captured++;
      const stage = stageOfName(name);
      const { payload, commons } = this.#differences.of(`${stage.stageId}.${stage.stageAttemptNumber}`, bytes);
      this.#ahead.captured(stage.stageId, bytes.length);
      this.#live.set(taskId, {
        executorId,
        workerId: executor.workerId,
        stageId: stage.stageId,
        since,
        started: false,
        recallable: this.#ahead.of(stage.stageId) > 0,
      });
      const preferredLocations = [executor.workerId];
      tasks.push({
        taskId,
        attemptNumber,
        executorId,
        name,
        index,
        ...stage,
        kind: SPARK_KIND,
        commons,
        payload,
        preferredLocations,
        timeoutMs: 0,
      });
    }
    if (tasks.length > 0) this.#port.submit(tasks);
    this.#fallBack(lost);
  }

  #choose(reader: FrameReader): void {
    const { selector, workers, clock, logger } = this.#options;
    const round = readRound(reader);
    const places = placeRound(round, {
      selector,
      application: this.id,
      now: clock.now(),
      version: workers.version,
      workerOf: (executorId) => workers.get(this.#executors.get(executorId)?.workerId ?? ''),
      outstanding: (workerId) => this.outstanding(workerId),
      onFault: (error) => logger.warn('the selector failed; Spark chooses', { application: this.id, error: (error as Error).message }),
    });
    const answer = new FrameWriter(FRAME.choice);
    places.forEach((place, i) => {
      answer.u32(place);
      if (place >= 0 && place !== round.tasks[i]?.offered) this.#counts.moved++;
    });
    this.#peer?.send(answer);
  }

  #event(words: readonly string[]): void {
    const event = parseEvent(words);
    if (event === undefined) return;
    switch (event.type) {
      case 'started': {
        this.#latency.add(event.micros / 1000);
        const task = this.#live.get(event.taskId);
        if (task !== undefined) task.started = true;
        return;
      }
      case 'fallenBack':
        this.#counts.fallenBack++;
        this.#figures(this.#executors.get(event.executorId)?.workerId ?? '').fallenBack++;
        return;
      case 'direct':
        this.#counts.direct++;
        return;
      case 'kill':
        return this.#port.cancel(event.taskId, event.reason);
      case 'attached':
        return this.#attached(event);
      case 'executorRemoved':
        this.#detached(event.executorId, event.reason);
        break;
      case 'jobStart':
        this.#jobs.add(event.jobId);
        this.#options.onActivity(this.#jobs.size);
        break;
      case 'jobEnd':
        this.#jobs.delete(event.jobId);
        this.#options.onActivity(this.#jobs.size);
        break;
      case 'taskEnd':
        if (this.#external.has(event.executorId)) this.#counts.endedOutside++;
        else this.#counts.endedInside++;
        this.#sayAhead(event.stageId, this.#ahead.ended(event));
        break;
      case 'stageCompleted':
        this.#sayAhead(event.stageId, this.#ahead.completed(event.stageId));
        break;
      case 'applicationEnd':
        this.#finished = true;
        break;
      default:
    }
    this.#options.onEvent?.(this.id, event);
  }

  #sayAhead(stageId: number, ahead: number | undefined): void {
    if (ahead !== undefined) this.#peer?.send(new FrameWriter(FRAME.ahead).u32(stageId).u32(ahead));
  }

  // What the dispatcher says

  statusUpdate(_application: string, { taskId, state, data }: StatusUpdate): void {
    const task = this.#live.get(taskId);
    if (task === undefined || state === 'RUNNING') return;
    this.#live.delete(taskId);
    if (state === 'FINISHED') {
      this.#counts.rerouted++;
      this.#figures(task.workerId).finished++;
      return;
    }
    const error = state === 'FAILED' ? decodeFailure(data) : undefined;
    if (SparkProxyError.is(error) && error.code === 'SP_SPARK_EXECUTOR_ENDED') this.#lose(task.executorId);
    else this.#fallBack([taskId]);
  }

  /** Its worker has seen its process end. Spark itself may look for seconds whether it comes back. */
  #lose(executorId: string): void {
    const reason = 'its process has ended';
    this.#peer?.send(new FrameWriter(FRAME.lost).string(executorId).string(reason));
    this.#detached(executorId, reason);
  }

  handBack(_application: string, tasks: readonly TaskDescription[]): void {
    for (const { taskId } of tasks) this.#live.delete(taskId);
    this.#fallBack(tasks.map((task) => task.taskId));
  }

  workerLost(workerId: string): void {
    for (const [taskId, task] of this.#live) if (task.workerId === workerId) this.#port.cancel(taskId, 'its worker is lost');
  }

  capacityChanged(): void {
    // Offers are Spark's own.
  }

  #fallBack(taskIds: readonly number[]): void {
    if (taskIds.length === 0 || this.#peer === undefined) return;
    const frame = new FrameWriter(FRAME.fallback);
    for (const taskId of taskIds) frame.u64(taskId);
    this.#peer.send(frame);
  }

  /**
   * Tasks that wait at an executor for long because one of their stage is not short after all: Spark offers them anew, wherever
   * there is a core. And tasks that nobody has heard of for too long: a broker that is away, a worker that hangs or is excluded. A worker that is
   * full is only busy, and its tasks wait their turn.
   */
  #sweep(): void {
    const { clock, workers, deliverMs } = this.#options;
    const before = clock.now() - deliverMs;
    const stuck = clock.now() - STUCK_MS;
    for (const [taskId, task] of this.#live) {
      if (task.started) continue;
      if (task.recallable && task.since <= stuck) {
        task.recallable = false;
        this.#sayAhead(task.stageId, this.#ahead.tooLong(task.stageId));
        this.killTask(taskId, 'it waits behind a long task');
      }
      if (task.since > before) continue;
      const worker = workers.get(task.workerId);
      if (worker !== undefined && workers.started(task.workerId) >= worker.slots) continue;
      this.#fallBack([taskId]);
      // Told once; what the dispatcher says of it later changes nothing.
      task.started = true;
      this.#port.cancel(taskId, 'it was not delivered in time');
    }
  }

  // When a new context may go on

  #mayGo(): void {
    if (this.#gone) return;
    const { workers, expectedWorkers, clock } = this.#options;
    if (this.#mode === 'internal') return this.#go();
    const fitting = workers.fitting(this.hello.get('sparkVersion') ?? '', this.hello.get('scalaVersion') ?? '');
    const attached = new Set([...this.#executors.values()].map((executor) => executor.workerId));
    if (fitting.length === 0 && expectedWorkers === 0) return this.#go();
    if (attached.size === 0) return;
    if (attached.size >= Math.max(fitting.length, expectedWorkers)) return this.#go();
    this.#going?.cancel();
    this.#going = clock.after(SETTLE_MS, () => this.#go(), { background: true });
  }

  #go(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#peer?.send(new FrameWriter(FRAME.go));
  }

  #figures(workerId: string): MutableFigures {
    let figures = this.#byWorker.get(workerId);
    if (figures === undefined) this.#byWorker.set(workerId, (figures = { captured: 0, finished: 0, fallenBack: 0 }));
    return figures;
  }

  info(): SparkApplicationInfo {
    const say = (name: string): string => this.hello.get(name) ?? '';
    const workers = [...this.#byWorker].map(([workerId, figures]) => ({ workerId, host: this.#options.workers.get(workerId)?.host ?? '', ...figures }));
    return {
      id: this.id,
      runId: say('runId'),
      name: say('spark.app.name'),
      user: say('user'),
      sparkVersion: say('sparkVersion'),
      driverHost: say('spark.driver.host'),
      pid: Number(say('pid')) || 0,
      uiUrl: say('uiUrl'),
      mode: this.#mode,
      linked: this.linked,
      startedMs: this.#startedMs,
      activeJobs: this.#jobs.size,
      executors: [...this.#executors.values()],
      figures: { ...this.#counts, live: this.#live.size, latency: this.#latency.snapshot(), workers },
    };
  }
}
