/** What generated code calls: the `rt` of one attempt of one task. */
import { join } from 'node:path';
import { printable } from '../core/errors.ts';
import { seededRandom } from '../core/ids.ts';
import { encodeRecords, forEachPairColumn, unpackValue } from '../protocol/columns.ts';
import { canonicalKey, compareKeys } from '../protocol/hash.ts';
import { SHUFFLE_ERRORS } from '../shuffle/errors.ts';
import type { BlockLocation } from '../shuffle/block-location.ts';
import { readBlocks, writeMapOutput, type Block, type FetchedBlocks } from '../shuffle/files.ts';
import type { MapOutputs, MapStatus } from '../shuffle/map-output.ts';
import type { Compare } from '../shuffle/partitioner.ts';
import { splitByPartition, WriteBuffers } from '../shuffle/write-buffers.ts';
import { Reservoir } from './reservoir.ts';
import { TASK_ERRORS } from './errors.ts';
import type { Sink } from './plan.ts';
import { sortPairs } from './sort.ts';
import { attemptDirectory, TextWriter } from './text.ts';

type PairColumn = { readonly keys: ArrayLike<unknown>; readonly values: ArrayLike<unknown> };

/** Cached partitions of this process, as one thread sees them. */
export interface BlockView {
  get(id: string): unknown[] | undefined;
  put(id: string, bytes: Uint8Array, records: unknown[]): void;
}

/** Thrown by generated code when a user function of the sync form returned a promise. */
export class AsyncSignal extends Error {}

export interface RuntimeOptions {
  readonly directory: string;
  readonly executorId: string;
  readonly location: BlockLocation | undefined;
  /** Shuffle output carries a digest of each block. */
  readonly digests: boolean;
  /** Names the files of this run. A task that is run twice (a lease was lost, its worker was not) never shares a file. */
  readonly runName: () => string;
  /** Prefix of cached blocks: ids of several applications meet in one worker. */
  readonly application: string;
  readonly sink: Sink;
  /** Partition of each position of the pipeline's path. */
  readonly partitions: readonly number[];
  readonly partitionOf: (key: unknown) => number;
  readonly blocks: BlockView;
}

export class TaskRuntime {
  readonly #options: RuntimeOptions;
  /** True once a user function has returned a promise: the sync form is void, even if user code caught the signal. */
  asyncSeen = false;
  pending: Promise<unknown> | undefined;
  readonly newBlocks: string[] = [];
  shuffleBytes = 0;
  shuffleRecords = 0;
  readonly partitionOf: (key: unknown) => number;
  readonly canonical = canonicalKey;

  constructor(options: RuntimeOptions) {
    this.#options = options;
    this.partitionOf = options.partitionOf;
  }

  async(promise?: Promise<unknown>): AsyncSignal {
    this.asyncSeen = true;
    this.pending = promise;
    return new AsyncSignal('a user function is asynchronous');
  }

  partition(at: number): number {
    return this.#options.partitions[at] as number;
  }

  iterable(value: unknown, operator: string): Iterable<unknown> {
    if (value !== null && value !== undefined) {
      if (typeof (value as Iterable<unknown>)[Symbol.iterator] === 'function') return value as Iterable<unknown>;
      if (typeof (value as AsyncIterable<unknown>)[Symbol.asyncIterator] === 'function') {
        if (!this.asyncSeen) throw this.async();
        return value as Iterable<unknown>;
      }
    }
    throw TASK_ERRORS.NOT_ITERABLE({ operator, got: value === null ? 'null' : typeof value });
  }

  notPair(record: unknown): never {
    let shown: string;
    try {
      shown = JSON.stringify(record) ?? String(record);
    } catch {
      shown = typeof record;
    }
    throw SHUFFLE_ERRORS.NOT_A_PAIR({ record: printable(shown, 120) });
  }

  fresh(packed: Uint8Array): unknown {
    return unpackValue(packed);
  }

