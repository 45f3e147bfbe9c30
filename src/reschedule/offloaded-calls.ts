/** Calls on their way to workers and back: what a SparkContext's backend is to its tasks, without a scheduler. */
import { collectModules, serializeGraph } from '../closure/index.ts';
import type { Configuration } from '../core/config.ts';
import { SparkProxyError } from '../core/errors.ts';
import { contentHash, newId } from '../core/ids.ts';
import { createLogger } from '../core/logger.ts';
import { encodeCall, type CallPlan } from '../executor/call.ts';
import { decodeTaskResult } from '../executor/task-codec.ts';
import { withHeader } from '../executor/stage-header.ts';
import { decodeFailure } from '../protocol/failure.ts';
import type { StatusUpdate, TaskDescription } from '../protocol/task.ts';
import { BlobStore } from '../storage/blob-store.ts';
import { RESCHEDULE_ERRORS } from './errors.ts';
import { EXTERNAL_EXECUTOR, RescheduleSession, type SessionOwner } from './session.ts';

const logger = createLogger('offload');

type AnyFunction = (...args: never[]) => unknown;

/** Calls that wait for workers or for their results; what comes above runs inside. */
const MAX_CALLS = 10_000;
/** Methods whose last blob is kept. */
const MAX_KEPT = 256;
/** Errors that say that something cannot travel. */
const CANNOT_TRAVEL = new Set(['SP_CLOSURE_NOT_SERIALIZABLE', 'SP_COLUMN_NOT_DATA']);

export interface CallRequest {
  readonly method: AnyFunction;
  readonly self: unknown;
  readonly args: readonly unknown[];
  /** For people. */
  readonly name: string;
  readonly timeoutMs: number | undefined;
  /** Runs it here. */
  readonly inside: () => Promise<unknown>;
}

/** What a method was sent as. */
interface Sent {
  readonly graph: Uint8Array;
  readonly bundle: Uint8Array | undefined;
  readonly hashes: readonly string[];
}

interface Call {
  readonly task: TaskDescription;
  readonly request: CallRequest;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  /** The signal of its arguments, and what it runs. */
  readonly signal: AbortSignal | undefined;
  readonly onAbort: () => void;
}

