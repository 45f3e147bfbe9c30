/** One transaction of a driver: a snapshot, what it has written so far, and how it ends. */
import { SparkProxyError } from '../core/errors.ts';
import type { Cell, DatasetInfo, DatasetStore, KeyBytes, RowRange, Snapshot, StoreSession, Transaction, TransactionState } from './contract.ts';
import { DATASET_ERRORS } from './errors.ts';
import { compareKeys, oldestNeeded, withOwn } from './versions.ts';

/** Cells kept in the driver's memory; more go to the store early, under a version of the transaction. */
const MAX_BUFFERED = 10_000;

/** What handles read and write through: a transaction on the driver, an attempt in a task. */
export interface Operations {
  get(dataset: DatasetInfo, row: KeyBytes): Promise<Cell[]>;
  scan(dataset: DatasetInfo, range: RowRange): AsyncIterable<readonly Cell[]>;
  put(dataset: DatasetInfo, cells: readonly Cell[]): Promise<void>;
  /** A version that what is written now belongs to. */
  ownVersion(): Promise<number>;
}

export interface TransactionHost {
  readonly store: DatasetStore;
  readonly session: StoreSession;
  /** Asks whether the session still stands: something of it was refused. */
  beat(): void;
  /** Oldest version that any snapshot of this driver needs. */
  oldestNeeded(): number;
  /** The version is the transaction's: a task may write under it. */
  owns(version: number, transaction: DriverTransaction): void;
  ended(transaction: DriverTransaction, versions: Iterable<number>): void;
}

interface Buffered {
  readonly dataset: DatasetInfo;
  /** In order of (row, column). */
  readonly cells: Map<string, Cell>;
}

const identity = (row: KeyBytes, column: string): string => `${row.length}:${Buffer.from(row).toString('latin1')}${column}`;

export class DriverTransaction implements Transaction, Operations {
  readonly id: string;
  readonly kind: 'implicit' | 'explicit';
  readonly #host: TransactionHost;
  /** That of its begin: what was begun before the driver was fenced cannot end in the session after. */
  readonly #session: StoreSession;
  readonly #buffer = new Map<number, Buffered>();
  /** Versions whose writes count. */
  readonly #won: number[] = [];
  readonly #open = new Set<number>();
  #state: TransactionState = 'active';
  #poison: Error | undefined;
  #base: Promise<Snapshot> | undefined;
  #needed = Infinity;
  #buffered = 0;

  constructor(id: string, kind: 'implicit' | 'explicit', host: TransactionHost) {
    this.id = id;
    this.kind = kind;
    this.#host = host;
    this.#session = host.session;
  }

  get state(): TransactionState {
    return this.#state;
  }

  get poison(): Error | undefined {
    return this.#poison;
  }

  /** Oldest version its snapshot needs. */
  get needed(): number {
    return this.#needed;
  }

  /** From now on it can only abort. The first reason stays. */
  poisonWith(error: Error): void {
    this.#poison ??= error;
  }

