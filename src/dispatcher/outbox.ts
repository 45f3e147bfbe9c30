import type { Logger } from '../core/logger.ts';
import { SparkProxyError } from '../core/errors.ts';
import { IdMap } from '../core/id-map.ts';
import { soon } from '../core/soon.ts';
import { BATCH_LIMITS, envelopeFactory, splitBatch, taskBytes } from '../protocol/batch.ts';
import type { Content } from '../protocol/envelope.ts';
import { tasksFor } from '../protocol/handover.ts';
import { encodeBlob, encodeCancel, MESSAGE, type CancelTask, type LeasedTask } from '../protocol/messages.ts';
import type { Transport } from '../transports/contract.ts';

/** What waits to be written to one worker. */
interface Box {
  readonly workerId: string;
  readonly queue: string;
  blobs: string[];
  tasks: LeasedTask[];
  cancels: CancelTask[];
}

export interface OutboxOptions {
  readonly transport: Transport;
  readonly logger: Logger;
  readonly id: string;
  /** Where workers answer. */
  readonly replyTo: string;
  /** Tasks leased to a worker. */
  readonly held: (workerId: string) => number;
  readonly blob: (hash: string) => Uint8Array | undefined;
  /** This task can never be sent (too large, or cannot be encoded). */
  readonly onUnsendableTask: (workerId: string, leased: LeasedTask, cause: unknown) => void;
  readonly onUnsendableBlob: (workerId: string, hash: string, cause: unknown) => void;
}

/**
 * Turns what is to be sent into frames: at most 64 tasks and 256 KiB a frame.
 *
 * ORDERING: of what is said together, blobs go before tasks and cancels after them, on the same queue; so a task finds its blobs and
 * a cancel finds its task. Frames that the transport loses are not repeated here: the state machine sees that the worker
 * holds less than it was sent, and sends again.
 */
export class Outbox {
  readonly #options: OutboxOptions;
  /** Of workers that were given tasks lately, and of those where something waits. */
  readonly #boxes = new Map<string, Box>();
  /** Of those, where something waits. */
  #full: Box[] = [];
  readonly #envelope: ReturnType<typeof envelopeFactory>;
  /** Frames on their way, by a number. */
  readonly #pending = new IdMap<Promise<void>>();
  #sent = 0;
  #scheduled = false;

  constructor(options: OutboxOptions) {
    this.#options = options;
    this.#envelope = envelopeFactory(options.id, options.replyTo);
  }

  send(workerId: string, queue: string, blobs: readonly string[], tasks: readonly LeasedTask[]): void {
    const box = this.#box(workerId, queue);
    for (const hash of blobs) box.blobs.push(hash);
    for (const leased of tasks) box.tasks.push(leased);
  }

  cancel(workerId: string, queue: string, cancel: CancelTask): void {
    this.#box(workerId, queue).cancels.push(cancel);
  }

  /** What waits for a worker that has gone. */
  drop(workerId: string): void {
    this.#boxes.delete(workerId);
  }

  /** Writes what waits; resolves when the transport has answered for everything written so far. */
  async flushed(): Promise<void> {
    this.#flush();
    await Promise.all(this.#pending.values());
  }

  #box(workerId: string, queue: string): Box {
    let box = this.#boxes.get(workerId);
    if (box === undefined) this.#boxes.set(workerId, (box = { workerId, queue, blobs: [], tasks: [], cancels: [] }));
    if (box.blobs.length + box.tasks.length + box.cancels.length === 0) this.#full.push(box);
    if (!this.#scheduled) {
      this.#scheduled = true;
      soon(this.#soon);
    }
    return box;
  }

  /** A worker that holds nothing else waits for it; others are written to at the end of the turn, with what it still brings. */
  readonly #soon = (): void => {
    if (this.#full.some(({ workerId, tasks }) => tasks.length > 0 && tasks.length >= this.#options.held(workerId))) this.#flush();
    else setImmediate(this.#flushDue);
  };

  readonly #flushDue = (): void => this.#flush();

  #flush(): void {
    this.#scheduled = false;
    const boxes = this.#full;
    this.#full = [];
    for (const box of boxes) {
      const { workerId, queue, blobs, tasks, cancels } = box;
      // Dropped with its worker.
      if (this.#boxes.get(workerId) !== box) continue;
      // Emptied first: what cannot be sent is reported while this loop runs, and may send more. What has no tasks may have gone.
      if (tasks.length === 0) this.#boxes.delete(workerId);
      if (blobs.length > 0) box.blobs = [];
      if (tasks.length > 0) box.tasks = [];
      if (cancels.length > 0) box.cancels = [];
      for (const hash of blobs) this.#sendBlob(workerId, queue, hash);
      if (tasks.length > 0) for (const batch of splitBatch(tasks, taskBytes)) this.#sendTasks(workerId, queue, batch);
      for (let i = 0; i < cancels.length; i += BATCH_LIMITS.maxItems) {
        this.#write(queue, MESSAGE.cancel, encodeCancel(cancels.slice(i, i + BATCH_LIMITS.maxItems)), () => undefined);
      }
    }
  }

  #sendBlob(workerId: string, queue: string, hash: string): void {
    const bytes = this.#options.blob(hash);
    // Released meanwhile: the worker will ask for it, and then be told.
    if (bytes === undefined) return;
    this.#write(queue, MESSAGE.blob, encodeBlob({ hash, bytes }), (cause) => this.#options.onUnsendableBlob(workerId, hash, cause));
  }

  #sendTasks(workerId: string, queue: string, tasks: readonly LeasedTask[]): void {
    const refused = (cause: unknown): void => {
      if (tasks.length === 1) this.#options.onUnsendableTask(workerId, tasks[0] as LeasedTask, cause);
      else for (const leased of tasks) this.#sendTasks(workerId, queue, [leased]);
    };
    let body: Uint8Array | Content;
    try {
      body = tasksFor(this.#options.transport, tasks);
    } catch (cause) {
      refused(cause);
      return;
    }
    this.#write(queue, MESSAGE.tasks, body, refused);
  }

  #write(queue: string, type: string, body: Uint8Array | Content, refused: (cause: unknown) => void): void {
    const { transport, logger } = this.#options;
    const number = ++this.#sent;
    const sending = transport.send(queue, this.#envelope(type, body)).then(
      () => void this.#pending.delete(number),
      (cause: unknown) => {
        void this.#pending.delete(number);
        if (SparkProxyError.is(cause) && cause.code === 'SP_TRANSPORT_FRAME_TOO_LARGE') refused(cause);
        else logger.warn('a frame could not be sent; what it carried is sent again if its worker lives', { queue, type, error: (cause as Error).message });
      },
    );
    this.#pending.set(number, sending);
  }
}
