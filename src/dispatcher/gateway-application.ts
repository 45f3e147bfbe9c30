import { IdMap } from '../core/id-map.ts';
import { encodeFailure } from '../protocol/failure.ts';
import type { ServiceCapacity } from '../protocol/service-messages.ts';
import { withOwnPayload, type Blob, type StatusUpdate, type TaskDescription } from '../protocol/task.ts';
import type { DispatcherListener } from './contract.ts';
import { dispatcherErrors } from './errors.ts';
import type { ApplicationPort } from './local.ts';

/** Terminal reports kept to be said again, at least so many, at most twice that; both limits hold for each application. */
const MAX_RECENT = 4096;
const MAX_RECENT_BYTES = 8_388_608;
/** A capacity that has not changed is said again at the beat only, which is no shorter than this. */
const UNCHANGED_MS = 50;

export interface GatewayApplicationOptions {
  readonly now: () => number;
  readonly hasBlob: (hash: string) => boolean;
  readonly report: (update: StatusUpdate) => void;
  readonly handBack: (taskIds: readonly number[]) => void;
  /** A blob is missing: the application is to send it. */
  readonly ask: (hash: string) => void;
  readonly capacityChanged: () => void;
}

/** One application that is attached over the wire: what it has here. */
export class GatewayApplication implements DispatcherListener {
  readonly queue: string;
  /** Given right after it is made: the port needs its listener. */
  port!: ApplicationPort;
  /** Since when the register center does not know it. */
  absentSince: number | undefined;
  readonly #options: GatewayApplicationOptions;
  readonly #live = new IdMap<true>();
  /** In two generations: when the young one is full, the old one is dropped. */
  #recent = new IdMap<StatusUpdate>();
  #earlier = new IdMap<StatusUpdate>();
  #recentBytes = 0;
  /** Tasks whose blobs have not come. */
  readonly #starving = new Map<number, { readonly task: TaskDescription; readonly missing: Set<string> }>();
  #told: ServiceCapacity | undefined;
  #toldAt = Number.NEGATIVE_INFINITY;

  constructor(queue: string, options: GatewayApplicationOptions) {
    this.queue = queue;
    this.#options = options;
  }

  get live(): number {
    return this.#live.size;
  }

  submit(tasks: readonly TaskDescription[]): void {
    const ready: TaskDescription[] = [];
    for (const task of tasks) {
      const { taskId } = task;
      if (this.#live.has(taskId)) continue;
      const answered = this.#recent.get(taskId) ?? this.#earlier.get(taskId);
      if (answered !== undefined) {
        this.#options.report(answered);
        continue;
      }
      this.#live.set(taskId, true);
      const missing = task.commons.filter((hash) => !this.#options.hasBlob(hash));
      // A view would hold the whole frame for as long as one task waits.
      const kept = withOwnPayload(task);
      if (missing.length === 0) {
        ready.push(kept);
        continue;
      }
      this.#starving.set(taskId, { task: kept, missing: new Set(missing) });
      for (const hash of missing) this.#options.ask(hash);
    }
    if (ready.length > 0) this.port.submit(ready);
  }

  /** Not taken: the application runs them itself. */
  refuse(tasks: readonly TaskDescription[]): void {
    this.#options.handBack(tasks.filter(({ taskId }) => !this.#live.has(taskId)).map(({ taskId }) => taskId));
  }

  putBlob(blob: Blob): void {
    // Decoded bytes are a view of their frame.
    this.port.putBlob({ hash: blob.hash, bytes: blob.bytes.slice() });
    const ready: TaskDescription[] = [];
    for (const [taskId, { task, missing }] of this.#starving) {
      if (!missing.delete(blob.hash) || missing.size > 0) continue;
      const gone = task.commons.find((hash) => !this.#options.hasBlob(hash));
      if (gone !== undefined) {
        missing.add(gone);
        this.#options.ask(gone);
        continue;
      }
      this.#starving.delete(taskId);
      ready.push(task);
    }
    if (ready.length > 0) this.port.submit(ready);
  }

  releaseBlob(hash: string): void {
    this.port.releaseBlob(hash);
  }

  cancel(taskId: number, reason: string): void {
    const starving = this.#starving.get(taskId);
    if (starving === undefined) return this.port.cancel(taskId, reason);
    this.#starving.delete(taskId);
    const { executorId, name } = starving.task;
    this.statusUpdate('', { taskId, state: 'KILLED', executorId, data: encodeFailure(dispatcherErrors.CANCELLED({ name, reason })) });
  }

  /** Ends one task, or all; says how many. */
  kill(taskId: number | undefined, reason: string): number {
    const doomed = taskId === undefined ? this.#live.ids() : this.#live.has(taskId) ? [taskId] : [];
    for (const id of doomed) this.cancel(id, reason);
    return doomed.length;
  }

  handBackAll(): void {
    this.#options.handBack(this.#live.ids());
    this.#live.clear();
    this.#starving.clear();
  }

  /** Says a capacity that is news, or has not been said for a while. */
  tell(capacity: ServiceCapacity, post: (body: () => Uint8Array) => void, encode: (capacity: ServiceCapacity) => Uint8Array): void {
    const told = this.#told;
    const now = this.#options.now();
    const same = told?.slots === capacity.slots && told.limit === capacity.limit && told.workers === capacity.workers;
    if (same && now - this.#toldAt < UNCHANGED_MS) return;
    this.#told = capacity;
    this.#toldAt = now;
    post(() => encode(capacity));
  }

  // What the dispatcher tells

  statusUpdate(_application: string, update: StatusUpdate): void {
    if (update.state !== 'RUNNING') {
      if (this.#live.delete(update.taskId) === undefined) return;
      this.#remember(update);
    }
    this.#options.report(update);
  }

  handBack(_application: string, tasks: readonly TaskDescription[]): void {
    for (const { taskId } of tasks) this.#live.delete(taskId);
    this.#options.handBack(tasks.map(({ taskId }) => taskId));
  }

  /** Applications watch the register center themselves. */
  workerLost(): void {}

  capacityChanged(): void {
    this.#options.capacityChanged();
  }

  #remember(update: StatusUpdate): void {
    if (update.data.length > MAX_RECENT_BYTES) return;
    if (this.#recent.size >= MAX_RECENT || this.#recentBytes + update.data.length > MAX_RECENT_BYTES) {
      this.#earlier = this.#recent;
      this.#recent = new IdMap();
      this.#recentBytes = 0;
    }
    this.#recent.set(update.taskId, update);
    this.#recentBytes += update.data.length;
  }
}
