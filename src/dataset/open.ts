/** A driver's datasets: store, session, transactions, registry and the service that tasks ask. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { dirname, join, resolve } from 'node:path';
import { systemClock } from '../core/clock.ts';
import { loadConfiguration, type Configuration } from '../core/config.ts';
import { newId } from '../core/ids.ts';
import { createLogger } from '../core/logger.ts';
import { registerDriver, type DatasetAccess } from './access.ts';
import { Registry } from './admin.ts';
import { TravellingContext } from './context.ts';
import type { DatasetContext, Datasets, DatasetStore, ExecuteOptions, OpenOptions, StoreSession } from './contract.ts';
import { JobTransactions } from './job-transactions.ts';
import { removeUnusedFiles } from './kinds/files.ts';
import { openStore, storeAddress, type StoreAddress } from './open-store.ts';
import { startService, type DatasetService } from './service.ts';
import type { DriverTransaction } from './transaction.ts';
import { DriverTransactions } from './transaction-manager.ts';

const logger = createLogger('datasets');

/** Beats in the time of `dataset.session.ttl`. */
const BEATS = 4;

interface Action {
  readonly id: string;
  readonly transaction: () => DriverTransaction;
}

export class DriverDatasets implements Datasets {
  readonly namespace: string;
  readonly store: DatasetStore;
  readonly admin: Registry;
  readonly context: DatasetContext;
  readonly transactions: DriverTransactions;
  readonly jobs: JobTransactions;
  readonly #address: StoreAddress;
  readonly #host: string;
  readonly #unregister: () => void;
  readonly #actions = new AsyncLocalStorage<Action>();
  #service: Promise<DatasetService> | undefined;
  #closed: Promise<void> | undefined;

  private constructor(parts: {
    readonly namespace: string;
    readonly store: DatasetStore;
    readonly admin: Registry;
    readonly transactions: DriverTransactions;
    readonly context: DatasetContext;
    readonly address: StoreAddress;
    readonly host: string;
    readonly unregister: () => void;
  }) {
    this.namespace = parts.namespace;
    this.store = parts.store;
    this.admin = parts.admin;
    this.transactions = parts.transactions;
    this.context = parts.context;
    this.#address = parts.address;
    this.#host = parts.host;
    this.#unregister = parts.unregister;
    this.jobs = new JobTransactions({
      begin: () => this.transactions.begin('implicit'),
      find: (id) => this.transactions.find(id),
      clock: systemClock,
      failed: (jobId, error) => logger.error('the transaction of a job could not commit', { jobId, error: error.message }),
    });
  }

  static async open(options: OpenOptions, configuration: Configuration, id = newId('datasets')): Promise<DriverDatasets> {
    const namespace = options.namespace ?? configuration.get('dataset.namespace');
    const given = storeAddress(options.store ?? configuration.get('dataset.store'), configuration.get('dataset.store.password.file'));
    const path = given.url.startsWith('sqlite:') ? resolve(given.url.slice('sqlite:'.length)) : undefined;
    const address = path === undefined ? given : { url: `sqlite:${path}` };
    const files = resolve(configuration.get('dataset.files') ?? (path === undefined ? '.spark-proxy/files' : join(dirname(path), 'files')));
    const store = await openStore(address);
    try {
      const ttlMs = configuration.get('dataset.session.ttl');
      const openSession = (): Promise<StoreSession> => store.openSession({ name: options.session ?? newId('driver'), ttlMs });
      const session = await openSession();
      const admin = new Registry(store, namespace, files);
      const context = new TravellingContext(namespace, id);
      const transactions = new DriverTransactions({
        store,
        session,
        // A name of one's own is nobody else's: whoever fenced it did not take its place.
        reopen: options.session === undefined ? openSession : undefined,
        context: () => context,
        clock: systemClock,
        random: Math.random,
        logger,
        timeoutMs: configuration.get('dataset.transaction.timeout'),
        beatMs: ttlMs / BEATS,
        maintain: (signal) => maintain(store, signal),
      });
      const access: DatasetAccess = {
        resolve: (inNamespace, name) => admin.resolve(inNamespace, name),
        run: (work) => transactions.within(work),
        reading: (read) => transactions.reading(read),
      };
      const host = configuration.get('dataset.service.host');
      return new DriverDatasets({ namespace, store, admin, transactions, context, address, host, unregister: registerDriver(id, access) });
    } catch (error) {
      await store.close();
      throw error;
    }
  }

  service(): Promise<DatasetService> {
    return (this.#service ??= startService(this.#host, this.jobs, this.#address));
  }

  execute<R>(body: (context: DatasetContext) => Promise<R> | R, options?: ExecuteOptions): Promise<R> {
    return this.transactions.execute(body, options);
  }

  /** The explicit transaction of this asynchronous flow, and else the action that it is in. */
  joined(): { readonly transaction?: DriverTransaction; readonly action?: string } {
    const transaction = this.transactions.current();
    const action = this.#actions.getStore()?.id;
    return { ...(transaction === undefined ? {} : { transaction }), ...(action === undefined ? {} : { action }) };
  }

  /**
   * One action: the jobs that `work` runs, however many, have one transaction, which ends with it; inside `execute` they have that of
   * `execute`, and a failure poisons it.
   */
  async action<R>(work: (transaction: () => DriverTransaction) => Promise<R>): Promise<R> {
    const explicit = this.transactions.current();
    if (explicit !== undefined) {
      if (explicit.poison !== undefined) throw explicit.poison;
      try {
        return await work(() => explicit);
      } catch (error) {
        explicit.poisonWith(error as Error);
        throw error;
      }
    }
    const outer = this.#actions.getStore();
    if (outer !== undefined) return work(outer.transaction);
    const id = newId('action');
    const unit = this.jobs.beginAction(id);
    const transaction = (): DriverTransaction => unit.transaction();
    let result: R;
    try {
      result = await this.#actions.run({ id, transaction }, () => work(transaction));
    } catch (error) {
      await this.jobs.endAction(id, error);
      throw error;
    }
    await this.jobs.endAction(id);
    return result;
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#unregister();
    await (await this.#service)?.close();
    try {
      await this.transactions.close();
    } finally {
      await this.store.close();
    }
  }
}

async function maintain(store: DatasetStore, signal: AbortSignal): Promise<void> {
  const report = await store.maintain(signal);
  if (signal.aborted) return;
  for (const dataset of await store.list()) if (dataset.properties['directory'] !== undefined) await removeUnusedFiles(store, dataset);
  if (report.fencedSessions > 0) logger.warn('drivers that had fallen silent were fenced', { ...report });
  else if (report.purgedVersions + report.prunedCells > 0) logger.debug('cleaned up', { ...report });
}

/** Opens a store for one driver process. @throws SP_DATASET_BAD_STORE, SP_DATASET_PEER_MISSING, SP_DATASET_STORE_FAILED */
export function openDatasets(options: OpenOptions = {}, configuration: Configuration = loadConfiguration({})): Promise<DriverDatasets> {
  return DriverDatasets.open(options, configuration);
}
