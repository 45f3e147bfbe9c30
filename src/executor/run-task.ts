/**
 * Runs one attempt of one task: the one piece of code that runs a stage, used by the engine's threads and by workers.
 * OWNERSHIP: a thread runs one task at a time; compiled stages are kept per thread and shared by its tasks.
 */
import { performance } from 'node:perf_hooks';
import { join } from 'node:path';
import { deserializeGraph, installModules, type AllowedModules, type ModuleMap } from '../closure/index.ts';
import { decodeRecords, encodeRecords, requireData } from '../protocol/columns.ts';
import type { BlockClient } from '../shuffle/block-client.ts';
import type { BlockLocation } from '../shuffle/block-location.ts';
import { fetchBlocks, type FetchedBlocks } from '../shuffle/files.ts';
import { decodeMapOutputs, type MapOutputs } from '../shuffle/map-output.ts';
import { partitionFunction } from '../shuffle/partitioner.ts';
import { executorRevivers } from '../storage/revivers.ts';
import { isCall, runCall, type CallPlan } from './call.ts';
import { compilePipeline, type CompiledPipeline } from './codegen.ts';
import { VERIFY_PROPERTY, type PlanNode, type StagePlan, type TaskPayload, type TaskResult } from './plan.ts';
import { setRunningTask, type RunningTask } from '../storage/task-context.ts';
import { applicationDirectory, AsyncSignal, ShuffleSource, TaskRuntime, type BlockView } from './task-runtime.ts';
import { LineReader, type FileSplit } from './text.ts';
import { readHeader } from './stage-header.ts';
import { decodeTaskPayload, encodeTaskResult } from './task-codec.ts';
import type { ThreadTask } from './thread-messages.ts';

export interface TaskEnvironment {
  readonly executorId: string;
  /** Names the files of this thread's runs, with a number each. */
  readonly runTag: string;
  readonly localDir: string;
  readonly machine: string;
  readonly location: BlockLocation | undefined;
  readonly client: BlockClient;
  /** The program was loaded on this very machine: its modules are at their own paths. */
  readonly ownFiles: boolean;
  readonly allowed: AllowedModules;
  readonly blobs: ReadonlyMap<string, Uint8Array>;
  readonly blocks: BlockView;
}

interface Stage {
  readonly plan: StagePlan;
  readonly partitionOf: (key: unknown) => number;
  /** Where its tasks write. */
  readonly directory: string;
  /** By path; a stage without unions has one. */
  readonly pipelines: Map<string, Pipeline>;
  only: Pipeline | undefined;
}

interface Pipeline {
  readonly path: readonly number[];
  /** Undefined where one of its functions is an async function. */
  readonly sync: CompiledPipeline | undefined;
  async: CompiledPipeline | undefined;
  /** Seen to be asynchronous: later tasks begin with the async form. */
  isAsync: boolean;
}

interface Source {
  readonly value: unknown;
  bytesRead(): number;
  close?(): void;
}

const EMPTY_PARTITION = (): number => 0;

export class StageCache {
  readonly #stages = new Map<string, Promise<Stage | CallPlan> | Stage | CallPlan>();
  readonly #outputs = new Map<string, MapOutputs>();
  readonly #modules = new Map<string, ModuleMap>();

  /** Forgets what was made of a blob. */
  drop(hash: string): void {
    this.#stages.delete(hash);
    this.#outputs.delete(hash);
  }

