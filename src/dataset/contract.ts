/**
 * Datasets: what is kept, and when is it seen? Three layers, each behind one interface of this page.
 *
 * - `DatasetStore` keeps cells (dataset, row, column, version) and knows versions. Every writer - a driver, or one attempt
 *   of a task - writes under a version of its own, straight into the keyed table; nothing of it is seen until a commit
 *   makes the versions that won visible at once. Source: the multi-version scheme of Apache Tephra (write pointers,
 *   read pointer, in-progress and invalid lists, change sets), with attempts as writers.
 * - `TransactionManager` gives snapshots, begins, commits and aborts, explicit transactions of `execute` and implicit ones of actions.
 * - `DatasetContext` is what authors read and write through, on the driver and in closures.
 *
 * Deliberately not here: SQL, secondary indexes, replication, transactions over two stores.
 */

// Stores

/** Bytes whose order is the order of keys; made by `encodeKey`. */
export type KeyBytes = Uint8Array;

export type DatasetKind = 'keyValue' | 'table' | 'fileSet' | 'partitionedFileSet' | 'timePartitionedFileSet' | 'stream';

/** What two transactions that overlap in time may not both write: the same row, the same cell, or anything goes. */
export type ConflictLevel = 'ROW' | 'COLUMN' | 'NONE';

/** Types of Spark SQL that a schema may name. */
export type DataTypeName = 'string' | 'integer' | 'long' | 'float' | 'double' | 'boolean' | 'binary' | 'timestamp' | 'date' | 'any';

/** A schema as Spark SQL writes its StructType in JSON, so that a DataFrame can be made of a dataset without a look at its data. */
export interface StructType {
  readonly type: 'struct';
  readonly fields: readonly StructField[];
}

export interface ArrayType {
  readonly type: 'array';
  readonly elementType: DataType;
  readonly containsNull: boolean;
}

export type DataType = DataTypeName | StructType | ArrayType;

export interface StructField {
  readonly name: string;
  readonly type: DataType;
  readonly nullable: boolean;
}

/** A dataset as its registry knows it. */
export interface DatasetInfo {
  /** Unique in the store, never used again. */
  readonly id: number;
  readonly namespace: string;
  readonly name: string;
  readonly kind: DatasetKind;
  readonly conflicts: ConflictLevel;
  /** Of values (key/value), rows (table), records (files) or events (stream). */
  readonly schema: DataType | undefined;
  /** Of keys, where the kind has them. */
  readonly keySchema: DataTypeName | undefined;
  readonly properties: Readonly<Record<string, string>>;
}

export type NewDataset = Omit<DatasetInfo, 'id'>;

/** What a reader sees: versions up to `readVersion` but the excluded ones, and its own. Plain data: it travels to tasks. */
export interface Snapshot {
  readonly readVersion: number;
  /** Versions up to `readVersion` that were in progress or invalid, ascending. */
  readonly excluded: readonly number[];
  /** Versions of the reader's own transaction. */
  readonly own: readonly number[];
}

/** A null value is a tombstone. */
export interface Cell {
  readonly row: KeyBytes;
  /** Empty for kinds without columns. */
  readonly column: string;
  readonly value: Uint8Array | null;
}

/** Rows from `start` up to, not including, `end`. */
export interface RowRange {
  readonly start?: KeyBytes | undefined;
  readonly end?: KeyBytes | undefined;
}

export interface CommitRequest {
  readonly snapshot: Snapshot;
  /** Versions that won; they become visible together. */
  readonly versions: readonly number[];
  /** Cells not yet in the store, written in the same step under one new version above all of `versions`. */
  readonly writes: readonly { readonly dataset: DatasetInfo; readonly cells: readonly Cell[] }[];
  /** Oldest version that a snapshot of this driver may still need; what is superseded below it may go. */
  readonly oldestNeeded: number;
}

/** A driver's place in a store: fenced when another of its name opens, or when its beats stop for `ttlMs`. */
export interface StoreSession {
  /** Grows with every opening. */
  readonly epoch: number;
  /**
   * New open versions, each above every version that exists.
   * @throws SP_DATASET_FENCED
   */
  allocate(count: number): Promise<number[]>;
  /**
   * Makes versions visible, all at once, or none.
   * @throws SP_DATASET_CONFLICT when a transaction that the snapshot does not see has written the same and committed
   * @throws SP_DATASET_FENCED, SP_DATASET_VERSION_CLOSED
   * @throws SP_DATASET_COMMIT_UNKNOWN when the store was lost meanwhile and does not come back; after any other error it has not committed
   */
  commit(request: CommitRequest): Promise<void>;
  /** Versions that lost: nothing more can be written under them; their rows are removed by and by. */
  abort(versions: readonly number[]): Promise<void>;
  /** Says that the driver lives, and the oldest version that any of its snapshots may still need. @throws SP_DATASET_FENCED */
  beat(oldestNeeded: number): Promise<void>;
  close(): Promise<void>;
}

