/**
 * The third aspect of the mission: calls of an ordinary method are captured, and run on external workers through the same dispatcher and
 * transports as the tasks of a SparkContext.
 */
import { around, originalAt, type Advice, type ProceedingJoinPoint } from '../aspects/index.ts';
import { watchConfiguration } from '../core/config-live.ts';
import { loadConfiguration } from '../core/config.ts';
import { setLogLevel } from '../core/logger.ts';
import { runningTask } from '../storage/task-context.ts';
import { RESCHEDULE_ERRORS } from './errors.ts';
import { OffloadedCalls } from './offloaded-calls.ts';
import type { SessionStats } from './session.ts';

export interface OffloadOptions {
  /** Longest time one call may run on a worker, milliseconds; 0: no limit. @defaultValue `task.timeout` of the configuration */
  readonly timeoutMs?: number;
  /** Lower runs further outside; advice further inside does not travel. @defaultValue innermost */
  readonly order?: number;
}

/** The way out of this process' offloaded calls. */
export interface Offload {
  /** Where workers connect to. @throws SP_RESCHEDULE_NO_TRANSPORT */
  url(): Promise<string>;
  stats(): SessionStats;
  /** Resolves when at least so many workers are there. */
  workers(count: number): Promise<void>;
  /** Calls that wait run inside, those that are out are given up to the inside too. Idempotent; the next call opens a new way. */
  close(): Promise<void>;
}

type AsyncMethod = (...args: never[]) => Promise<unknown>;

// oxlint-disable-next-line typescript/no-explicit-any
type AnyAsyncMethod = (this: any, ...args: any[]) => Promise<any>;

let current: OpenOffload | undefined;

class OpenOffload implements Offload {
  readonly calls: OffloadedCalls;
  readonly #unwatch: () => void;
  #closing: Promise<void> | undefined;

  /** @throws SP_CONFIG_BAD_VALUE, SP_CONFIG_UNKNOWN_KEY */
  constructor(settings: Readonly<Record<string, string>>) {
    const sources = { conf: Object.entries(settings) };
    const configuration = loadConfiguration(sources);
    setLogLevel(configuration.get('log.level'));
    const watching = watchConfiguration(configuration, sources);
    this.#unwatch = () => watching.close();
    this.calls = new OffloadedCalls(configuration);
  }

  url(): Promise<string> {
    return this.calls.session.url();
  }

  stats(): SessionStats {
    return this.calls.session.stats();
  }

  async workers(count: number): Promise<void> {
    const { session } = this.calls;
    while ((session.stats().dispatcher?.workers.filter(({ alive }) => alive).length ?? 0) < count) await session.changed();
  }

  close(): Promise<void> {
    if (current === this) current = undefined;
    return (this.#closing ??= this.calls.close().finally(this.#unwatch));
  }
}

/**
 * Opens the way out before the first call does: a server then has its workers when the first request comes. Configured as everything else
 * (`transport.url`, `worker.instances`, `reschedule.dst.executor`...); `settings` go over the properties file. A way that is open stays.
 * @throws SP_CONFIG_BAD_VALUE, SP_CONFIG_UNKNOWN_KEY
 */
export function openOffload(settings: Readonly<Record<string, string>> = {}): Offload {
  return (current ??= new OpenOffload(settings));
}

/**
 * Advice that runs a method, or a function, on external workers: `@Intercept(offload())`. It runs inside while there is no worker, or
 * while `reschedule.dst.executor` is `internal`, and where what it needs cannot travel (told once).
 *
 * The function travels with what it captured, `this` by value where it is used (what the method changes there stays on the worker),
 * arguments and result as data. What it throws comes back with name, message, stack, code and causes. An AbortSignal among the arguments
 * ends it on the worker. A worker that is lost may have run it in part: it runs again elsewhere.
 * @throws SP_RESCHEDULE_NOT_A_METHOD when a call comes through what is none
 */
export function offload<F extends AsyncMethod = AnyAsyncMethod>(options: OffloadOptions = {}): Advice<F> {
  const run = (jp: ProceedingJoinPoint<unknown, readonly unknown[], Promise<unknown>>, proceed: () => Promise<unknown>): Promise<unknown> => {
    // On a worker already: it is the call that was sent.
    if (runningTask() !== undefined) return proceed();
    const method = jp.kind === 'execution' ? originalAt(jp as never) : undefined;
    if (method === undefined) throw RESCHEDULE_ERRORS.NOT_A_METHOD({ joinPoint: String(jp) });
    const { calls } = openOffload() as OpenOffload;
    return calls.run({ method, self: jp.target, args: jp.args, name: String(jp.signature), timeoutMs: options.timeoutMs, inside: proceed });
  };
  return around(run as never, { name: 'offload', order: options.order ?? Number.MAX_SAFE_INTEGER });
}
