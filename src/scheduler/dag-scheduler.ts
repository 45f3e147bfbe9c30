import type { Clock } from '../core/clock.ts';
import { IdMap } from '../core/id-map.ts';
import type { SparkProxyError } from '../core/errors.ts';
import type { EventBus } from '../core/events.ts';
import type { Sink, TaskResult } from '../executor/plan.ts';
import type { BlockLocation } from '../shuffle/block-location.ts';
import { encodeMapOutputs, type MapStatus } from '../shuffle/map-output.ts';
import type { RddNode, ShuffleDependency } from '../rdd/node.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import type { BlockLocations } from '../storage/block-locations.ts';
import { SCHEDULER_ERRORS } from './errors.ts';
import type { SparkListenerEvents, TaskInfo } from './events.ts';
import { MapOutputTracker } from './map-output-tracker.ts';
import { encodePayload, encodeStage, stageNodes, stageShuffles } from './stage-binary.ts';
import { stageInfo, type ActiveJob, type ResultStage, type ShuffleMapStage, type Stage } from './stage.ts';
import type { RunningAttempt, Task, TaskSetManager } from './task-set-manager.ts';
import type { TaskScheduler, TaskSchedulerListener } from './task-scheduler.ts';

export interface DagSchedulerOptions {
  readonly application: string;
  readonly taskScheduler: TaskScheduler;
  readonly blobs: BlobStore;
  readonly blocks: BlockLocations;
  readonly events: EventBus<SparkListenerEvents>;
  readonly clock: Clock;
  readonly maxStageAttempts: number;
  /** Asked each time: both may be changed while jobs run. */
  readonly maxResultBytes: () => number;
  readonly taskTimeoutMs: () => number;
  /** Files and directories that travel with functions. */
  readonly code?: () => readonly string[];
  /** Where other machines get the shuffle files that tasks inside have written; undefined: nowhere. */
  readonly inside?: () => BlockLocation | undefined;
  /** Accumulator updates of a successful partition. */
  readonly mergeAccumulators: (updates: TaskResult['accumulators']) => void;
}

export interface JobRequest {
  readonly node: RddNode;
  readonly sink: Sink;
  readonly partitions: readonly number[];
  readonly properties: Readonly<Record<string, string>>;
  readonly onResult: (index: number, value: unknown) => void;
}

/**
 * Cuts jobs into stages at shuffles and runs each stage when its parents' outputs are there; Spark's DAGScheduler.
 * ORDERING: everything happens on the driver's one thread, an event at a time; independent stages run side by side.
 */
export class DAGScheduler implements TaskSchedulerListener {
  readonly #options: DagSchedulerOptions;
  readonly #outputs = new MapOutputTracker();
  readonly #jobs = new IdMap<ActiveJob>();
  readonly #stages = new IdMap<Stage>();
  readonly #shuffleStages = new Map<number, ShuffleMapStage>();
  readonly #waiting = new Set<Stage>();
  readonly #running = new Set<Stage>();
  #nextJobId = 0;
  #nextStageId = 0;

  constructor(options: DagSchedulerOptions) {
    this.#options = options;
  }

  /** Runs a job; `onResult` is called once a partition. @throws SP_SCHEDULER_JOB_ABORTED, SP_SCHEDULER_RESULT_TOO_LARGE, SP_CLOSURE_NOT_SERIALIZABLE */
  runJob(request: JobRequest): { readonly jobId: number; readonly done: Promise<void> } {
    const jobId = this.#nextJobId++;
    const done = new Promise<void>((resolve, reject) => {
      const finalStage = this.#newResultStage(request, jobId);
      const { properties, onResult, partitions } = request;
      const finished = new Array<boolean>(partitions.length).fill(false);
      const job: ActiveJob = { jobId, finalStage, finished, numFinished: 0, resultBytes: 0, properties, onResult, resolve, reject };
      this.#jobs.set(jobId, job);
      const stages = this.#collectStages(finalStage);
      for (const stage of stages) stage.jobIds.add(jobId);
      if (this.#options.events.has('onJobStart')) {
        const stageInfos = stages.map((stage) => stageInfo(stage, stage.nextAttempt));
        this.#options.events.emit('onJobStart', { jobId, time: this.#options.clock.wallTime(), stageInfos, properties });
      }
      if (partitions.length === 0) this.#endJob(job, undefined);
      else this.#submitStage(finalStage);
    });
    return { jobId, done };
  }

  cancelJob(jobId: number, reason: string): void {
    const job = this.#jobs.get(jobId);
    if (job !== undefined) this.#endJob(job, SCHEDULER_ERRORS.JOB_CANCELLED({ jobId, reason }));
  }

