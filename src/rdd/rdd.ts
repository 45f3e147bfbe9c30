import { SERIALIZE } from '../closure/contract.ts';
import type { Compare, Partitioner } from '../shuffle/partitioner.ts';
import * as actions from './actions.ts';
import { RDD_ERRORS } from './errors.ts';
import { callSite, type RddContext, type RddNode } from './node.ts';
import { positiveInteger } from './sources.ts';
import * as wide from './wide.ts';

type Key<T> = T extends readonly [infer K, unknown] ? K : never;
type Value<T> = T extends readonly [unknown, infer V] ? V : never;
type MaybePromise<T> = T | Promise<T>;
type Rows<U> = Iterable<U> | AsyncIterable<U> | Promise<Iterable<U>>;

/**
 * A resilient distributed dataset: an immutable, partitioned collection described by how it is computed.
 * Transformations describe, actions run. Every function given here is shipped to executors (see docs/closures.md);
 * functions may be async: they are awaited, in order.
 */
export class RDD<T> {
  readonly context: RddContext;
  /** How it is computed; read by the scheduler. */
  readonly node: RddNode;

  constructor(context: RddContext, node: RddNode) {
    this.context = context;
    this.node = node;
  }

  get id(): number {
    return this.node.id;
  }

  get name(): string | undefined {
    return this.node.name;
  }

  setName(name: string): this {
    this.node.name = name;
    return this;
  }

  getNumPartitions(): number {
    return this.node.partitions();
  }

  get partitioner(): Partitioner | undefined {
    return this.node.partitioner;
  }

