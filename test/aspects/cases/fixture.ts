import assert from 'node:assert/strict';
import { after, around, before, execution, weave } from '../../../src/aspects/index.ts';

/** What weaving means, as cases that run in any process: under vitest with generated code, and in a child without. */
export type Cases = Record<string, () => void | Promise<void>>;

export const throwsCode = (run: () => unknown, code: string): void => {
  assert.throws(run, (error: { code?: string }) => error.code === code);
};

export interface Orders {
  prefix: string;
  size: number;
  submit(a: number, b: number): number;
  fail(message: string): never;
  reveal(add: number): number;
  later(value: string): Promise<string>;
  reject(message: string): Promise<never>;
  count(n: number): Generator<number, string>;
  stream(n: number): AsyncGenerator<number>;
  defaults(a: number, b?: number, ...rest: number[]): number[];
  argumentCount(a?: unknown, b?: unknown): number;
  [Symbol.iterator](): Iterator<number>;
}

export interface OrdersClass {
  new (): Orders;
  readonly prototype: Orders;
  create(): Orders;
}

/** Fresh for every case, as weaving changes it. */
export function fixture(): { readonly Orders: OrdersClass; readonly log: string[] } {
  const log: string[] = [];
  class Orders {
    #secret = 40;
    prefix = 'order ';
    submit(a: number, b: number): number {
      log.push(`submit ${a} ${b}`);
      return a + b;
    }
    fail(message: string): never {
      throw new Error(message);
    }
    reveal(add: number): number {
      return this.#secret + add;
    }
    async later(value: string): Promise<string> {
      await null;
      log.push(`later ${value}`);
      return `${this.prefix}${value}`;
    }
    async reject(message: string): Promise<never> {
      await null;
      throw new Error(message);
    }
    *count(n: number): Generator<number, string> {
      for (let i = 0; i < n; i++) yield i;
      return 'done';
    }
    async *stream(n: number): AsyncGenerator<number> {
      for (let i = 0; i < n; i++) yield i;
    }
    get size(): number {
      return this.#secret;
    }
    set size(value: number) {
      this.#secret = value;
    }
    static create(): Orders {
      return new this();
    }
    defaults(a: number, b = a * 2, ...rest: number[]): number[] {
      return [a, b, ...rest];
    }
    argumentCount(_a?: unknown, _b?: unknown): number {
      return arguments.length;
    }
    [Symbol.iterator](): Iterator<number> {
      return [1, 2, 3][Symbol.iterator]();
    }
  }
  return { Orders, log };
}

export const tag = (log: string[], name: string) => [
  before(() => void log.push(`before ${name}`)),
  around((_jp, proceed) => {
    log.push(`in ${name}`);
    const result: unknown = proceed();
    log.push(`out ${name}`);
    return result;
  }),
  after(() => void log.push(`after ${name}`)),
];

export const permutations = <T>(items: readonly T[]): T[][] =>
  items.length === 0 ? [[]] : items.flatMap((item, i) => permutations(items.toSpliced(i, 1)).map((rest) => [item, ...rest]));

/** One logged method. */
export function service() {
  const log: string[] = [];
  class Service {
    run(value: string): string {
      log.push(value);
      return value;
    }
  }
  const take = (): string => log.splice(0).join(' ');
  const mark = (name: string) =>
    weave(
      Service,
      execution('run'),
      before(() => void log.push(name)),
    );
  return { Service, take, mark };
}