  cancelAll(reason: string): void {
    for (const jobId of this.#jobs.ids()) this.cancelJob(jobId, reason);
  }

  get activeJobs(): number {
    return this.#jobs.size;
  }

  // Stages

  #newResultStage(request: JobRequest, jobId: number): ResultStage {
    const { node, sink, partitions } = request;
    const parents = this.#parentStages(node);
    const stage: ResultStage = { kind: 'result', ...this.#stageBase(node, parents, partitions.length), sink, partitions };
    stage.jobIds.add(jobId);
    this.#stages.set(stage.id, stage);
    return stage;
  }

  #stageBase(node: RddNode, parents: readonly Stage[], numTasks: number) {
    return {
      id: this.#nextStageId++,
      node,
      parents,
      numTasks,
      jobIds: new Set<number>(),
      nextAttempt: 0,
      fetchFailures: 0,
      blobs: [],
    };
  }

  /** The map stage of every shuffle directly below; iterative, so that a lineage 10,000 deep does not overflow the stack. */
  #parentStages(node: RddNode): ShuffleMapStage[] {
    const below = (n: RddNode): ShuffleDependency[] => stageShuffles(stageNodes(n));
    const stack = [...below(node)];
    while (stack.length > 0) {
      const shuffle = stack.at(-1) as ShuffleDependency;
      if (this.#shuffleStages.has(shuffle.shuffleId)) {
        stack.pop();
        continue;
      }
      const parents = below(shuffle.parent);
      const unknown = parents.filter((s) => !this.#shuffleStages.has(s.shuffleId));
      if (unknown.length > 0) {
        stack.push(...unknown);
        continue;
      }
      stack.pop();
      const numTasks = shuffle.parent.partitions();
      const stages = parents.map((s) => this.#shuffleStages.get(s.shuffleId) as ShuffleMapStage);
      const stage: ShuffleMapStage = {
        kind: 'map',
        ...this.#stageBase(shuffle.parent, stages, numTasks),
        shuffle,
        pending: new Set(),
        counted: new Set(),
      };
      this.#shuffleStages.set(shuffle.shuffleId, stage);
      this.#stages.set(stage.id, stage);
      this.#outputs.register(shuffle.shuffleId, numTasks);
    }
    return below(node).map((s) => this.#shuffleStages.get(s.shuffleId) as ShuffleMapStage);
  }

  #collectStages(top: Stage): Stage[] {
    const all = new Set<Stage>([top]);
    for (const stage of all) for (const parent of stage.parents) all.add(parent);
    return [...all].sort((a, b) => a.id - b.id);
  }

  #isAvailable(stage: Stage): boolean {
    return stage.kind === 'map' && this.#outputs.missing(stage.shuffle.shuffleId).length === 0;
  }

  /** Submits the stage, or first the stages whose outputs it misses. */
  #submitStage(top: Stage): void {
    const stack = [top];
    for (let stage = stack.pop(); stage !== undefined; stage = stack.pop()) {
      if (this.#waiting.has(stage) || this.#running.has(stage)) continue;
      const missing = stage.parents.filter((parent) => !this.#isAvailable(parent));
      if (missing.length === 0) this.#submitMissingTasks(stage);
      else {
        this.#waiting.add(stage);
        stack.push(...missing);
      }
    }
  }

  #jobOf(stage: Stage): ActiveJob | undefined {
    let first = Infinity;
    for (const id of stage.jobIds) if (id < first) first = id;
    return this.#jobs.get(first);
  }

