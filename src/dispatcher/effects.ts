import { encodeFailure } from '../protocol/failure.ts';
import type { StatusUpdate, TaskState } from '../protocol/task.ts';
import type { DispatcherEffect } from './contract.ts';
import type { TaskEntry } from './task-entry.ts';
import type { WorkerEntry, WorkerPool } from './workers.ts';

/** What the present event is to bring about, in order; what goes to one worker is one effect, at the end. */
export class Effects {
  readonly #workers: WorkerPool;
  readonly #touched: WorkerEntry[] = [];
  #list: DispatcherEffect[] = [];
  #saidSlots = 0;
  #saidCredit = 0;

  constructor(workers: WorkerPool) {
    this.#workers = workers;
  }

  push(effect: DispatcherEffect): void {
    this.#list.push(effect);
  }

  report(application: string, update: StatusUpdate): void {
    this.#list.push({ type: 'report', application, update });
  }

  failure(entry: TaskEntry, state: TaskState, error: Error, executorId = entry.lastWorkerId || entry.task.executorId): void {
    this.report(entry.application, { taskId: entry.task.taskId, state, executorId, data: encodeFailure(error) });
  }

  cancelOnWorker(entry: TaskEntry, reason: string): void {
    const { application, epoch, task, worker } = entry;
    if (worker !== undefined) this.#list.push({ type: 'cancelOnWorker', workerId: worker.id, application, taskId: task.taskId, epoch, reason });
  }

  /** What this event sends the worker. */
  outbox(worker: WorkerEntry): WorkerEntry['outbox'] {
    if (worker.outbox.tasks.length === 0 && worker.outbox.blobs.length === 0) this.#touched.push(worker);
    return worker.outbox;
  }

  /** Sends the task, after what of its common part this worker has not had. */
  send(worker: WorkerEntry, { application, epoch, task }: TaskEntry): void {
    const outbox = this.outbox(worker);
    for (const hash of task.commons) {
      if (worker.hasBlob(hash)) continue;
      worker.addBlob(hash);
      outbox.blobs.push(hash);
    }
    outbox.tasks.push({ application, epoch, task });
  }

  take(): DispatcherEffect[] {
    for (const worker of this.#touched) {
      const { blobs, tasks } = worker.outbox;
      if (blobs.length === 0 && tasks.length === 0) continue;
      worker.outbox.blobs = [];
      worker.outbox.tasks = [];
      this.#list.push({ type: 'send', workerId: worker.id, blobs, tasks });
    }
    this.#touched.length = 0;
    const { slots } = this.#workers;
    const { credit } = this.#workers;
    if (slots !== this.#saidSlots || credit !== this.#saidCredit) {
      this.#saidSlots = slots;
      this.#saidCredit = credit;
      this.#list.push({ type: 'capacity', slots, credit });
    }
    const effects = this.#list;
    this.#list = [];
    return effects;
  }
}