  reservoir(size: number, at: number): Reservoir {
    return new Reservoir(size, seededRandom(this.partition(at) + 1));
  }

  joinPairs([key, groups]: [unknown, [unknown[], unknown[]]], kind: 'inner' | 'left' | 'right' | 'full'): unknown[] {
    let [left, right] = groups;
    if (left.length === 0 && (kind === 'right' || kind === 'full')) left = [undefined];
    if (right.length === 0 && (kind === 'left' || kind === 'full')) right = [undefined];
    const out: unknown[] = [];
    for (const l of left) for (const r of right) out.push([key, [l, r]]);
    return out;
  }

  getBlock(rddId: number, at: number): unknown[] | undefined {
    return this.#options.blocks.get(this.#blockId(rddId, at));
  }

  putBlock(rddId: number, at: number, records: unknown[]): void {
    const id = this.#blockId(rddId, at);
    this.#options.blocks.put(id, encodeRecords(records), records);
    this.newBlocks.push(id);
  }

  #blockId(rddId: number, at: number): string {
    return blockId(this.#options.application, rddId, this.partition(at));
  }

  buffers(): WriteBuffers {
    return new WriteBuffers(this.#numPartitions());
  }

  #numPartitions(): number {
    return (this.#options.sink as Extract<Sink, { type: 'shuffle' }>).partitioner.numPartitions;
  }

  writeCombined(keys: unknown[], values: unknown[]): MapStatus {
    this.shuffleRecords += keys.length;
    return this.#writeBlocks(splitByPartition(keys, values, this.#numPartitions(), this.partitionOf));
  }

  writeShuffle(buffers: WriteBuffers): MapStatus {
    const blocks = buffers.finish();
    this.shuffleRecords += buffers.records;
    return this.#writeBlocks(blocks);
  }

  #writeBlocks(blocks: readonly Block[]): MapStatus {
    const { sink, directory, executorId, runName, location, digests } = this.#options;
    const name = `shuffle_${(sink as Extract<Sink, { type: 'shuffle' }>).shuffleId}_${runName()}.data`;
    const status = writeMapOutput(directory, name, executorId, blocks, { location, digests });
    this.shuffleBytes += status.offsets.at(-1) ?? 0;
    return status;
  }

  textWriter(): TextWriter {
    const { sink, runName, partitions, digests } = this.#options;
    const { directory, job } = sink as Extract<Sink, { type: 'saveText' }>;
    return new TextWriter(attemptDirectory(directory, job, runName()), partitions.at(-1) as number, digests);
  }
}

/** The `source` of a stage that begins with shuffles. */
export class ShuffleSource {
  readonly #inputs: readonly MapOutputs[];
  readonly #partition: number;
  readonly #fetched: readonly (FetchedBlocks | undefined)[];
  bytesRead = 0;

  constructor(inputs: readonly MapOutputs[], partition: number, fetched: readonly (FetchedBlocks | undefined)[] = []) {
    this.#inputs = inputs;
    this.#fetched = fetched;
    this.#partition = partition;
  }

  columns(input: number): PairColumn[] {
    const out: PairColumn[] = [];
    const outputs = this.#inputs[input] as MapOutputs;
    for (const block of readBlocks(outputs, this.#partition, this.#fetched[input])) {
      this.bytesRead += block.byteLength;
      forEachPairColumn(block, (keys, values) => out.push({ keys, values }));
    }
    return out;
  }

  sorted(ascending: boolean, compare: Compare = compareKeys): { keys: unknown[]; values: unknown[] } {
    return sortPairs(this.columns(0), compare, ascending);
  }
}

/** Id of a cached partition; without a partition: the prefix of all of an RDD's. */
export function blockId(application: string, rddId: number, partition?: number): string {
  return `${application}/rdd_${rddId}_${partition ?? ''}`;
}

/** The application's directory on this executor. */
export function applicationDirectory(localDir: string, application: string): string {
  return join(localDir, application.replace(/[^\w.-]/g, '_'));
}
