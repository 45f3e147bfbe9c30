import { SERIALIZE, type ByReviver } from '../closure/contract.ts';
import { runningTask } from './task-context.ts';
import { STORAGE_ERRORS } from './errors.ts';

export type AccumulatorKind = 'long' | 'double' | 'collection' | 'custom';

/** How updates are folded: on executors from `zero` up, on the driver with `merge`. */
export interface AccumulatorParam<T, U> {
  readonly zero: () => U;
  readonly add: (sum: U, value: T) => U;
  readonly merge: (a: U, b: U) => U;
}

const NUMBERS: AccumulatorParam<number, number> = { zero: () => 0, add: (s, v) => s + v, merge: (a, b) => a + b };
const COLLECTION: AccumulatorParam<unknown, unknown[]> = {
  zero: () => [],
  add: (s, v) => {
    s.push(v);
    return s;
  },
  merge: (a, b) => [...a, ...b],
};

const BUILT_IN = { long: NUMBERS, double: NUMBERS, collection: COLLECTION } as unknown as Readonly<
  Record<AccumulatorKind, AccumulatorParam<unknown, unknown> | undefined>
>;

/**
 * A variable that tasks add to and the driver reads; Spark's AccumulatorV2. Each successful partition of a result stage
 * counts once, however often it was attempted.
 */
export class Accumulator<T, U = T> implements ByReviver {
  readonly id: number;
  readonly name: string;
  readonly kind: AccumulatorKind;
  readonly #param: AccumulatorParam<T, U>;
  #value: U;

  constructor(id: number, name: string, kind: AccumulatorKind, param?: AccumulatorParam<T, U>) {
    this.id = id;
    this.name = name;
    this.kind = kind;
    this.#param = param ?? (BUILT_IN[kind] as unknown as AccumulatorParam<T, U>);
    this.#value = this.#param.zero();
  }

  get value(): U {
    return this.#value;
  }

  /** Adds on the driver. Inside tasks the executor's own handle is used. */
  add(value: T): void {
    this.#value = this.#param.add(this.#value, value);
  }

  /** Merges one task's update; called by the scheduler. */
  merge(update: unknown): void {
    this.#value = this.#param.merge(this.#value, update as U);
  }

  reset(): void {
    this.#value = this.#param.zero();
  }

  [SERIALIZE](): { reviver: string; data: unknown } {
    const { zero, add } = this.#param;
    return { reviver: 'accumulator', data: { id: this.id, name: this.name, kind: this.kind, ...(this.kind === 'custom' ? { zero, add } : {}) } };
  }
}

interface TravelledAccumulator {
  readonly id: number;
  readonly name: string;
  readonly kind: AccumulatorKind;
  readonly zero?: () => unknown;
  readonly add?: (sum: unknown, value: unknown) => unknown;
}

/** The executor's side: adds to the running task's own copy. */
export function reviveAccumulator(data: unknown): { add(value: unknown): void; readonly value: never } {
  const { id, name, kind, zero, add } = data as TravelledAccumulator;
  const param = BUILT_IN[kind] ?? ({ zero, add } as AccumulatorParam<unknown, unknown>);
  return {
    add(value: unknown): void {
      const updates = runningTask()?.accumulators;
      if (updates === undefined) return;
      updates.set(id, param.add(updates.has(id) ? updates.get(id) : param.zero(), value));
    },
    get value(): never {
      throw STORAGE_ERRORS.ACCUMULATOR_READ({ name });
    },
  };
}