  #derive<U>(method: string, op: string, params: Readonly<Record<string, unknown>> = {}, keepsPartitioner = false): RDD<U> {
    const { node } = this;
    return new RDD<U>(this.context, {
      id: this.context.newRddId(),
      op,
      params,
      parents: [node],
      shuffles: [],
      partitions: node.partitions,
      partitioner: keepsPartitioner ? node.partitioner : undefined,
      callSite: callSite(method),
      name: undefined,
      persisted: false,
    });
  }

  #withFunction<U>(method: string, f: unknown, keepsPartitioner = false): RDD<U> {
    requireFunction(method, 'f', f);
    return this.#derive<U>(method, method, { f }, keepsPartitioner);
  }

  #to<U>(node: RddNode): RDD<U> {
    return new RDD<U>(this.context, node);
  }

  // Narrow transformations

  map<U>(f: (value: T) => MaybePromise<U>): RDD<U> {
    return this.#withFunction('map', f);
  }

  filter<S extends T>(f: (value: T) => value is S): RDD<S>;
  filter(f: (value: T) => MaybePromise<boolean>): RDD<T>;
  filter(f: (value: T) => MaybePromise<boolean>): RDD<T> {
    return this.#withFunction('filter', f, true);
  }

  /** `f` gives an array, a generator or any iterable (or a promise of one). */
  flatMap<U>(f: (value: T) => Rows<U>): RDD<U> {
    return this.#withFunction('flatMap', f);
  }

  /** `f` is called once a partition, with an iterator over its records. */
  mapPartitions<U>(f: (records: IterableIterator<T>) => Rows<U>): RDD<U> {
    return this.#withFunction('mapPartitions', f);
  }

  mapPartitionsWithIndex<U>(f: (partition: number, records: IterableIterator<T>) => Rows<U>): RDD<U> {
    return this.#withFunction('mapPartitionsWithIndex', f);
  }

  /** One array a partition. */
  glom(): RDD<T[]> {
    return this.#derive('glom', 'glom');
  }

  keyBy<K>(f: (value: T) => MaybePromise<K>): RDD<[K, T]> {
    return this.#withFunction('keyBy', f);
  }

  /** The partitions of this and then those of the others; duplicates stay. */
  union(...others: readonly RDD<T>[]): RDD<T> {
    const parents = [this.node, ...others.map((other) => nodeOf('union', other))];
    return this.#to({
      id: this.context.newRddId(),
      op: 'union',
      params: {},
      parents,
      shuffles: [],
      partitions: () => parents.reduce((sum, parent) => sum + parent.partitions(), 0),
      callSite: callSite('union'),
      name: undefined,
      persisted: false,
    });
  }

  // Wide transformations

  /** Records equal by value, once each. */
  distinct(numPartitions?: number): RDD<T> {
    const pairs = this.#derive<[T, null]>('distinct', 'withNull');
    return pairs.#combine<null>('distinct', { builtin: 'first' }, numPartitions).#derive('distinct', 'keys');
  }

  /** Spread over `numPartitions` by a hash of the record. */
  repartition(numPartitions: number): RDD<T> {
    const node = wide.partitionByNode(this.context, 'repartition', this.#derive('repartition', 'withNull').node, this.#hash('repartition', numPartitions));
    return this.#to<[T, null]>(node).#derive('repartition', 'keys');
  }

  /** Sorted by `f`; numbers, strings, dates, bigints and tuples of them by their natural order, or by `compare`. */
  sortBy<K>(f: (value: T) => MaybePromise<K>, options: SortOptions<K> = {}): RDD<T> {
    return this.keyBy(f).#sorted('sortBy', options).#derive('sortBy', 'values');
  }

  #sorted(method: string, options: SortOptions<never>): RDD<T> {
    // Spark's own sortByKey takes a boolean, which would be ignored.
    if (typeof options !== 'object' || options === null)
      throw RDD_ERRORS.BAD_ARGUMENT({ method, argument: 'options', expected: 'an object such as { ascending: false }', got: String(options) });
    const { ascending = true, numPartitions = this.#defaultPartitions(), compare } = options;
    positiveInteger(method, 'numPartitions', numPartitions);
    return this.#to(wide.sortByKeyNode(this.context, method, this.node, ascending, numPartitions, compare as Compare | undefined));
  }

  #defaultPartitions(): number {
    return this.node.partitioner?.numPartitions ?? this.context.defaultParallelism;
  }

  #hash(method: string, numPartitions = this.#defaultPartitions()): Partitioner {
    return { kind: 'hash', numPartitions: positiveInteger(method, 'numPartitions', numPartitions) };
  }

  #combine<C>(method: string, aggregator: Parameters<typeof wide.combineByKeyNode>[3], numPartitions?: number): RDD<[Key<T>, C]> {
    return this.#to(wide.combineByKeyNode(this.context, method, this.node, aggregator, this.#hash(method, numPartitions)));
  }

  // Of pairs [key, value]; keys are equal by value

  keys(this: RDD<T & readonly [unknown, unknown]>): RDD<Key<T>> {
    return this.#derive('keys', 'keys');
  }

  values(this: RDD<T & readonly [unknown, unknown]>): RDD<Value<T>> {
    return this.#derive('values', 'values');
  }

  mapValues<U>(this: RDD<T & readonly [unknown, unknown]>, f: (value: Value<T>) => MaybePromise<U>): RDD<[Key<T>, U]> {
    return this.#withFunction('mapValues', f, true);
  }

  flatMapValues<U>(this: RDD<T & readonly [unknown, unknown]>, f: (value: Value<T>) => Rows<U>): RDD<[Key<T>, U]> {
    return this.#withFunction('flatMapValues', f, true);
  }

  /** `f` must be associative and commutative; it combines on the map side first. */
  reduceByKey(
    this: RDD<T & readonly [unknown, unknown]>,
    f: (a: Value<T>, b: Value<T>) => MaybePromise<Value<T>>,
    numPartitions?: number,
  ): RDD<[Key<T>, Value<T>]> {
    requireFunction('reduceByKey', 'f', f);
    return this.#combine('reduceByKey', { mergeValue: f, mergeCombiners: f }, numPartitions) as RDD<never>;
  }

  groupByKey(this: RDD<T & readonly [unknown, unknown]>, numPartitions?: number): RDD<[Key<T>, Value<T>[]]> {
    return this.#combine('groupByKey', { builtin: 'group' }, numPartitions) as RDD<never>;
  }

  /** `zero` is copied for each key. */
  aggregateByKey<U>(
    this: RDD<T & readonly [unknown, unknown]>,
    zero: U,
    seqOp: (sum: U, value: Value<T>) => MaybePromise<U>,
    combOp: (a: U, b: U) => MaybePromise<U>,
    numPartitions?: number,
  ): RDD<[Key<T>, U]> {
    requireFunction('aggregateByKey', 'seqOp', seqOp);
    requireFunction('aggregateByKey', 'combOp', combOp);
    return this.#combine('aggregateByKey', { zero: wide.packedZero(zero), mergeValue: seqOp, mergeCombiners: combOp }, numPartitions) as RDD<never>;
  }

  combineByKey<C>(
    this: RDD<T & readonly [unknown, unknown]>,
    createCombiner: (value: Value<T>) => MaybePromise<C>,
    mergeValue: (combiner: C, value: Value<T>) => MaybePromise<C>,
    mergeCombiners: (a: C, b: C) => MaybePromise<C>,
    numPartitions?: number,
  ): RDD<[Key<T>, C]> {
    for (const [name, f] of Object.entries({ createCombiner, mergeValue, mergeCombiners })) requireFunction('combineByKey', name, f);
    return this.#combine('combineByKey', { createCombiner, mergeValue, mergeCombiners }, numPartitions) as RDD<never>;
  }

  /** Moves pairs so that `partition(key)` (or a hash of the key) says their partition. */
  partitionBy(this: RDD<T & readonly [unknown, unknown]>, numPartitions: number, partition?: (key: Key<T>) => number): RDD<T> {
    const n = positiveInteger('partitionBy', 'numPartitions', numPartitions);
    const partitioner: Partitioner =
      partition === undefined ? { kind: 'hash', numPartitions: n } : { kind: 'custom', numPartitions: n, partition: partition as (key: unknown) => number };
    return this.#to(wide.partitionByNode(this.context, 'partitionBy', this.node, partitioner));
  }

  sortByKey(this: RDD<T & readonly [unknown, unknown]>, options: SortOptions<Key<T>> = {}): RDD<T> {
    return this.#sorted('sortByKey', options) as RDD<T>;
  }

  cogroup<W>(this: RDD<T & readonly [unknown, unknown]>, other: RDD<readonly [Key<T>, W]>, numPartitions?: number): RDD<[Key<T>, [Value<T>[], W[]]]> {
    return this.#to(wide.cogroupNode(this.context, 'cogroup', [this.node, nodeOf('cogroup', other)], this.#hash('cogroup', numPartitions)));
  }

  #join<R>(method: string, kind: string, other: RDD<never>, numPartitions?: number): RDD<R> {
    const groups = this.#to(wide.cogroupNode(this.context, method, [this.node, nodeOf(method, other)], this.#hash(method, numPartitions)));
    return groups.#derive(method, 'joinValues', { kind }, true);
  }

  join<W>(this: RDD<T & readonly [unknown, unknown]>, other: RDD<readonly [Key<T>, W]>, numPartitions?: number): RDD<[Key<T>, [Value<T>, W]]> {
    return this.#join('join', 'inner', other as never, numPartitions);
  }

  leftOuterJoin<W>(
    this: RDD<T & readonly [unknown, unknown]>,
    other: RDD<readonly [Key<T>, W]>,
    numPartitions?: number,
  ): RDD<[Key<T>, [Value<T>, W | undefined]]> {
    return this.#join('leftOuterJoin', 'left', other as never, numPartitions);
  }

  rightOuterJoin<W>(
    this: RDD<T & readonly [unknown, unknown]>,
    other: RDD<readonly [Key<T>, W]>,
    numPartitions?: number,
  ): RDD<[Key<T>, [Value<T> | undefined, W]]> {
    return this.#join('rightOuterJoin', 'right', other as never, numPartitions);
  }

  fullOuterJoin<W>(
    this: RDD<T & readonly [unknown, unknown]>,
    other: RDD<readonly [Key<T>, W]>,
    numPartitions?: number,
  ): RDD<[Key<T>, [Value<T> | undefined, W | undefined]]> {
    return this.#join('fullOuterJoin', 'full', other as never, numPartitions);
  }

  // Persistence

  /** Keeps computed partitions in the memory of the executors that computed them. */
  cache(): this {
    this.node.persisted = true;
    return this;
  }

  /** Forgets cached partitions. */
  unpersist(): this {
    this.node.persisted = false;
    this.context.unpersist(this.node.id);
    return this;
  }

  // Actions

  collect(): Promise<T[]> {
    return actions.collect<T>(this.context, this.node);
  }

  count(): Promise<number> {
    return actions.count(this.context, this.node);
  }

  /** @throws SP_RDD_EMPTY */
  reduce(f: (a: T, b: T) => MaybePromise<T>): Promise<T> {
    requireFunction('reduce', 'f', f);
    return actions.reduce(this.context, this.node, f);
  }

  /** `zero` is copied for each partition and once for the driver, as in Spark. */
  fold(zero: T, f: (sum: T, value: T) => MaybePromise<T>): Promise<T> {
    return this.aggregate(zero, f, f);
  }

  aggregate<U>(zero: U, seqOp: (sum: U, value: T) => MaybePromise<U>, combOp: (a: U, b: U) => MaybePromise<U>): Promise<U> {
    requireFunction('aggregate', 'seqOp', seqOp);
    requireFunction('aggregate', 'combOp', combOp);
    return actions.aggregate(this.context, this.node, zero, seqOp, combOp);
  }

  /** The first `count` records, in partition order; runs no more partitions than it needs. */
  take(count: number): Promise<T[]> {
    return actions.take<T>(this.context, this.node, count);
  }

  /** @throws SP_RDD_EMPTY */
  async first(): Promise<T> {
    const found = await this.take(1);
    if (found.length === 0) throw RDD_ERRORS.EMPTY({ action: 'first' });
    return found[0] as T;
  }

  async isEmpty(): Promise<boolean> {
    return (await this.take(1)).length === 0;
  }

  foreach(f: (value: T) => MaybePromise<void>): Promise<void> {
    requireFunction('foreach', 'f', f);
    return actions.run(this.context, this.node, { type: 'foreach', f });
  }

  foreachPartition(f: (records: IterableIterator<T>) => MaybePromise<void>): Promise<void> {
    requireFunction('foreachPartition', 'f', f);
    return actions.run(this.context, this.node, { type: 'partition', f });
  }

  countByKey(this: RDD<T & readonly [unknown, unknown]>): Promise<Map<Key<T>, number>> {
    return actions.collectMap(this.context, this.#combine<number>('countByKey', { builtin: 'count' }).node);
  }

  countByValue(): Promise<Map<T, number>> {
    const pairs = this.#derive<[T, null]>('countByValue', 'withNull');
    return actions.collectMap(this.context, pairs.#combine<number>('countByValue', { builtin: 'count' }).node);
  }

  collectAsMap(this: RDD<T & readonly [unknown, unknown]>): Promise<Map<Key<T>, Value<T>>> {
    return actions.collectMap(this.context, this.node);
  }

  /**
   * Writes `part-00000`... and `_SUCCESS`: strings as they are, other records as JSON, a line each. Each partition's file
   * is that of one successful attempt; nothing appears before the job has succeeded.
   * @throws SP_RDD_OUTPUT_EXISTS
   */
  saveAsTextFile(directory: string): Promise<void> {
    return actions.saveAsTextFile(this.context, this.node, directory);
  }

  /** RDDs do not travel. @throws SP_RDD_IN_CLOSURE */
  [SERIALIZE](): never {
    throw RDD_ERRORS.IN_CLOSURE({ what: 'an RDD' });
  }
}

export interface SortOptions<K> {
  /** @defaultValue true */
  readonly ascending?: boolean;
  /** @defaultValue the context's default parallelism */
  readonly numPartitions?: number;
  /** @defaultValue natural order */
  readonly compare?: (a: K, b: K) => number;
}

function nodeOf(method: string, other: RDD<never> | RDD<unknown>): RddNode {
  const node = (other as Partial<RDD<unknown>> | null | undefined)?.node;
  if (node === undefined) throw RDD_ERRORS.BAD_ARGUMENT({ method, argument: 'other', expected: 'an RDD', got: other === null ? 'null' : typeof other });
  return node;
}

function requireFunction(method: string, argument: string, f: unknown): void {
  if (typeof f !== 'function') throw RDD_ERRORS.BAD_ARGUMENT({ method, argument, expected: 'a function', got: f === null ? 'null' : typeof f });
}
