/** One call of one function as a task: what `offload` sends. The function and its receiver are the shared part, the arguments the task's own. */
import { requireData } from '../protocol/columns.ts';
import type { TaskPayload } from './plan.ts';
import { encodeTaskPayload } from './task-codec.ts';

type AnyFunction = (this: unknown, ...args: unknown[]) => unknown;

/** Shared by the tasks that call the same function on the same receiver. */
export interface CallPlan {
  readonly call: AnyFunction;
  readonly hasSelf: boolean;
  readonly self: unknown;
}

export const isCall = (plan: unknown): plan is CallPlan => typeof plan === 'object' && plan !== null && 'call' in plan;

/** Arguments; or with them which are AbortSignals: those do not travel, as the task is killed where it runs. */
type CallSource = unknown[] | WithSignals;

interface WithSignals {
  readonly args: unknown[];
  readonly signals: readonly number[];
}

/** @throws SP_COLUMN_NOT_DATA */
export function encodeCall(args: readonly unknown[]): Uint8Array {
  const signals = args.flatMap((arg, i) => (arg instanceof AbortSignal ? [i] : []));
  const source = signals.length === 0 ? args : { args: args.map((arg) => (arg instanceof AbortSignal ? undefined : arg)), signals };
  const payload: TaskPayload = { partition: 0, route: [], source, inputs: [], properties: {} };
  requireData(source);
  return encodeTaskPayload(payload);
}

/**
 * The value, or a promise of it where the function is asynchronous.
 * @throws what the function throws, and SP_COLUMN_NOT_DATA for a result that cannot travel
 */
export function runCall({ call, self }: CallPlan, source: unknown): unknown {
  const given = source as CallSource;
  const value = call.apply(self, Array.isArray(given) ? given : withSignals(given));
  return isThenable(value) ? Promise.resolve(value).then((settled) => requireData(settled)) : requireData(value);
}

function withSignals({ args, signals }: WithSignals): unknown[] {
  for (const i of signals) args[i] = new AbortController().signal;
  return args;
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function';
}