  #requireActive(): void {
    if (this.#poison !== undefined) throw this.#poison;
    if (this.#state !== 'active') throw DATASET_ERRORS.TRANSACTION_ENDED({ state: this.#state });
  }

  async snapshot(): Promise<Snapshot> {
    this.#requireActive();
    this.#base ??= this.#begin();
    return withOwn(await this.#base, this.#won);
  }

  async #begin(): Promise<Snapshot> {
    // Until it is known what the snapshot needs, nothing may go.
    this.#needed = 0;
    const snapshot = await this.#host.store.snapshot();
    this.#needed = oldestNeeded(snapshot);
    return snapshot;
  }

  // Reads: what is buffered lies over what the snapshot sees

  async get(dataset: DatasetInfo, row: KeyBytes): Promise<Cell[]> {
    const cells = await this.#host.store.get(dataset, row, await this.snapshot());
    const buffered = this.#buffer.get(dataset.id);
    if (buffered === undefined) return cells;
    const over = [...buffered.cells.values()].filter((cell) => compareKeys(cell.row, row) === 0);
    return over.length === 0 ? cells : overlay(cells, over);
  }

  async *scan(dataset: DatasetInfo, range: RowRange): AsyncGenerator<readonly Cell[]> {
    // What a scan reads is larger than what it is worth to merge in memory.
    await this.flush();
    yield* this.#host.store.scan(dataset, range, await this.snapshot());
  }

  // Writes

  async put(dataset: DatasetInfo, cells: readonly Cell[]): Promise<void> {
    await this.snapshot();
    this.#requireActive();
    let buffered = this.#buffer.get(dataset.id);
    if (buffered === undefined) this.#buffer.set(dataset.id, (buffered = { dataset, cells: new Map() }));
    for (const cell of cells) {
      const key = identity(cell.row, cell.column);
      if (!buffered.cells.has(key)) this.#buffered += 1;
      buffered.cells.set(key, cell);
    }
    if (this.#buffered > MAX_BUFFERED) await this.flush();
  }

  /** Puts what is buffered into the store, where tasks of this transaction see it. */
  async flush(): Promise<void> {
    if (this.#buffered === 0) return;
    const buffers = [...this.#buffer.values()];
    this.#buffer.clear();
    this.#buffered = 0;
    const version = await this.ownVersion();
    for (const { dataset, cells } of buffers) {
      await this.#host.store.write(dataset, version, cells.values());
    }
  }

  /** A version of the driver's own; all written under it counts. */
  async ownVersion(): Promise<number> {
    const version = await this.attemptVersion();
    this.#won.push(version);
    return version;
  }

  /** A version for one attempt of a task; what it writes counts once `win` is called. */
  async attemptVersion(): Promise<number> {
    await this.snapshot();
    const [version] = (await this.#fencing(this.#session.allocate(1))) as [number];
    this.#open.add(version);
    this.#host.owns(version, this);
    this.#requireActive();
    return version;
  }

  async #fencing<R>(asked: Promise<R>): Promise<R> {
    try {
      return await asked;
    } catch (error) {
      if (SparkProxyError.is(error) && error.code === 'SP_DATASET_FENCED') this.#host.beat();
      throw error;
    }
  }

  /** The result of the attempt that wrote under this version was accepted. */
  win(version: number): void {
    if (this.#state === 'active' && this.#open.has(version) && !this.#won.includes(version)) this.#won.push(version);
  }

  // Ends

  /** @throws SP_DATASET_CONFLICT, SP_DATASET_FENCED, SP_DATASET_POISONED, SP_DATASET_TRANSACTION_TIMEOUT; then it is aborted */
  async commit(): Promise<void> {
    this.#requireActive();
    this.#state = 'committing';
    try {
      const writes = [...this.#buffer.values()].map(({ dataset, cells }) => ({ dataset, cells: [...cells.values()] }));
      if (writes.length > 0 || this.#won.length > 0) {
        const snapshot = (await this.#base) as Snapshot;
        await this.#fencing(this.#session.commit({ snapshot, versions: this.#won, writes, oldestNeeded: this.#host.oldestNeeded() }));
      }
      for (const version of this.#won) this.#open.delete(version);
      this.#state = 'committed';
    } catch (error) {
      this.#state = 'aborted';
      throw error;
    } finally {
      this.#end();
    }
  }

  /** Nothing of it is ever seen. Idempotent. */
  abort(): void {
    if (this.#state !== 'active') return;
    this.#state = 'aborted';
    this.#end();
  }

  #end(): void {
    this.#needed = Infinity;
    this.#buffer.clear();
    this.#host.ended(this, this.#open);
  }
}

/** Cells of one row; both by column. */
function overlay(cells: readonly Cell[], over: readonly Cell[]): Cell[] {
  const merged = new Map(cells.map((cell) => [cell.column, cell]));
  for (const cell of over) merged.set(cell.column, cell);
  return [...merged.values()].filter(({ value }) => value !== null).sort((a, b) => (a.column < b.column ? -1 : 1));
}
