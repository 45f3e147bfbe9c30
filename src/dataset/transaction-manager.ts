/** Begins and ends the transactions of one driver, and keeps its session in the store alive. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { setTimeout as wait } from 'node:timers/promises';
import type { Clock, Timer } from '../core/clock.ts';
import { SparkProxyError } from '../core/errors.ts';
import { newId, type Random } from '../core/ids.ts';
import type { Logger } from '../core/logger.ts';
import type { DatasetContext, DatasetStore, ExecuteOptions, StoreSession, TransactionManager } from './contract.ts';
import { DATASET_ERRORS } from './errors.ts';
import { DriverTransaction, type Operations, type TransactionHost } from './transaction.ts';
import { oldestNeeded } from './versions.ts';

/** Longest pause before a retry, milliseconds. */
const MAX_BACKOFF = 5_000;

const CLOSED = 'the datasets were closed';

export interface ManagerOptions {
  readonly store: DatasetStore;
  readonly session: StoreSession;
  /** A new session in place of one that was fenced; undefined where another driver may have taken its place. */
  readonly reopen?: (() => Promise<StoreSession>) | undefined;
  readonly context: () => DatasetContext;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly timeoutMs: number;
  readonly beatMs: number;
  /** Clean-up of the store, begun after a beat; one at a time, and beats go on meanwhile. */
  readonly maintain: (signal: AbortSignal) => Promise<void>;
}

export class DriverTransactions implements TransactionManager, TransactionHost {
  readonly store: DatasetStore;
  session: StoreSession;
  readonly #options: ManagerOptions;
  readonly #flow = new AsyncLocalStorage<DriverTransaction>();
  readonly #active = new Map<string, DriverTransaction>();
  readonly #owners = new Map<number, DriverTransaction>();
  readonly #idle: (() => void)[] = [];
  readonly #beats: Timer;
  readonly #background = new Set<Promise<void>>();
  /** Transactions begun so far. */
  begun = 0;
  #draining: string | undefined;
  #beat: Promise<void> | undefined;
  #maintenance: Promise<void> | undefined;
  /** Another driver has its place. */
  #isLost = false;
  readonly #closing = new AbortController();

  constructor(options: ManagerOptions) {
    this.#options = options;
    this.store = options.store;
    this.session = options.session;
    this.#beats = options.clock.every(options.beatMs, () => this.beat());
  }

  /** Says now that the driver lives. */
  beat(): void {
    if (this.#draining !== CLOSED && !this.#isLost) this.#beat ??= this.#renew().finally(() => (this.#beat = undefined));
  }

  async #renew(): Promise<void> {
    try {
      // Snapshots that are asked for from here on need no less than this one; those asked for before are active.
      const now = oldestNeeded(await this.store.snapshot());
      await this.session.beat(Math.min(now, this.oldestNeeded()));
      this.#maintenance ??= this.#maintain().finally(() => (this.#maintenance = undefined));
    } catch (error) {
      if (hasCode(error, 'SP_DATASET_FENCED')) await this.#fenced(error as Error);
      // A store that does not answer is asked again.
      else this.#options.logger.warn('the session in the dataset store could not be renewed', { error: (error as Error).message });
    }
  }

