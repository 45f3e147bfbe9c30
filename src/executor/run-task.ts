/**
 * Runs one attempt of one task: the one piece of code that runs a stage, used by the engine's threads and by workers.
 * OWNERSHIP: a thread runs one task at a time; compiled stages are kept per thread and shared by its tasks.
 */
import { performance } from 'node:perf_hooks';
import { threadId } from 'node:worker_threads';
import { join } from 'node:path';
import { deserializeGraph, installModules, type AllowedModules, type ModuleMap } from '../closure/index.ts';
import { decodeRecords, encodeRecords, packValue, requireData, unpackValue } from '../protocol/columns.ts';
import type { BlockClient } from '../shuffle/block-client.ts';
import type { BlockLocation } from '../shuffle/block-location.ts';
import { fetchBlocks, type FetchedBlocks } from '../shuffle/files.ts';
import { decodeMapOutputs, type MapOutputs } from '../shuffle/map-output.ts';
import { partitionFunction } from '../shuffle/partitioner.ts';
import { executorRevivers } from '../storage/revivers.ts';
import { isCall, runCall, type CallPlan } from './call.ts';
import { compilePipeline, type CompiledPipeline } from './codegen.ts';
import { TASK_ERRORS } from './errors.ts';
import { VERIFY_PROPERTY, type PlanNode, type StagePlan, type TaskPayload, type TaskResult } from './plan.ts';
import { setRunningTask, type RunningTask } from '../storage/task-context.ts';
import { applicationDirectory, AsyncSignal, ShuffleSource, TaskRuntime, type BlockView } from './task-runtime.ts';
import { LineReader, type FileSplit } from './text.ts';
import { readHeader } from './stage-header.ts';
import type { ThreadTask } from './thread-messages.ts';

export interface TaskEnvironment {
  readonly executorId: string;
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
  readonly pipelines: Map<string, Pipeline>;
}

