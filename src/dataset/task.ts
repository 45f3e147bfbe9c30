/** The task's side: which transaction it is in, and what it reads and writes there. One attempt at a time runs in a thread. */
import { errorFromWire, type WireError } from '../core/errors.ts';
import { runningTask, type RunningTask } from '../storage/task-context.ts';
import type { DatasetAccess } from './access.ts';
import type { Cell, DatasetInfo, DatasetStore, KeyBytes, RowRange, Snapshot } from './contract.ts';
import { DATASET_ERRORS } from './errors.ts';
import type { TaskTransaction } from './job-transactions.ts';
import { openStore, type StoreAddress } from './open-store.ts';
import type { Operations } from './transaction.ts';
import { withOwn } from './versions.ts';

/** Local property of jobs whose datasets are attached: where tasks ask, and the accumulator that names the versions they wrote under. */
export const SERVICE_PROPERTY = 'spark-proxy.dataset.service';

export interface TaskBinding {
  readonly url: string;
  readonly token: string;
  /** Accumulator id. */
  readonly versions: number;
}

/** Stores of this thread, by URL; shared by the tasks that come one after another. */
const stores = new Map<string, Promise<DatasetStore>>();

function storeOf(address: StoreAddress): Promise<DatasetStore> {
  let opened = stores.get(address.url);
  if (opened === undefined) {
    opened = openStore(address, { task: true });
    stores.set(address.url, opened);
    opened.catch(() => stores.delete(address.url));
  }
  return opened;
}

const attempts = new WeakMap<RunningTask, TaskAttempt>();

/** The attempt that runs in this thread. @throws SP_DATASET_NOT_ATTACHED */
export function currentAttempt(): TaskAttempt {
  const task = runningTask();
  const property = task?.localProperties[SERVICE_PROPERTY];
  if (task === undefined || property === undefined) throw DATASET_ERRORS.NOT_ATTACHED();
  let attempt = attempts.get(task);
  if (attempt === undefined) attempts.set(task, (attempt = new TaskAttempt(task, JSON.parse(property) as TaskBinding)));
  return attempt;
}

export class TaskAttempt implements Operations {
  readonly #task: RunningTask;
  readonly #binding: TaskBinding;
  readonly #datasets = new Map<string, DatasetInfo>();
  #joined: Promise<{ readonly store: DatasetStore; readonly snapshot: Snapshot }> | undefined;
  #version: Promise<number> | undefined;
  /** Versions of this run of the attempt. */
  #own: number[] = [];

  constructor(task: RunningTask, binding: TaskBinding) {
    this.#task = task;
    this.#binding = binding;
  }

  async #ask<R>(what: 'transaction' | 'version'): Promise<R> {
    const { url, token } = this.#binding;
    let response: Response;
    let body: unknown;
    try {
      response = await fetch(`${url}/stages/${this.#task.stageId}/${what}`, { method: 'POST', headers: { authorization: `Bearer ${token}` } });
      body = await response.json();
    } catch (error) {
      throw DATASET_ERRORS.SERVICE_FAILED({ url, reason: (error as Error).message }, error);
    }
    const { error } = body as { error?: WireError };
    if (error !== undefined) throw errorFromWire(error);
    if (!response.ok) throw DATASET_ERRORS.SERVICE_FAILED({ url, reason: `status ${response.status}` });
    return body as R;
  }

  #join(): Promise<{ readonly store: DatasetStore; readonly snapshot: Snapshot }> {
    return (this.#joined ??= this.#ask<{ transaction: TaskTransaction; store: StoreAddress }>('transaction').then(async ({ transaction, store }) => ({
      snapshot: transaction.snapshot,
      store: await storeOf(store),
    })));
  }

  /** What the job sees, and what this attempt has written itself. */
  async #view(): Promise<Snapshot> {
    const { snapshot } = await this.#join();
    return withOwn(snapshot, this.#current());
  }

  /** The executor may run a task's functions again from the start (they turned out to be asynchronous): what was written before is then not its result. */
  #current(): number[] {
    const named = this.#task.accumulators.get(this.#binding.versions) as number[] | undefined;
    if (this.#own.length > 0 && named?.includes(this.#own[0] as number) !== true) {
      this.#own = [];
      this.#version = undefined;
    }
    return this.#own;
  }

  ownVersion(): Promise<number> {
    this.#current();
    return (this.#version ??= this.#newVersion());
  }

  async #newVersion(): Promise<number> {
    await this.#join();
    const { version } = await this.#ask<{ version: number }>('version');
    this.#own.push(version);
    const { accumulators } = this.#task;
    // Arrives with the accepted result, once a partition: the driver learns which attempt has won.
    accumulators.set(this.#binding.versions, [...((accumulators.get(this.#binding.versions) as number[] | undefined) ?? []), version]);
    return version;
  }

  async resolve(namespace: string, name: string): Promise<DatasetInfo> {
    const key = `${namespace}:${name}`;
    const known = this.#datasets.get(key);
    if (known !== undefined) return known;
    const { store } = await this.#join();
    const found = await store.find(namespace, name);
    if (found === undefined) throw DATASET_ERRORS.NOT_FOUND({ name, store: store.url });
    this.#datasets.set(key, found);
    return found;
  }

  async get(dataset: DatasetInfo, row: KeyBytes): Promise<Cell[]> {
    const { store } = await this.#join();
    return store.get(dataset, row, await this.#view());
  }

  async *scan(dataset: DatasetInfo, range: RowRange): AsyncGenerator<readonly Cell[]> {
    const { store } = await this.#join();
    yield* store.scan(dataset, range, await this.#view());
  }

  async put(dataset: DatasetInfo, cells: readonly Cell[]): Promise<void> {
    await this.write(dataset, cells);
  }

  async write(dataset: DatasetInfo, cells: Iterable<Cell>): Promise<void> {
    const { store } = await this.#join();
    await store.write(dataset, await this.ownVersion(), cells);
  }
}

export function taskAccess(): DatasetAccess {
  const attempt = currentAttempt();
  return {
    resolve: (namespace, name) => attempt.resolve(namespace, name),
    run: (work) => work(attempt),
    reading: (read) => read(attempt),
  };
}
