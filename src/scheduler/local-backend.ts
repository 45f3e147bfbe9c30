import { IdMap } from '../core/id-map.ts';
import type { ThreadPool } from '../executor/thread-pool.ts';
import { encodeFailure } from '../protocol/failure.ts';
import { EMPTY_BYTES, type StatusUpdate, type TaskDescription } from '../protocol/task.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import type { SchedulerBackend, TaskSchedulerPort, WorkerOffer } from './backend.ts';

/** Executor id of the embedded engine's own threads, as in Spark's local mode. */
export const DRIVER_EXECUTOR = 'driver';

/** The embedded engine's backend: one executor of threads in this process. */
export class LocalSchedulerBackend implements SchedulerBackend {
  readonly #scheduler: TaskSchedulerPort;
  readonly #pool: ThreadPool;
  readonly #blobs: BlobStore;
  readonly #threads: number;
  readonly #running = new IdMap<TaskDescription>();
  #reviving = false;
  #stopped = false;

  constructor(scheduler: TaskSchedulerPort, pool: ThreadPool, blobs: BlobStore, threads: number) {
    this.#scheduler = scheduler;
    this.#pool = pool;
    this.#blobs = blobs;
    this.#threads = threads;
  }

  start(): void {
    this.reviveOffers();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#pool.close();
  }

  /** Coalesced: however often it is called in one turn, offers are made once. */
  reviveOffers(): void {
    if (this.#reviving || this.#stopped) return;
    this.#reviving = true;
    queueMicrotask(() => {
      this.#reviving = false;
      if (this.#stopped) return;
      const tasks = this.#scheduler.resourceOffers(this.executorOffers());
      if (tasks.length > 0) this.launchTasks(tasks);
    });
  }

  executorOffers(): WorkerOffer[] {
    const cores = Math.max(0, this.#pool.capacity - this.#running.size);
    return [{ executorId: DRIVER_EXECUTOR, host: 'localhost', cores }];
  }

  launchTasks(tasks: readonly TaskDescription[]): void {
    for (const task of tasks) {
      this.#running.set(task.taskId, task);
      this.statusUpdate({ taskId: task.taskId, state: 'RUNNING', executorId: DRIVER_EXECUTOR, data: EMPTY_BYTES });
      this.#pool
        .run(task, (hash) => this.#blobs.get(hash))
        .then(
          (data): StatusUpdate => ({ taskId: task.taskId, state: 'FINISHED', executorId: DRIVER_EXECUTOR, data }),
          (error: unknown): StatusUpdate => ({ taskId: task.taskId, state: 'FAILED', executorId: DRIVER_EXECUTOR, data: encodeFailure(error) }),
        )
        .then((update) => this.statusUpdate(update))
        .catch((error: unknown) => {
          queueMicrotask(() => {
            throw error;
          });
        });
    }
  }

  killTask(taskId: number, _executorId: string, reason: string): void {
    const task = this.#running.get(taskId);
    if (task !== undefined) this.#pool.kill(task, reason);
  }

  statusUpdate(update: StatusUpdate): void {
    if (this.#stopped) return;
    if (update.state !== 'RUNNING') this.#running.delete(update.taskId);
    this.#scheduler.statusUpdate(update);
    if (update.state !== 'RUNNING') this.reviveOffers();
  }

  executorLost(executorId: string, reason: string): void {
    this.#scheduler.executorLost(executorId, reason);
    this.reviveOffers();
  }

  defaultParallelism(): number {
    return this.#threads;
  }

  blob(hash: string): Uint8Array {
    return this.#blobs.get(hash);
  }

  onBlobReleased(listener: (hash: string) => void): () => void {
    return this.#blobs.onRelease(listener);
  }

  /** Forgets cached partitions. */
  dropBlocks(prefix: string): void {
    this.#pool.dropBlocks(prefix);
  }
}