  stage(hash: string, env: TaskEnvironment): Promise<Stage | CallPlan> | Stage | CallPlan {
    const known = this.#stages.get(hash);
    if (known !== undefined) return known;
    const { header, graph } = readHeader(blobOf(env, hash));
    const modules =
      header.modules === undefined || env.ownFiles || env.allowed !== undefined ? undefined : this.#modulesOf(header.application, header.modules, env);
    const revivers = executorRevivers((h) => blobOf(env, h));
    const loading = deserializeGraph(graph, revivers, { ...(modules === undefined ? {} : { modules }), allowed: env.allowed }).then((value) => {
      if (isCall(value)) {
        // What the receiver becomes in one call is not seen by the next.
        if (value.hasSelf) this.#stages.delete(hash);
        else this.#stages.set(hash, value);
        return value;
      }
      const plan = value as StagePlan;
      const stage: Stage = {
        plan,
        partitionOf: plan.sink.type === 'shuffle' ? partitionFunction(plan.sink.partitioner) : EMPTY_PARTITION,
        directory: applicationDirectory(env.localDir, plan.application),
        pipelines: new Map(),
        only: undefined,
      };
      this.#stages.set(hash, stage);
      return stage;
    });
    this.#stages.set(hash, loading);
    loading.catch(() => this.#stages.delete(hash));
    return loading;
  }

  #modulesOf(application: string, hash: string, env: TaskEnvironment): ModuleMap {
    const key = `${application} ${hash}`;
    let modules = this.#modules.get(key);
    if (modules === undefined) {
      modules = installModules(blobOf(env, hash), join(applicationDirectory(env.localDir, application), 'modules'));
      this.#modules.set(key, modules);
    }
    return modules;
  }

  outputs(hash: string, env: TaskEnvironment): MapOutputs {
    let outputs = this.#outputs.get(hash);
    if (outputs === undefined) this.#outputs.set(hash, (outputs = decodeMapOutputs(blobOf(env, hash))));
    return outputs;
  }
}

function blobOf(env: TaskEnvironment, hash: string): Uint8Array {
  const bytes = env.blobs.get(hash);
  if (bytes === undefined) throw new Error(`blob ${hash.slice(0, 12)} is not here`);
  return bytes;
}

/**
 * Runs the task to its encoded TaskResult: at once, or a promise of it where something is waited for.
 * Throws or rejects with the user's own error, or a coded one.
 */
export function runTask(task: ThreadTask, env: TaskEnvironment, cache: StageCache): Uint8Array | Promise<Uint8Array> {
  const started = performance.now();
  const payload = decodeTaskPayload(task.taskId, task.payload);
  const stage = cache.stage(task.commons[0] as string, env);
  const run = (plan: Stage | CallPlan): Uint8Array | Promise<Uint8Array> =>
    isCall(plan) ? runCallTask(plan, task, payload, env, started) : runStage(plan, task, payload, env, cache, started);
  return stage instanceof Promise ? stage.then(run) : run(stage);
}

function runStage(
  stage: Stage,
  task: ThreadTask,
  payload: TaskPayload,
  env: TaskEnvironment,
  cache: StageCache,
  started: number,
): Uint8Array | Promise<Uint8Array> {
  const { pipeline, partitions } = pipelineFor(stage, payload);
  const attempt = new Attempt(stage, pipeline, partitions, new Context(task, payload, env), env, started);
  if (payload.inputs.length === 0) return attempt.run(payload, NO_INPUTS, NOTHING_FETCHED);
  const inputs = payload.inputs.map((hash) => cache.outputs(hash, env));
  const fetching = inputs.map((outputs) => fetchBlocks(outputs, partitions[0] as number, env.machine, env.client));
  if (fetching.every((one) => one === undefined)) return attempt.run(payload, inputs, NOTHING_FETCHED);
  return Promise.all(fetching.map((one) => one ?? Promise.resolve(undefined))).then((fetched) => attempt.run(payload, inputs, fetched));
}

const NO_INPUTS: readonly MapOutputs[] = [];
const NOTHING_FETCHED: readonly (FetchedBlocks | undefined)[] = [];

let runs = 0;

/** One run of a stage's task. */
class Attempt {
  readonly #stage: Stage;
  readonly #pipeline: Pipeline;
  readonly #partitions: readonly number[];
  readonly #context: Context;
  readonly #env: TaskEnvironment;
  readonly #started: number;

  constructor(stage: Stage, pipeline: Pipeline, partitions: readonly number[], context: Context, env: TaskEnvironment, started: number) {
    this.#stage = stage;
    this.#pipeline = pipeline;
    this.#partitions = partitions;
    this.#context = context;
    this.#env = env;
    this.#started = started;
  }