  /** Positions of the stage that have no result yet. */
  #missingPartitions(stage: Stage): number[] {
    if (stage.kind === 'map') return this.#outputs.missing(stage.shuffle.shuffleId);
    const job = this.#jobOf(stage);
    return job === undefined ? [] : job.finished.flatMap((done, index) => (done ? [] : [index]));
  }

  #submitMissingTasks(stage: Stage): void {
    const job = this.#jobOf(stage);
    if (job === undefined) return;
    const missing = this.#missingPartitions(stage);
    const attempt = stage.nextAttempt++;
    if (stage.kind === 'map') stage.pending = new Set(missing);
    let tasks: Task[];
    try {
      tasks = this.#makeTasks(stage, missing, job.properties);
    } catch (error) {
      this.#abortStage(stage, error as Error);
      return;
    }
    this.#running.add(stage);
    const { events, clock, taskTimeoutMs, taskScheduler } = this.#options;
    if (events.has('onStageSubmitted')) events.emit('onStageSubmitted', { stage: stageInfo(stage, attempt, missing.length), time: clock.wallTime() });
    taskScheduler.submitTasks({ stageId: stage.id, stageAttempt: attempt, priority: job.jobId, tasks, timeoutMs: taskTimeoutMs() });
  }

  /** Serializes the stage and the payload of each task; what they share goes to the blob store until the stage ends. */
  #makeTasks(stage: Stage, missing: readonly number[], properties: Readonly<Record<string, string>>): Task[] {
    const { application, blobs, blocks } = this.#options;
    const nodes = stageNodes(stage.node);
    const sink = stage.kind === 'map' ? shuffleSink(stage.shuffle) : stage.sink;
    const { bytes, broadcasts, modules } = encodeStage(application, nodes, sink, this.#options.code?.());
    const held: string[] = [blobs.put(bytes)];
    if (modules !== undefined) held.push(blobs.put(modules.bytes, modules.hash));
    for (const broadcast of broadcasts) held.push(blobs.put(broadcast.bytes, broadcast.hash));
    const stageCommons = [...held];
    const outputs = new Map<number, string>();
    for (const { shuffleId } of stageShuffles(nodes)) {
      const hash = blobs.put(encodeMapOutputs({ shuffleId, statuses: this.#outputs.statuses(shuffleId) }, this.#options.inside?.()));
      outputs.set(shuffleId, hash);
      held.push(hash);
    }
    this.#releaseBlobs(stage);
    stage.blobs = held;
    const inputsOf = (shuffles: readonly ShuffleDependency[]): string[] => shuffles.map((s) => outputs.get(s.shuffleId) as string);
    const allCommons = outputs.size === 0 ? stageCommons : undefined;
    return missing.map((index): Task => {
      const partition = stage.kind === 'map' ? index : (stage.partitions[index] as number);
      let inputs: readonly string[] = [];
      const { bytes: payload, cached } = encodePayload(application, stage.node, partition, (shuffles) => (inputs = inputsOf(shuffles)), properties);
      const commons = allCommons ?? [...stageCommons, ...inputs];
      return { index, payload, commons, preferredLocations: cached.length === 0 ? [] : cached.flatMap((id) => blocks.locations(id)) };
    });
  }

  #releaseBlobs(stage: Stage): void {
    for (const hash of stage.blobs) this.#options.blobs.release(hash);
    stage.blobs = [];
  }

  // What the task scheduler tells

  taskStarted(manager: TaskSetManager, attempt: RunningAttempt): void {
    const { events } = this.#options;
    if (!events.has('onTaskStart')) return;
    const { stageId, stageAttempt: stageAttemptId } = manager.taskSet;
    events.emit('onTaskStart', { stageId, stageAttemptId, task: taskInfo(manager, attempt) });
  }

  taskSucceeded(manager: TaskSetManager, attempt: RunningAttempt, result: TaskResult): void {
    this.#emitTaskEnd(manager, attempt, 'FINISHED', result, undefined);
    for (const id of result.blocks) this.#options.blocks.add(id, attempt.runsOn);
    const stage = this.#stages.get(manager.taskSet.stageId);
    if (stage === undefined) return;
    const index = manager.indexOf(attempt);
    if (stage.kind === 'map') this.#mapTaskSucceeded(stage, index, result);
    else this.#resultTaskSucceeded(stage, index, result);
  }

  #mapTaskSucceeded(stage: ShuffleMapStage, index: number, result: TaskResult): void {
    this.#outputs.add(stage.shuffle.shuffleId, index, result.value as MapStatus);
    if (!stage.counted.has(index)) {
      stage.counted.add(index);
      this.#options.mergeAccumulators(result.accumulators);
    }
    stage.pending.delete(index);
    if (!this.#running.has(stage) || stage.pending.size > 0) return;
    if (this.#isAvailable(stage)) {
      stage.fetchFailures = 0;
      this.#stageEnded(stage, undefined);
      this.#submitWaitingChildren(stage);
    } else {
      // Outputs were lost while the stage ran.
      this.#stageEnded(stage, 'map outputs were lost');
      this.#submitStage(stage);
    }
  }

  #resultTaskSucceeded(stage: ResultStage, index: number, result: TaskResult): void {
    const job = this.#jobOf(stage);
    if (job === undefined || job.finished[index] === true) return;
    const limit = this.#options.maxResultBytes();
    job.resultBytes += result.value instanceof Uint8Array ? result.value.byteLength : 0;
    if (limit > 0 && job.resultBytes > limit) {
      this.#endJob(job, SCHEDULER_ERRORS.RESULT_TOO_LARGE({ jobId: job.jobId, size: job.resultBytes, limit }));
      return;
    }
    job.finished[index] = true;
    job.numFinished += 1;
    this.#options.mergeAccumulators(result.accumulators);
    try {
      job.onResult(index, result.value);
    } catch (error) {
      this.#endJob(job, error as Error);
      return;
    }
    if (job.numFinished === job.finished.length) this.#endJob(job, undefined);
  }

  taskEnded(manager: TaskSetManager, attempt: RunningAttempt, state: 'FINISHED' | 'FAILED' | 'KILLED' | 'LOST', error: Error | undefined): void {
    this.#emitTaskEnd(manager, attempt, state, undefined, error);
  }

  /** The reading stage waits; what is missing of the stage that wrote is computed again. */
  fetchFailed(manager: TaskSetManager, _attempt: RunningAttempt, error: SparkProxyError): void {
    const { shuffleId, mapIndex, executorId } = error.fields as { shuffleId: number; mapIndex: number; executorId: string };
    this.#outputs.removeOutput(shuffleId, mapIndex, executorId);
    this.#outputs.removeOutputsOnExecutor(executorId);
    const stage = this.#stages.get(manager.taskSet.stageId);
    if (stage === undefined || !this.#running.has(stage) || manager.taskSet.stageAttempt !== stage.nextAttempt - 1) return;
    stage.fetchFailures += 1;
    this.#stageEnded(stage, error.message);
    if (stage.fetchFailures >= this.#options.maxStageAttempts) {
      const { callSite: name } = stage.node;
      this.#abortStage(stage, SCHEDULER_ERRORS.STAGE_GAVE_UP({ stageId: stage.id, name, attempts: stage.fetchFailures }, error));
      return;
    }
    this.#options.taskScheduler.retire(stage.id);
    this.#submitStage(stage);
  }

  taskSetFailed(manager: TaskSetManager, reason: string, cause: Error): void {
    const stage = this.#stages.get(manager.taskSet.stageId);
    if (stage !== undefined) this.#abortStage(stage, SCHEDULER_ERRORS.JOB_ABORTED({ reason }, cause));
  }

  /** Its map outputs and cached blocks are gone; stages that need them compute them again. */
  executorLost(executorId: string, reason: string): void {
    this.#options.blocks.removeExecutor(executorId);
    this.#outputs.removeOutputsOnExecutor(executorId);
    this.#options.events.emit('onExecutorRemoved', { executorId, reason, time: this.#options.clock.wallTime() });
  }

  // Ends

  #submitWaitingChildren(parent: Stage): void {
    for (const child of [...this.#waiting]) {
      if (!child.parents.includes(parent)) continue;
      this.#waiting.delete(child);
      this.#submitStage(child);
    }
  }

  #stageEnded(stage: Stage, failureReason: string | undefined): void {
    if (!this.#running.delete(stage)) return;
    this.#options.taskScheduler.retire(stage.id);
    const { events, clock } = this.#options;
    if (events.has('onStageCompleted'))
      events.emit('onStageCompleted', { stage: stageInfo(stage, stage.nextAttempt - 1), time: clock.wallTime(), failureReason });
    if (failureReason === undefined) this.#releaseBlobs(stage);
  }

  #abortStage(stage: Stage, error: Error): void {
    for (const jobId of [...stage.jobIds]) {
      const job = this.#jobs.get(jobId);
      if (job !== undefined) this.#endJob(job, error);
    }
  }

  #endJob(job: ActiveJob, error: Error | undefined): void {
    if (this.#jobs.delete(job.jobId) === undefined) return;
    for (const stage of this.#collectStages(job.finalStage)) {
      stage.jobIds.delete(job.jobId);
      if (stage.jobIds.size > 0) continue;
      this.#waiting.delete(stage);
      if (this.#running.has(stage)) {
        if (error !== undefined) this.#options.taskScheduler.cancelTasks(stage.id, `job ${job.jobId} has ended`);
        this.#stageEnded(stage, error?.message);
      }
      this.#releaseBlobs(stage);
      if (stage.kind === 'result') this.#stages.delete(stage.id);
    }
    this.#options.events.emit('onJobEnd', { jobId: job.jobId, time: this.#options.clock.wallTime(), error });
    if (error === undefined) job.resolve();
    else job.reject(error);
  }

  #emitTaskEnd(
    manager: TaskSetManager,
    attempt: RunningAttempt,
    state: 'FINISHED' | 'FAILED' | 'KILLED' | 'LOST',
    result: TaskResult | undefined,
    error: Error | undefined,
  ): void {
    const { events, clock } = this.#options;
    if (!events.has('onTaskEnd')) return;
    const { stageId, stageAttempt: stageAttemptId } = manager.taskSet;
    events.emit('onTaskEnd', {
      stageId,
      stageAttemptId,
      task: taskInfo(manager, attempt),
      state,
      finishTime: clock.wallTime(),
      metrics: result?.metrics,
      error,
    });
  }
}

function shuffleSink({ shuffleId, partitioner, aggregator }: ShuffleDependency): Sink {
  return { type: 'shuffle', shuffleId, partitioner, ...(aggregator === undefined ? {} : { aggregator }) };
}

function taskInfo(manager: TaskSetManager, attempt: RunningAttempt): TaskInfo {
  const { taskId, attemptNumber, launchTime, runsOn: executorId } = attempt;
  return { taskId, index: manager.indexOf(attempt), attemptNumber, launchTime, executorId };
}
