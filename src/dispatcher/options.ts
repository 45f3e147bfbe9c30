import type { Random } from '../core/ids.ts';
import { TERM_EPOCHS } from '../protocol/application.ts';
import type { HostSelector } from '../selectors/contract.ts';
import type { OrderView } from './applications.ts';
import { dispatcherErrors } from './errors.ts';
import type { HealthOptions } from './health.ts';
import type { TaskOrder } from './order.ts';
import type { TaskEntry } from './task-entry.ts';
import type { QueueLimits } from './queue-cost.ts';
import type { Comparators } from './verification.ts';

export const DEFAULT_QUEUE_MS = 5;

export interface DispatcherStateOptions {
  readonly selector: HostSelector;
  /** A worker whose beats stop for this long loses its leases. @defaultValue 10000 */
  readonly leaseMs?: number;
  /** Workers a task may be lost on before it fails. @defaultValue 4 */
  readonly maxLeases?: number;
  /** Tasks sent per slot: above 1, the next task is there when one ends. @defaultValue 2 */
  readonly queueDepth?: number;
  /** Short tasks of a stage are sent to a slot as many as run in this time, up to 64; 0: no more than `queueDepth`. Milliseconds. @defaultValue 5 */
  readonly queueMs?: number;
  /** A worker that holds fewer tasks than it was sent, for this long, is sent those again. @defaultValue leaseMs */
  readonly resendAfterMs?: number;
  /** Ended tasks whose epochs are remembered. @defaultValue 65536 */
  readonly fenceLimit?: number;
  /** Order of the waiting tasks of one kind. @defaultValue first submitted, first out */
  readonly newOrder?: (view: OrderView) => TaskOrder<TaskEntry>;
  /** Leadership: epochs are `term * 2^32 + counter`, so those of a later leader are higher. From 0 to 2^20. @defaultValue 0 */
  readonly term?: number;
  /** Wait before a task that was lost twice is leased again; an application's profile may say otherwise. Milliseconds. @defaultValue 100 */
  readonly retryBackoffMs?: number;
  /** When workers and hosts are excluded; false: never. */
  readonly health?: HealthOptions | false;
  /** Comparators of results beside `bytes`, by the name a profile's `verify.comparator` gives. */
  readonly comparators?: Comparators;
  /** For draws other than the selector's. @defaultValue Math.random */
  readonly random?: Random;
  /** False: a blob cannot be sent (any more). @defaultValue always true */
  readonly holdsBlob?: (hash: string) => boolean;
  /** Told of selectors that throw or choose what was not offered. */
  readonly onFault?: (error: Error) => void;
}

/** @throws SP_DISPATCHER_BAD_OPTION */
export function positive(option: string, value: number): number {
  if (!(value > 0)) throw dispatcherErrors.BAD_OPTION({ option, value, reason: 'it must be above 0' });
  return value;
}

/** A selector that wants a depth of its own wants no more. @throws SP_DISPATCHER_BAD_OPTION */
export function queueLimits({ selector, queueDepth = 2, queueMs = DEFAULT_QUEUE_MS }: DispatcherStateOptions): QueueLimits {
  if (selector.queueDepth !== undefined) return { depth: selector.queueDepth, ms: 0 };
  return { depth: positive('queueDepth', queueDepth), ms: queueMs };
}

/** The first epoch of a term is one above this. @throws SP_DISPATCHER_BAD_OPTION */
export function baseEpoch(term: number): number {
  if (!Number.isInteger(term) || term < 0 || term > 2 ** 20) {
    throw dispatcherErrors.BAD_OPTION({ option: 'term', value: term, reason: 'it must be a whole number from 0 to 2^20' });
  }
  return term * TERM_EPOCHS;
}