/** One store; sqlite: and postgres: implement it, test/dataset/conformance judges it. All calls may be made by several processes at once. */
export interface DatasetStore {
  /** Where it is, without user and password. */
  readonly url: string;
  /** @throws SP_DATASET_EXISTS */
  create(dataset: NewDataset): Promise<DatasetInfo>;
  find(namespace: string, name: string): Promise<DatasetInfo | undefined>;
  list(namespace?: string): Promise<DatasetInfo[]>;
  drop(dataset: DatasetInfo): Promise<void>;
  openSession(options: { readonly name: string; readonly ttlMs: number }): Promise<StoreSession>;
  snapshot(): Promise<Snapshot>;
  /** Visible cells of one row, by column; tombstones are left out. */
  get(dataset: DatasetInfo, row: KeyBytes, snapshot: Snapshot): Promise<Cell[]>;
  /** Visible cells in batches, ordered by row and column. */
  scan(dataset: DatasetInfo, range: RowRange, snapshot: Snapshot): AsyncIterable<readonly Cell[]>;
  /** At most `parts - 1` ascending rows that cut the dataset into ranges of about equal size. */
  split(dataset: DatasetInfo, parts: number): Promise<KeyBytes[]>;
  /**
   * Writes under an open version; a cell written twice under one version keeps the last value.
   * @throws SP_DATASET_VERSION_CLOSED when the version was aborted, committed or fenced
   */
  write(dataset: DatasetInfo, version: number, cells: Iterable<Cell>): Promise<void>;
  /** Of these versions, those that are closed and have no cells in the dataset: what they name elsewhere (files) may go. */
  unused(dataset: DatasetInfo, versions: readonly number[]): Promise<number[]>;
  /** Fences sessions without beats, removes rows of aborted versions and versions that nobody can see any more; in steps, until `signal` ends it. */
  maintain(signal?: AbortSignal): Promise<MaintenanceReport>;
  close(): Promise<void>;
}

export interface MaintenanceReport {
  readonly fencedSessions: number;
  /** Aborted versions whose rows are gone. */
  readonly purgedVersions: number;
  /** Superseded cells and old tombstones removed. */
  readonly prunedCells: number;
}

// Transactions

export type TransactionState = 'active' | 'committing' | 'committed' | 'aborted';

/** One transaction of a driver. It costs the store nothing until it reads or writes. */
export interface Transaction {
  readonly id: string;
  readonly kind: 'implicit' | 'explicit';
  readonly state: TransactionState;
  /** Why it can no longer commit: a failed action inside, or its time-out. */
  readonly poison: Error | undefined;
  /** Taken at the first read or write, the same from then on, but for the transaction's own versions. */
  snapshot(): Promise<Snapshot>;
}

export interface ExecuteOptions {
  /** Longest time from begin to commit, milliseconds. @defaultValue dataset.transaction.timeout */
  readonly timeoutMs?: number;
  /** Times the body is run again after SP_DATASET_CONFLICT. @defaultValue 0 */
  readonly retries?: number;
  /** First pause before a retry, milliseconds; doubles each time, with full jitter. @defaultValue 10 */
  readonly backoffMs?: number;
}

export interface TransactionManager {
  /** The explicit transaction that this asynchronous flow is in. */
  current(): Transaction | undefined;
  /**
   * Runs `body` in one explicit transaction: actions of attached contexts and direct access inside belong to it and read its writes. Commits when the body's
   * promise resolves, aborts when it rejects.
   * @throws SP_DATASET_NESTED, SP_DATASET_CONFLICT, SP_DATASET_TRANSACTION_TIMEOUT, SP_DATASET_POISONED
   */
  execute<R>(body: (context: DatasetContext) => Promise<R> | R, options?: ExecuteOptions): Promise<R>;
  /** Waits until every transaction has ended; `execute` and new actions are refused meanwhile and after. */
  drain(): Promise<void>;
}

