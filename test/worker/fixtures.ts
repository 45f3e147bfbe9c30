import { createDispatcher, type DispatcherOptions } from '../../src/dispatcher/service.ts';
import type { Dispatcher, DispatcherListener } from '../../src/dispatcher/contract.ts';
import { decodeFailure } from '../../src/protocol/failure.ts';
import type { StatusUpdate, TaskDescription } from '../../src/protocol/task.ts';
import { createRegisterCenter, type RegisterCenterOptions } from '../../src/registry/index.ts';
import { createSelector } from '../../src/selectors/index.ts';
import type { Transport } from '../../src/transports/contract.ts';
import type { BlobSource, TaskRunner } from '../../src/worker/contract.ts';
import { createWorkerHost, type WorkerHost, type WorkerHostOptions } from '../../src/worker/host.ts';
import { defineErrors, type SparkProxyError } from '../../src/core/errors.ts';

const taskErrors = defineErrors('TASK', { KILLED: ['killed: {reason}', ''] });

/** A runner in this process: each task ends when the test, or `work`, says so. */
export class FakeRunner implements TaskRunner {
  readonly kind: string;
  capacity?: number;
  runMs?: () => number;
  readonly begun: TaskDescription[] = [];
  readonly killed: number[] = [];
  closed = false;
  readonly #work: ((task: TaskDescription, blobs: BlobSource) => Promise<Uint8Array> | Uint8Array) | undefined;
  readonly #open = new Map<number, { resolve: (data: Uint8Array) => void; reject: (error: Error) => void }>();

  constructor(work?: (task: TaskDescription, blobs: BlobSource) => Promise<Uint8Array> | Uint8Array, kind = 'js') {
    this.#work = work;
    this.kind = kind;
  }

  run(task: TaskDescription, blobs: BlobSource): Promise<Uint8Array> {
    this.begun.push(task);
    return new Promise((resolve, reject) => {
      this.#open.set(task.taskId, { resolve, reject });
      if (this.#work === undefined) return;
      Promise.resolve()
        .then(() => this.#work?.(task, blobs) as Uint8Array)
        .then(resolve, reject);
    });
  }

  finish(taskId: number, data = new Uint8Array(0)): void {
    this.#open.get(taskId)?.resolve(data);
  }

  fail(taskId: number, error: Error): void {
    this.#open.get(taskId)?.reject(error);
  }

  kill(task: TaskDescription, reason: string): void {
    // Known by identity, as the contract says: another application may have the same ids.
    if (!this.begun.includes(task)) return;
    this.killed.push(task.taskId);
    this.#open.get(task.taskId)?.reject(taskErrors.KILLED({ reason }));
  }

  async close(): Promise<void> {
    this.closed = true;
  }
}

/** Remembers what it is told, and lets tests wait for it. */
export class Recorder implements DispatcherListener {
  readonly updates: StatusUpdate[] = [];
  readonly handedBack: number[] = [];
  readonly lost: string[] = [];
  readonly #waiting = new Set<() => void>();

  statusUpdate(_application: string, update: StatusUpdate): void {
    this.updates.push(update);
    this.#changed();
  }

  handBack(_application: string, tasks: readonly TaskDescription[]): void {
    for (const { taskId } of tasks) this.handedBack.push(taskId);
    this.#changed();
  }

  workerLost(workerId: string): void {
    this.lost.push(workerId);
    this.#changed();
  }

  capacityChanged(): void {
    this.#changed();
  }

  /** Terminal updates. */
  get ended(): StatusUpdate[] {
    return this.updates.filter((update) => update.state !== 'RUNNING');
  }

  /** Errors of the updates that carry one. */
  get errors(): (Error & Partial<SparkProxyError>)[] {
    return this.ended.filter((update) => update.state !== 'FINISHED').map((update) => decodeFailure(update.data));
  }

  /** Resolves as soon as it holds; looked at whenever something was heard. */
  until(holds: () => boolean): Promise<void> {
    if (holds()) return Promise.resolve();
    return new Promise((resolve) => {
      const look = (): void => {
        if (!holds()) return;
        this.#waiting.delete(look);
        resolve();
      };
      this.#waiting.add(look);
    });
  }

  #changed(): void {
    for (const look of [...this.#waiting]) look();
  }
}

export type Cleanup = { readonly add: (end: () => unknown) => void; readonly run: () => Promise<void> };

/** What a test opened, closed in reverse. */
export function cleanup(): Cleanup {
  const ends: (() => unknown)[] = [];
  return {
    add: (end) => void ends.push(end),
    run: async () => {
      for (const end of ends.splice(0).reverse()) await end();
    },
  };
}

export const BEATS: RegisterCenterOptions = { beatMs: 50, ttlMs: 250 };

export async function startDispatcher(
  ends: Cleanup,
  transport: Transport,
  over: Partial<DispatcherOptions> = {},
): Promise<{ dispatcher: Dispatcher; heard: Recorder }> {
  const registry = createRegisterCenter(transport, BEATS);
  ends.add(() => registry.close());
  const heard = new Recorder();
  const dispatcher = await createDispatcher({ transport, registry, selector: createSelector('RANDOM'), listener: heard, tickMs: 20, ...over });
  ends.add(() => dispatcher.close());
  return { dispatcher, heard };
}

export async function startWorker(
  ends: Cleanup,
  transport: Transport,
  runners: readonly TaskRunner[],
  over: Partial<WorkerHostOptions> = {},
  beats: RegisterCenterOptions = BEATS,
): Promise<WorkerHost> {
  const registry = createRegisterCenter(transport, beats);
  ends.add(() => registry.close());
  const host = await createWorkerHost({ transport, registry, runners, slots: 4, loadIntervalMs: 50, ...over });
  ends.add(() => host.close());
  return host;
}