  run(payload: TaskPayload, inputs: readonly MapOutputs[], fetched: readonly (FetchedBlocks | undefined)[]): Uint8Array | Promise<Uint8Array> {
    const pipeline = this.#pipeline;
    const node = this.#stage.plan.nodes[pipeline.path[0] as number] as PlanNode;
    const open = (): Source => openSource(node, payload, this.#partitions[0] as number, inputs, fetched);
    let isPending = false;
    setRunningTask(this.#context);
    try {
      const { sync } = pipeline;
      if (pipeline.isAsync || sync === undefined) {
        isPending = true;
        return this.#runAsync(undefined, open, fetched);
      }
      const rt = this.#runtime();
      const source = open();
      try {
        const value = runSync(sync, rt, source);
        if (value !== ASYNC) return this.#result(value, rt, source, fetched);
      } finally {
        source.close?.();
      }
      isPending = true;
      return this.#runAsync(rt.pending, open, fetched);
    } finally {
      if (!isPending) setRunningTask(undefined);
    }
  }

  /** In the async form. What a sync form began is awaited first, so that it cannot outlive its task, and then done again in order. */
  async #runAsync(begun: Promise<unknown> | undefined, open: () => Source, fetched: readonly (FetchedBlocks | undefined)[]): Promise<Uint8Array> {
    const pipeline = this.#pipeline;
    try {
      if (!pipeline.isAsync) {
        await begun?.catch(() => undefined);
        pipeline.isAsync = true;
        this.#context.accumulators.clear();
      }
      const rt = this.#runtime();
      const source = open();
      try {
        pipeline.async ??= compilePipeline(this.#stage.plan, pipeline.path, true);
        rt.asyncSeen = true;
        const value = await pipeline.async(rt, source.value);
        return this.#result(value, rt, source, fetched);
      } finally {
        source.close?.();
      }
    } finally {
      setRunningTask(undefined);
    }
  }

  #runtime(): TaskRuntime {
    const { plan, directory, partitionOf } = this.#stage;
    const { executorId, location, blocks, runTag } = this.#env;
    const { taskAttemptId, localProperties } = this.#context;
    const run = ++runs;
    return new TaskRuntime({
      directory,
      executorId,
      location,
      digests: localProperties[VERIFY_PROPERTY] === 'true',
      runName: () => `${taskAttemptId}-${runTag}-${run}`,
      application: plan.application,
      sink: plan.sink,
      partitions: this.#partitions,
      partitionOf,
      blocks,
    });
  }

  #result(value: unknown, rt: TaskRuntime, source: Source, fetched: readonly (FetchedBlocks | undefined)[]): Uint8Array {
    return encodeTaskResult({
      value: encodeValue(this.#stage.plan.sink.type, value),
      accumulators: this.#context.updates(),
      blocks: rt.newBlocks,
      metrics: {
        runMs: performance.now() - this.#started,
        bytesRead: source.bytesRead(),
        remoteBytesRead: remoteBytes(fetched),
        shuffleBytesWritten: rt.shuffleBytes,
        shuffleRecordsWritten: rt.shuffleRecords,
      },
    });
  }
}

/** What a running task may know of itself. Most tasks update no accumulator. */
class Context implements RunningTask {
  readonly stageId: number;
  readonly stageAttemptNumber: number;
  readonly partitionId: number;
  readonly attemptNumber: number;
  readonly taskAttemptId: number;
  readonly executorId: string;
  readonly localProperties: Readonly<Record<string, string>>;
  #accumulators: Map<number, unknown> | undefined = undefined;

  constructor(task: ThreadTask, payload: TaskPayload, env: TaskEnvironment) {
    this.stageId = task.stageId;
    this.stageAttemptNumber = task.stageAttemptNumber;
    this.partitionId = payload.partition;
    this.attemptNumber = task.attemptNumber;
    this.taskAttemptId = task.taskId;
    this.executorId = env.executorId;
    this.localProperties = payload.properties;
  }