interface Pipeline {
  readonly path: readonly number[];
  sync: CompiledPipeline | undefined;
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
        pipelines: new Map(),
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

/** Runs the task to its encoded TaskResult. Throws the user's own error, or a coded one. */
export async function runTask(task: ThreadTask, env: TaskEnvironment, cache: StageCache): Promise<Uint8Array> {
  const started = performance.now();
  let payload: TaskPayload;
  try {
    payload = unpackValue(task.payload) as TaskPayload;
  } catch (cause) {
    throw TASK_ERRORS.BAD_PAYLOAD({ taskId: task.taskId, reason: (cause as Error).message }, cause);
  }
  const found = cache.stage(task.commons[0] as string, env);
  const stage = found instanceof Promise ? await found : found;
  if (isCall(stage)) return await runCallTask(stage, task, payload, env);
  const { pipeline, partitions } = pipelineFor(stage, payload);
  const context = contextOf(task, payload, env);
  const runtime = (): TaskRuntime =>
    new TaskRuntime({
      directory: applicationDirectory(env.localDir, stage.plan.application),
      executorId: env.executorId,
      location: env.location,
      digests: payload.properties[VERIFY_PROPERTY] === 'true',
      runName: `${task.taskId}-${env.executorId.replace(/[^\w-]/g, '_')}-${threadId}-${++runs}`,
      application: stage.plan.application,
      sink: stage.plan.sink,
      partitions,
      partitionOf: stage.partitionOf,
      blocks: env.blocks,
    });
  const inputs = payload.inputs.map((hash) => cache.outputs(hash, env));
  const fetching = inputs.map((outputs) => fetchBlocks(outputs, partitions[0] as number, env.machine, env.client));
  const fetched = fetching.some((one) => one !== undefined) ? await Promise.all(fetching.map((one) => one ?? Promise.resolve(undefined))) : [];
  const open = (): Source => openSource(stage.plan.nodes[pipeline.path[0] as number] as PlanNode, payload, partitions[0] as number, inputs, fetched);
  setRunningTask(context);
  try {
    let rt = runtime();
    let source = open();
    let value: unknown;
    try {
      value = pipeline.isAsync ? await runAsync(stage, pipeline, rt, source) : runSync(stage, pipeline, rt, source);
      if (value === ASYNC) {
        // What the sync form began is awaited, so that it cannot outlive its task, and then done again in order.
        await rt.pending?.catch(() => undefined);
        pipeline.isAsync = true;
        context.accumulators.clear();
        source.close?.();
        rt = runtime();
        source = open();
        value = await runAsync(stage, pipeline, rt, source);
      }
    } finally {
      source.close?.();
    }
    const result: TaskResult = {
      value: encodeValue(stage.plan.sink.type, value),
      accumulators: [...context.accumulators],
      blocks: rt.newBlocks,
      metrics: {
        runMs: performance.now() - started,
        bytesRead: source.bytesRead(),
        remoteBytesRead: remoteBytes(fetched),
        shuffleBytesWritten: rt.shuffleBytes,
        shuffleRecordsWritten: rt.shuffleRecords,
      },
    };
    return encodeTaskResult(result);
  } finally {
    setRunningTask(undefined);
  }
}

function contextOf(task: ThreadTask, payload: TaskPayload, env: TaskEnvironment): RunningTask {
  return {
    stageId: task.stageId,
    stageAttemptNumber: task.stageAttemptNumber,
    partitionId: payload.partition,
    attemptNumber: task.attemptNumber,
    taskAttemptId: task.taskId,
    executorId: env.executorId,
    localProperties: payload.properties,
    accumulators: new Map(),
  };
}

async function runCallTask(plan: CallPlan, task: ThreadTask, payload: TaskPayload, env: TaskEnvironment): Promise<Uint8Array> {
  const started = performance.now();
  setRunningTask(contextOf(task, payload, env));
  try {
    const value = await runCall(plan, payload.source);
    const metrics = { runMs: performance.now() - started, bytesRead: 0, remoteBytesRead: 0, shuffleBytesWritten: 0, shuffleRecordsWritten: 0 };
    return encodeTaskResult({ value, accumulators: [], blocks: [], metrics });
  } finally {
    setRunningTask(undefined);
  }
}

let runs = 0;

const ASYNC = Symbol('async');

function runSync(stage: Stage, pipeline: Pipeline, rt: TaskRuntime, source: Source): unknown {
  pipeline.sync ??= compilePipeline(stage.plan, pipeline.path, false);
  try {
    const value = pipeline.sync(rt, source.value);
    return rt.asyncSeen ? ASYNC : value;
  } catch (error) {
    if (error instanceof AsyncSignal || rt.asyncSeen) return ASYNC;
    throw error;
  }
}

async function runAsync(stage: Stage, pipeline: Pipeline, rt: TaskRuntime, source: Source): Promise<unknown> {
  pipeline.async ??= compilePipeline(stage.plan, pipeline.path, true);
  rt.asyncSeen = true;
  return await pipeline.async(rt, source.value);
}

/** Follows the task's route from the last node down to its source. */
function pipelineFor(stage: Stage, payload: TaskPayload): { pipeline: Pipeline; partitions: readonly number[] } {
  const { nodes } = stage.plan;
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
  if (pipeline === undefined) stage.pipelines.set(key, (pipeline = { path, sync: undefined, async: undefined, isAsync: false }));
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

export function encodeTaskResult(result: TaskResult): Uint8Array {
  const { metrics } = result;
  return packValue([
    result.value,
    result.accumulators,
    result.blocks,
    [metrics.runMs, metrics.bytesRead, metrics.shuffleBytesWritten, metrics.shuffleRecordsWritten, metrics.remoteBytesRead],
  ]);
}

export function decodeTaskResult(bytes: Uint8Array): TaskResult {
  const [value, accumulators, blocks, [runMs, bytesRead, shuffleBytesWritten, shuffleRecordsWritten, remoteBytesRead]] = unpackValue(bytes) as [
    unknown,
    [number, unknown][],
    string[],
    [number, number, number, number, number],
  ];
  return { value, accumulators, blocks, metrics: { runMs, bytesRead, shuffleBytesWritten, shuffleRecordsWritten, remoteBytesRead } };
}