// What authors use

type Awaitable<T> = T | Promise<T>;

/** Keys are strings, finite numbers, bigints, booleans, Dates, byte arrays, or arrays of them; ordered in that order of types. */
export type KeyValue = string | number | bigint | boolean | Date | Uint8Array | readonly KeyValue[];

export interface ScanOptions<K> {
  readonly from?: K;
  /** Not included. */
  readonly to?: K;
}

export interface KeyValueTable<K = KeyValue, V = unknown> {
  get(key: K): Promise<V | undefined>;
  put(key: K, value: V): Promise<void>;
  delete(key: K): Promise<void>;
  /** Adds to a number (a missing one is 0) and gives the sum. */
  increment(key: K, by?: number): Promise<number>;
  scan(options?: ScanOptions<K>): AsyncIterable<[K, V]>;
}

/** Columns of one row by name. */
export type Row = Readonly<Record<string, unknown>>;

export interface Table<K = KeyValue, R extends Row = Row> {
  get(row: K): Promise<R | undefined>;
  get<C extends keyof R & string>(row: K, column: C): Promise<R[C] | undefined>;
  /** Columns that are not named keep their values. */
  put(row: K, columns: Partial<R>): Promise<void>;
  /** All columns, or the named ones. */
  delete(row: K, columns?: readonly (keyof R & string)[]): Promise<void>;
  increment(row: K, column: keyof R & string, by?: number): Promise<number>;
  scan(options?: ScanOptions<K>): AsyncIterable<[K, R]>;
}

/** A file as a transaction sees it: `location` is where its bytes are. */
export interface FileEntry {
  readonly path: string;
  readonly location: string;
  readonly bytes: number;
}

/** Files below one directory; a file is seen when the transaction that wrote it has committed, and never changes under a reader. */
export interface FileSet {
  list(prefix?: string): Promise<FileEntry[]>;
  read(path: string): Promise<Uint8Array>;
  write(path: string, bytes: Uint8Array | string): Promise<void>;
  delete(path: string): Promise<void>;
}

/** Values of the partitioning fields. */
export type PartitionKey = Readonly<Record<string, string | number>>;

export interface Partition {
  readonly key: PartitionKey;
  readonly metadata: Readonly<Record<string, string>>;
  readonly files: readonly FileEntry[];
}

export interface PartitionedFileSet {
  /** Partitions whose fields equal those of the filter, ordered by key. */
  partitions(filter?: Partial<PartitionKey>): Promise<Partition[]>;
  /** @throws SP_DATASET_PARTITION_EXISTS */
  addPartition(key: PartitionKey, files: Readonly<Record<string, Uint8Array | string>>, metadata?: Readonly<Record<string, string>>): Promise<void>;
  dropPartition(key: PartitionKey): Promise<void>;
}

/** Partitions by time, to the minute. */
export interface TimePartitionedFileSet {
  partitions(from: Date | number, to: Date | number): Promise<(Partition & { readonly time: Date })[]>;
  addPartition(time: Date | number, files: Readonly<Record<string, Uint8Array | string>>, metadata?: Readonly<Record<string, string>>): Promise<void>;
  dropPartition(time: Date | number): Promise<void>;
}

export interface StreamEvent<T = unknown> {
  /** Milliseconds since the epoch. */
  readonly time: number;
  readonly body: T;
}

/** Events, only ever added, read by time. */
export interface EventStream<T = unknown> {
  append(body: T, time?: Date | number): Promise<void>;
  read(from: Date | number, to: Date | number): AsyncIterable<StreamEvent<T>>;
}

/**
 * Datasets by name, in a namespace (`name`, or `namespace:name`). Handles are plain: they look the dataset up when first used.
 * Serializable: captured by a closure it reads at the job's snapshot and writes, unbuffered, in the job's transaction and for the task's attempt only.
 * On the driver it belongs to the explicit transaction of the asynchronous flow; outside of one, each call is a transaction.
 * @throws SP_DATASET_NOT_FOUND, SP_DATASET_WRONG_KIND when a handle is first used
 */
export interface DatasetContext {
  readonly namespace: string;
  keyValue<K extends KeyValue = string, V = unknown>(name: string): KeyValueTable<K, V>;
  table<K extends KeyValue = string, R extends Row = Row>(name: string): Table<K, R>;
  fileSet(name: string): FileSet;
  partitionedFileSet(name: string): PartitionedFileSet;
  timePartitionedFileSet(name: string): TimePartitionedFileSet;
  stream<T = unknown>(name: string): EventStream<T>;
}