  get accumulators(): Map<number, unknown> {
    return (this.#accumulators ??= new Map());
  }

  updates(): TaskResult['accumulators'] {
    return this.#accumulators === undefined ? NO_UPDATES : [...this.#accumulators];
  }
}

const NO_UPDATES: TaskResult['accumulators'] = [];

function runCallTask(plan: CallPlan, task: ThreadTask, payload: TaskPayload, env: TaskEnvironment, started: number): Uint8Array | Promise<Uint8Array> {
  const ended = (value: unknown): Uint8Array => {
    const metrics = { runMs: performance.now() - started, bytesRead: 0, remoteBytesRead: 0, shuffleBytesWritten: 0, shuffleRecordsWritten: 0 };
    return encodeTaskResult({ value, accumulators: NO_UPDATES, blocks: [], metrics });
  };
  let isPending = false;
  setRunningTask(new Context(task, payload, env));
  try {
    const value = runCall(plan, payload.source);
    if (!(value instanceof Promise)) return ended(value);
    isPending = true;
    return value.then(ended).finally(() => setRunningTask(undefined));
  } finally {
    if (!isPending) setRunningTask(undefined);
  }
}

const ASYNC = Symbol('async');

function runSync(pipeline: CompiledPipeline, rt: TaskRuntime, source: Source): unknown {
  try {
    const value = pipeline(rt, source.value);
    return rt.asyncSeen ? ASYNC : value;
  } catch (error) {
    if (error instanceof AsyncSignal || rt.asyncSeen) return ASYNC;
    throw error;
  }
}

/** Follows the task's route from the last node down to its source. */
function pipelineFor(stage: Stage, payload: TaskPayload): { pipeline: Pipeline; partitions: readonly number[] } {
  const { nodes } = stage.plan;
  if (stage.only !== undefined) return { pipeline: stage.only, partitions: stage.only.path.map(() => payload.partition) };
  const down: number[] = [];
  const partitionsDown: number[] = [];
  let at = nodes.length - 1;
  let partition = payload.partition;
  let turn = 0;
  for (;;) {
    down.push(at);
    partitionsDown.push(partition);
    const node = nodes[at] as PlanNode;
    if (node.parents.length === 0) break;
    if (node.op === 'union') {
      const [parent, ofParent] = payload.route[turn++] as readonly [number, number];
      at = node.parents[parent] as number;
      partition = ofParent;
    } else at = node.parents[0] as number;
  }
  const path = down.reverse();
  const key = path.join();
  let pipeline = stage.pipelines.get(key);
  if (pipeline === undefined) stage.pipelines.set(key, (pipeline = { path, sync: compilePipeline(stage.plan, path, false), async: undefined, isAsync: false }));
  if (turn === 0) stage.only = pipeline;
  return { pipeline, partitions: partitionsDown.reverse() };
}

function remoteBytes(fetched: readonly (FetchedBlocks | undefined)[]): number {
  let bytes = 0;
  for (const blocks of fetched) for (const block of blocks?.values() ?? []) bytes += block.byteLength;
  return bytes;
}

function openSource(
  node: PlanNode,
  payload: TaskPayload,
  partition: number,
  inputs: readonly MapOutputs[],
  fetched: readonly (FetchedBlocks | undefined)[],
): Source {
  switch (node.op) {
    case 'parallelize':
      return { value: decodeRecords(payload.source as Uint8Array), bytesRead: () => (payload.source as Uint8Array).byteLength };
    case 'range':
      return { value: payload.source, bytesRead: () => 0 };
    case 'textFile': {
      const reader = new LineReader(payload.source as FileSplit[]);
      return { value: reader, bytesRead: () => reader.bytesRead, close: () => reader.close() };
    }
    default: {
      const source = new ShuffleSource(inputs, partition, fetched);
      return { value: source, bytesRead: () => source.bytesRead };
    }
  }
}

/** Records travel as columns, everything else as one packed value. */
function encodeValue(sink: string, value: unknown): unknown {
  return sink === 'collect' || sink === 'take' || sink === 'reduce'
    ? encodeRecords(value as unknown[])
    : sink === 'aggregate' || sink === 'partition'
      ? requireData(value)
      : value;
}