  async #maintain(): Promise<void> {
    try {
      await this.#options.maintain(this.#closing.signal);
    } catch (error) {
      this.#options.logger.warn('the clean-up of the dataset store is put off', { error: (error as Error).message });
    }
  }

  /** What is open is lost. A driver that was only silent for too long (a suspended machine) goes on in a new session. */
  async #fenced(error: Error): Promise<void> {
    const { logger, reopen } = this.#options;
    for (const transaction of this.#active.values()) transaction.poisonWith(error);
    if (reopen === undefined) {
      this.#isLost = true;
      this.#beats.cancel();
      logger.error('this driver can commit no more', { error: error.message });
      return;
    }
    try {
      this.session = await reopen();
      logger.warn('this driver was fenced: transactions that were open are aborted, new ones can begin', { error: error.message });
    } catch (failure) {
      logger.warn('no new session in the dataset store', { error: (failure as Error).message });
    }
  }

  oldestNeeded(): number {
    let needed = Infinity;
    for (const transaction of this.#active.values()) needed = Math.min(needed, transaction.needed);
    return needed === Infinity ? Number.MAX_SAFE_INTEGER : needed;
  }

  owns(version: number, transaction: DriverTransaction): void {
    this.#owners.set(version, transaction);
  }

  /** Results that were accepted name the versions they wrote under. */
  won(versions: readonly number[]): void {
    for (const version of versions) this.#owners.get(version)?.win(version);
  }

  ended(transaction: DriverTransaction, open: Iterable<number>): void {
    this.#active.delete(transaction.id);
    const losers = [...open];
    for (const [version, owner] of this.#owners) if (owner === transaction) this.#owners.delete(version);
    if (losers.length > 0) this.#inBackground(this.session.abort(losers));
    if (this.#active.size === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }

  #inBackground(work: Promise<void>): void {
    const guarded: Promise<void> = work
      .catch((error: unknown) => this.#options.logger.warn('aborted versions are left to the reaper', { error: (error as Error).message }))
      .finally(() => this.#background.delete(guarded));
    this.#background.add(guarded);
  }

  /** @throws SP_DATASET_DRAINING */
  begin(kind: 'implicit' | 'explicit'): DriverTransaction {
    if (this.#draining !== undefined) throw DATASET_ERRORS.DRAINING({ reason: this.#draining });
    const transaction = new DriverTransaction(newId('tx'), kind, this);
    this.#active.set(transaction.id, transaction);
    this.begun += 1;
    return transaction;
  }

  /** Transactions that have not ended. */
  get active(): number {
    return this.#active.size;
  }

  find(id: string): DriverTransaction | undefined {
    return this.#active.get(id);
  }

  current(): DriverTransaction | undefined {
    return this.#flow.getStore();
  }

  /** The transaction of this asynchronous flow, else one for `work` alone. */
  async within<R>(work: (transaction: DriverTransaction) => Promise<R>): Promise<R> {
    const joined = this.current();
    if (joined !== undefined) return work(joined);
    const transaction = this.begin('implicit');
    try {
      const result = await work(transaction);
      await transaction.commit();
      return result;
    } finally {
      transaction.abort();
    }
  }

  /** The same for what is read bit by bit. */
  async *reading<T>(read: (operations: Operations) => AsyncIterable<T>): AsyncGenerator<T> {
    const joined = this.current();
    const transaction = joined ?? this.begin('implicit');
    try {
      yield* read(transaction);
      if (joined === undefined) await transaction.commit();
    } finally {
      if (joined === undefined) transaction.abort();
    }
  }

  async execute<R>(body: (context: DatasetContext) => Promise<R> | R, options: ExecuteOptions = {}): Promise<R> {
    if (this.current()?.state === 'active') throw DATASET_ERRORS.NESTED();
    const { timeoutMs = this.#options.timeoutMs, retries = 0, backoffMs = 10 } = options;
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#once(body, timeoutMs);
      } catch (error) {
        if (!hasCode(error, 'SP_DATASET_CONFLICT') || attempt >= retries) throw error;
      }
      // Full jitter: M. Brooker, "Exponential Backoff And Jitter", 2015.
      await wait(this.#options.random() * Math.min(MAX_BACKOFF, backoffMs * 2 ** attempt));
    }
  }

  async #once<R>(body: (context: DatasetContext) => Promise<R> | R, timeoutMs: number): Promise<R> {
    const transaction = this.begin('explicit');
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer =
      timeoutMs === 0
        ? undefined
        : this.#options.clock.after(timeoutMs, () => {
            const error = DATASET_ERRORS.TRANSACTION_TIMEOUT({ timeoutMs });
            transaction.poisonWith(error);
            transaction.abort();
            reject(error);
          });
    try {
      const done = this.#flow.run(transaction, async () => body(this.#options.context()));
      const result = await Promise.race([done, late]);
      if (transaction.poison !== undefined) throw DATASET_ERRORS.POISONED({}, transaction.poison);
      await transaction.commit();
      return result;
    } finally {
      timer?.cancel();
      transaction.abort();
    }
  }

  async drain(reason = 'transactions are being drained'): Promise<void> {
    this.#draining ??= reason;
    if (this.#active.size > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  /** Aborts what is open and leaves the store. */
  async close(): Promise<void> {
    this.#draining = CLOSED;
    this.#beats.cancel();
    for (const transaction of [...this.#active.values()]) {
      transaction.poisonWith(DATASET_ERRORS.DRAINING({ reason: this.#draining }));
      transaction.abort();
    }
    this.#closing.abort();
    await Promise.all([...this.#background, this.#beat]);
    await this.#maintenance;
    await this.session.close();
  }
}

function hasCode(error: unknown, code: string): boolean {
  return SparkProxyError.is(error) && error.code === code;
}