/** The registry of one namespace. Its changes are not transactional. */
export interface DatasetAdmin {
  /** @throws SP_DATASET_EXISTS unless `ifNotExists`, SP_DATASET_BAD_DEFINITION */
  create(name: string, kind: DatasetKind, options?: CreateOptions): Promise<DatasetInfo>;
  get(name: string): Promise<DatasetInfo | undefined>;
  list(): Promise<DatasetInfo[]>;
  /** @throws SP_DATASET_NOT_FOUND */
  drop(name: string): Promise<void>;
}

export interface CreateOptions {
  /** @defaultValue false */
  readonly ifNotExists?: boolean;
  /** @defaultValue 'ROW'; streams have 'NONE' */
  readonly conflicts?: ConflictLevel;
  readonly schema?: DataType;
  readonly keySchema?: DataTypeName;
  /** Fields that partition a partitionedFileSet, in order. */
  readonly partitioning?: readonly string[];
  /** Directory of a file set. @defaultValue below dataset.files */
  readonly directory?: string;
  /** How records are written to the files of a file set: a line of JSON each, or strings as they are. @defaultValue 'json' */
  readonly format?: 'json' | 'text';
}

/** Counters and gauges, usable in closures; a task's are counted once, for the attempt that won. */
export interface Metrics {
  count(name: string, by?: number): void;
  gauge(name: string, value: number): void;
  /** What was counted so far; on the driver only. */
  values(): Readonly<Record<string, number>>;
}

/** A record type of a dataset: augment it to have `sc.fromDataset('name')` typed by name. */
// oxlint-disable-next-line typescript/no-empty-object-type
export interface DatasetTypes {}

/** Of a name that nobody has described it is `any`, so that `sc.fromDataset('words').map(([key, value]) => ...)` needs no annotation. */
// oxlint-disable-next-line typescript/no-explicit-any
export type RecordOf<N> = N extends keyof DatasetTypes ? DatasetTypes[N] : any;

export interface SaveOptions {
  /** Directory part of a file set's paths; key of a partition of a partitioned one; time of a time-partitioned one. */
  readonly path?: string;
  readonly partition?: PartitionKey;
  readonly time?: Date | number;
  /** Of a new partition. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Kind of the dataset to make where there is none. @defaultValue 'keyValue' */
  readonly create?: DatasetKind;
}

export interface ReadOptions {
  /** @defaultValue the context's default parallelism */
  readonly numPartitions?: number;
  /** Key range of tables: from, up to but not including to. */
  readonly from?: KeyValue;
  readonly to?: KeyValue;
  /** Of a partitioned file set. */
  readonly filter?: Partial<PartitionKey>;
}

/** A store, its transactions and registry, opened by one driver process; shared by any number of contexts. */
export interface Datasets {
  readonly namespace: string;
  readonly store: DatasetStore;
  readonly admin: DatasetAdmin;
  readonly context: DatasetContext;
  readonly transactions: TransactionManager;
  /** `transactions.execute` */
  execute<R>(body: (context: DatasetContext) => Awaitable<R>, options?: ExecuteOptions): Promise<R>;
  /** Ends what is open (aborting it), the driver's service, the session and the store. Idempotent. */
  close(): Promise<void>;
}

export interface OpenOptions {
  /** `sqlite:PATH` or `postgres://...` @defaultValue dataset.store */
  readonly store?: string;
  /** @defaultValue dataset.namespace */
  readonly namespace?: string;
  /** A second driver of this name fences the first. @defaultValue unique */
  readonly session?: string;
}

// Engine binding, src/dataset/index.ts:
//   openDatasets(options?, configuration?): Promise<Datasets>
//   attachDatasets(sc, datasets): void        - actions of sc run in transactions of datasets; detached when sc stops
//   datasetsOf(sc): Promise<Datasets>         - those attached, else opened from the context's configuration, and closed with it
//   sc.fromDataset(name, options?): RDD       - [key, value], [key, row], file records, event bodies
//   sc.fromStream(name, from, to): RDD<StreamEvent>
//   sc.getMetrics(): Metrics
//   sc.datasetContext: DatasetContext
//   rdd.saveAsDataset(name, options?): Promise<void>   - resolves after the commit
