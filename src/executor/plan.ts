import type { Partitioner } from '../shuffle/partitioner.ts';

type AnyFunction = (...args: never[]) => unknown;

/**
 * How values of one key are combined; Spark's Aggregator. The built-in ones need no user function:
 * `first` keeps the first value, `count` counts, `group` collects arrays.
 */
export type Aggregator =
  | { readonly builtin: 'first' | 'count' | 'group' }
  | {
      /** First value of a key -> combiner; identity when neither this nor `zero` is given. */
      readonly createCombiner?: AnyFunction;
      /** Packed value that each key starts from instead (aggregateByKey, foldByKey): a fresh copy a key. */
      readonly zero?: Uint8Array;
      readonly mergeValue: AnyFunction;
      readonly mergeCombiners: AnyFunction;
    };

/**
 * One RDD of a stage as its tasks see it. `op` is a row of operators.ts; sources are leaves, `union` has several parents,
 * every other operator has exactly one.
 */
export interface PlanNode {
  readonly op: string;
  /** Indexes of parents in `StagePlan.nodes`. */
  readonly parents: readonly number[];
  /** User functions and constants of the operator. */
  readonly params: Readonly<Record<string, unknown>>;
  /** RDD id, present when the RDD is persisted: its partitions are blocks `rdd_<id>_<partition>`. */
  readonly cacheId?: number;
}

/** What happens to the records at the end of a stage. */
export type Sink =
  | { readonly type: 'collect' | 'count' }
  | { readonly type: 'take'; readonly count: number }
  | { readonly type: 'reduce'; readonly f: AnyFunction }
  | { readonly type: 'aggregate'; readonly zero: Uint8Array; readonly seqOp: AnyFunction }
  | { readonly type: 'foreach'; readonly f: AnyFunction }
  /** `f(iterator, partition)`; its value is the result. */
  | { readonly type: 'partition'; readonly f: AnyFunction }
  | { readonly type: 'saveText'; readonly directory: string; readonly job: string }
  | {
      readonly type: 'shuffle';
      readonly shuffleId: number;
      readonly partitioner: Partitioner;
      /** Given when values are combined on the map side. */
      readonly aggregator?: Aggregator;
    };

/** What all tasks of a stage share; serialized once, addressed by its content. The last node is the stage's RDD. */
export interface StagePlan {
  /** Application id: names its directory on executors. */
  readonly application: string;
  readonly nodes: readonly PlanNode[];
  readonly sink: Sink;
}

/** Property of a job whose results are verified: output carries digests. */
export const VERIFY_PROPERTY = 'spark.proxy.verify';

/** A task's own part. */
export interface TaskPayload {
  /** Partition of the stage's RDD. */
  readonly partition: number;
  /** For each union from the top down: [position of the parent, partition of that parent]. */
  readonly route: readonly (readonly [parent: number, partition: number])[];
  /** Data of the source partition (slice, range, file splits), by source. */
  readonly source: unknown;
  /** Hashes of the map outputs the source reads, in the order of its shuffles. */
  readonly inputs: readonly string[];
  readonly properties: Readonly<Record<string, string>>;
}

/** What a successful task sends back besides its value. */
export interface TaskMetrics {
  /** Milliseconds in the task, from decoding its plan to encoding its result. */
  readonly runMs: number;
  readonly bytesRead: number;
  readonly shuffleBytesWritten: number;
  readonly shuffleRecordsWritten: number;
  /** Of the bytes read, those of shuffle blocks fetched from other machines. */
  readonly remoteBytesRead: number;
}

export interface TaskResult {
  /** By sink: records as columns, a packed value, or a MapStatus. */
  readonly value: unknown;
  readonly accumulators: readonly (readonly [id: number, update: unknown])[];
  /** Ids of blocks that this executor now holds. */
  readonly blocks: readonly string[];
  readonly metrics: TaskMetrics;
}
