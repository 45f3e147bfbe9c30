/** How handles reach their dataset: by the transaction of the asynchronous flow on the driver, by the running attempt in a task. */
import type { DatasetInfo, DatasetKind } from './contract.ts';
import { runningTask } from '../storage/task-context.ts';
import { DATASET_ERRORS } from './errors.ts';
import { taskAccess } from './task.ts';
import type { Operations } from './transaction.ts';

export interface DatasetAccess {
  /** @throws SP_DATASET_NOT_FOUND */
  resolve(namespace: string, name: string): Promise<DatasetInfo>;
  /** One piece of work that reads and writes in one transaction. */
  run<R>(work: (operations: Operations) => Promise<R>): Promise<R>;
  reading<T>(read: (operations: Operations) => AsyncIterable<T>): AsyncIterable<T>;
}

/** What a handle is: plain data, so that it travels in closures; where it is used decides how it reaches its dataset. */
export interface HandleRef {
  /** Id of the driver's datasets. */
  readonly driver: string;
  readonly namespace: string;
  readonly name: string;
  readonly kind: DatasetKind;
}

/** Accesses of this process' drivers, by id. Global, so that a function that travels does not take them along. */
const DRIVERS = Symbol.for('spark-proxy.datasets');

function drivers(): Map<string, DatasetAccess> {
  const globals = globalThis as unknown as Record<symbol, Map<string, DatasetAccess> | undefined>;
  return (globals[DRIVERS] ??= new Map());
}

/** Returns the function that takes it back. */
export function registerDriver(id: string, access: DatasetAccess): () => void {
  drivers().set(id, access);
  return () => drivers().delete(id);
}

/** The running attempt in a task; on the driver its datasets. @throws SP_DATASET_DRAINING, SP_DATASET_NOT_ATTACHED */
export function accessOf({ driver }: HandleRef): DatasetAccess {
  if (runningTask() !== undefined) return taskAccess();
  const access = drivers().get(driver);
  if (access === undefined) throw DATASET_ERRORS.DRAINING({ reason: 'the datasets are closed, or not open yet' });
  return access;
}

/** @throws SP_DATASET_NOT_FOUND, SP_DATASET_WRONG_KIND */
export async function datasetOf(ref: HandleRef): Promise<DatasetInfo> {
  return requireKind(await accessOf(ref).resolve(ref.namespace, ref.name), ref.kind);
}

const NAME = /^[\w.-]{1,128}$/;

/** `name` or `namespace:name`. @throws SP_DATASET_BAD_NAME */
export function parseName(given: string, namespace: string): { namespace: string; name: string } {
  const parts = typeof given === 'string' ? given.split(':') : [];
  const [first, second] = parts.length === 1 ? [namespace, parts[0]] : parts;
  if (parts.length > 2 || !NAME.test(first ?? '') || !NAME.test(second ?? '')) throw DATASET_ERRORS.BAD_NAME({ name: String(given) });
  return { namespace: first as string, name: second as string };
}

export function requireKind(dataset: DatasetInfo, wanted: DatasetKind): DatasetInfo {
  if (dataset.kind !== wanted) throw DATASET_ERRORS.WRONG_KIND({ name: dataset.name, kind: dataset.kind, wanted });
  return dataset;
}