export class OffloadedCalls implements SessionOwner {
  readonly applicationId = newId('app');
  readonly appName: string;
  readonly configuration: Configuration;
  readonly backend: SessionOwner['backend'];
  readonly session: RescheduleSession;
  readonly #blobs = new BlobStore();
  /** What each method was last sent as: kept, as it is mostly what the next call sends. */
  readonly #last = new Map<AnyFunction, Sent>();
  readonly #told = new WeakSet<AnyFunction>();
  /** Until it is known whether there are workers. */
  readonly #waiting = new Map<number, Call>();
  readonly #out = new Map<number, Call>();
  #taskIds = 0;
  #keepAlive: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(configuration: Configuration) {
    this.configuration = configuration;
    this.appName = configuration.get('spark.app.name');
    this.backend = {
      blob: (hash) => this.#blobs.get(hash),
      onBlobReleased: (listener) => this.#blobs.onRelease(listener),
      statusUpdate: (update) => this.#statusUpdate(update),
      // The dispatcher leases its tasks elsewhere.
      executorLost: () => undefined,
      reviveOffers: () => this.#place(),
    };
    this.session = new RescheduleSession(this, configuration.get('run.id') ?? newId('offload'));
  }

  /** It has no shuffle files. */
  serveBlocks(): Promise<void> {
    return Promise.resolve();
  }

  /** It has no stages. */
  addSparkListener(): () => void {
    return () => undefined;
  }

  /** Runs one call outside, or inside when that is not possible. */
  run(request: CallRequest): Promise<unknown> {
    const { args, inside } = request;
    if (this.#closed || this.session.offers() === undefined || this.#waiting.size + this.#out.size >= MAX_CALLS) return inside();
    const signal = args.find((arg): arg is AbortSignal => arg instanceof AbortSignal);
    // What is cancelled already runs inside, where the method says what that means.
    if (signal?.aborted === true) return inside();
    let task: TaskDescription;
    try {
      task = this.#taskOf(request);
    } catch (error) {
      if (!SparkProxyError.is(error) || !CANNOT_TRAVEL.has(error.code)) throw error;
      this.#tellOnce(request, error);
      return inside();
    }
    return new Promise((resolve, reject) => {
      const onAbort = (): void => this.#abort(task.taskId);
      const call: Call = { task, request, resolve, reject, signal, onAbort };
      signal?.addEventListener('abort', onAbort, { once: true });
      // The process must not end while a call is out, even when all its work is elsewhere.
      this.#keepAlive ??= setInterval(() => undefined, 2 ** 30);
      this.#waiting.set(task.taskId, call);
      this.#place();
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#place();
    const out = [...this.#out.values()];
    for (const { task } of out) this.session.kill(task.taskId, 'the application is closing');
    for (const call of out) this.#end(call, () => call.resolve(call.request.inside()));
    await this.session.close();
  }

  #taskOf({ method, self, args, name, timeoutMs }: CallRequest): TaskDescription {
    const payload = encodeCall(args);
    const taskId = this.#taskIds++;
    return {
      taskId,
      attemptNumber: 0,
      executorId: EXTERNAL_EXECUTOR,
      name: `${name} (call ${taskId})`,
      index: 0,
      stageId: 0,
      stageAttemptNumber: 0,
      kind: 'js',
      commons: this.#blobsOf(method, self),
      payload,
      preferredLocations: [],
      timeoutMs: timeoutMs ?? this.configuration.get('task.timeout'),
    };
  }

  /** Adds one use of each. */
  #blobsOf(method: AnyFunction, self: unknown): readonly string[] {
    const hasSelf = self !== undefined && usesReceiver(method);
    const plan: CallPlan = { call: method as CallPlan['call'], hasSelf, self: hasSelf ? self : undefined };
    const { bytes: graph, imports } = serializeGraph(plan);
    const bundle = collectModules(imports);
    const last = this.#last.get(method);
    // To compare is cheaper than to hash.
    if (last !== undefined && last.bundle === bundle && Buffer.compare(last.graph, graph) === 0) {
      for (const hash of last.hashes) this.#blobs.put(this.#blobs.get(hash), hash);
      return last.hashes;
    }
    const modules = bundle === undefined ? undefined : hashOf(bundle);
    const stage = withHeader({ application: this.applicationId, modules }, graph);
    const hashes = [this.#blobs.put(stage)];
    if (bundle !== undefined) hashes.push(this.#blobs.put(bundle, modules));
    for (const hash of hashes) this.#blobs.put(this.#blobs.get(hash), hash);
    this.#last.delete(method);
    this.#last.set(method, { graph, bundle, hashes });
    this.#release(last?.hashes ?? []);
    // Functions are made anew all the time in some programs.
    const [oldest] = this.#last;
    if (this.#last.size > MAX_KEPT && oldest !== undefined) {
      this.#last.delete(oldest[0]);
      this.#release(oldest[1].hashes);
    }
    return hashes;
  }

  #release(hashes: readonly string[]): void {
    for (const hash of hashes) this.#blobs.release(hash);
  }

  #tellOnce({ method, name }: CallRequest, cause: SparkProxyError): void {
    if (this.#told.has(method)) return;
    this.#told.add(method);
    logger.warn(RESCHEDULE_ERRORS.NOT_OFFLOADED({ method: name, reason: cause.message }, cause).message);
  }

  /** Sends what waits, once it is known that there are workers; else it runs inside. */
  #place(): void {
    if (this.#waiting.size === 0) return;
    const offers = this.#closed ? undefined : this.session.offers();
    // Workers are being waited for.
    if (offers?.length === 0) return;
    const calls = [...this.#waiting.values()];
    this.#waiting.clear();
    if (offers === undefined) {
      for (const call of calls) this.#end(call, () => call.resolve(call.request.inside()));
      return;
    }
    for (const call of calls) this.#out.set(call.task.taskId, call);
    this.session.capture(calls.map(({ task }) => task));
  }

  #statusUpdate({ taskId, state, data }: StatusUpdate): void {
    const call = this.#out.get(taskId);
    if (call === undefined || state === 'RUNNING') return;
    this.#end(call, () => {
      // Handed back: no worker is left.
      if (state === 'LOST') call.resolve(call.request.inside());
      else if (state === 'FINISHED') call.resolve(decodeTaskResult(data).value);
      else call.reject(decodeFailure(data));
    });
  }

  #abort(taskId: number): void {
    const call = this.#out.get(taskId) ?? this.#waiting.get(taskId);
    if (call === undefined) return;
    if (this.#out.has(taskId)) this.session.kill(taskId, 'its caller has aborted it');
    this.#end(call, () => call.reject(call.signal?.reason));
  }

  /** Forgets the call, then settles it. */
  #end(call: Call, settle: () => void): void {
    const { task, signal, onAbort } = call;
    this.#out.delete(task.taskId);
    this.#waiting.delete(task.taskId);
    signal?.removeEventListener('abort', onAbort);
    this.#release(task.commons);
    if (this.#out.size + this.#waiting.size === 0) {
      clearInterval(this.#keepAlive);
      this.#keepAlive = undefined;
    }
    try {
      settle();
    } catch (error) {
      call.reject(error);
    }
  }
}

const bundleHashes = new WeakMap<Uint8Array, string>();

/** Bundles of modules are large, and the same for many calls. */
function hashOf(bundle: Uint8Array): string {
  const hash = bundleHashes.get(bundle) ?? contentHash(bundle);
  bundleHashes.set(bundle, hash);
  return hash;
}

const receivers = new WeakMap<AnyFunction, boolean>();

/** Asked of the text, so rather too often than too seldom. */
function usesReceiver(method: AnyFunction): boolean {
  let uses = receivers.get(method);
  if (uses === undefined) receivers.set(method, (uses = /\bthis\b|\bsuper\b|\beval\b|\[native code\]/.test(Function.prototype.toString.call(method))));
  return uses;
}
