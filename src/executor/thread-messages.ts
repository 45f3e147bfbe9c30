import type { AllowedModules } from '../closure/index.ts';
import type { WireError } from '../core/errors.ts';
import type { Certificates } from '../core/certificates.ts';
import type { BlockLocation } from '../shuffle/block-location.ts';

export interface ThreadOptions {
  readonly executorId: string;
  readonly localDir: string;
  /** Shuffle files of executors of the same name are opened by path, others are fetched. */
  readonly machine: string;
  /** The block server of this process, if it has one. */
  readonly location: BlockLocation | undefined;
  readonly tls: Certificates | undefined;
  readonly ownFiles: boolean;
  readonly allowed: AllowedModules;
  /** Variables of its environment that only its own modules are to see. */
  readonly added: readonly string[];
}

/** One task of a batch. */
export interface ThreadTask {
  /** Unique in its pool. */
  readonly sequence: number;
  readonly taskId: number;
  readonly attemptNumber: number;
  readonly stageId: number;
  readonly stageAttemptNumber: number;
  /** First: the stage binary; then map outputs and broadcasts. */
  readonly commons: readonly string[];
  readonly payload: Uint8Array;
}

export interface ThreadResult {
  readonly sequence: number;
  readonly runMs: number;
  readonly data: Uint8Array;
}

/**
 * Pool -> thread: a batch of tasks in one buffer (cloning an object a task between threads costs more than a short task
 * does), or what is to be known before them.
 */
export type ToThread =
  | ArrayBuffer
  /** From now on tasks name this list of hashes by its slot. */
  | { readonly slot: number; readonly commons: readonly string[] }
  | { readonly blob: { readonly hash: string; readonly bytes: Uint8Array } }
  | { readonly dropBlob: string }
  | { readonly block: { readonly id: string; readonly bytes: Uint8Array } }
  | { readonly dropBlock: string };

/** Thread -> pool: results of tasks that succeeded in one buffer, that it can run, how a task failed, or a partition it has cached. */
export type FromThread =
  | ArrayBuffer
  | { readonly ready: true }
  | { readonly sequence: number; readonly runMs: number; readonly error: WireError }
  | { readonly block: { readonly id: string; readonly bytes: Uint8Array } };

/**
 * A batch: how many items, the numbers of each (float64, the size of its bytes last), then the bytes of all. Nothing of the
 * frames that the bytes are views of goes along.
 */
class Batch {
  readonly buffer: ArrayBuffer;
  readonly #numbers: Float64Array;
  readonly #bytes: Uint8Array;
  #at = 1;
  #offset = 0;

  constructor(items: readonly { readonly length: number }[], fields: number) {
    let size = 0;
    for (const { length } of items) size += length;
    const head = 8 * (1 + items.length * fields);
    // All of it is written: no need for zeros first.
    this.buffer = Buffer.allocUnsafeSlow(head + size).buffer;
    this.#numbers = new Float64Array(this.buffer, 0, head / 8);
    this.#bytes = new Uint8Array(this.buffer, head);
    this.#numbers[0] = items.length;
  }

  number(value: number): void {
    this.#numbers[this.#at++] = value;
  }

  bytes(value: Uint8Array): void {
    this.number(value.length);
    this.#bytes.set(value, this.#offset);
    this.#offset += value.length;
  }
}

/** Reads a batch; bytes are views of its buffer. */
class BatchReader {
  readonly count: number;
  readonly #numbers: Float64Array;
  readonly #buffer: ArrayBuffer;
  #at = 1;
  #offset: number;

  constructor(buffer: ArrayBuffer, fields: number) {
    this.#buffer = buffer;
    this.count = new Float64Array(buffer, 0, 1)[0] as number;
    this.#offset = 8 * (1 + this.count * fields);
    this.#numbers = new Float64Array(buffer, 0, this.#offset / 8);
  }

  number(): number {
    return this.#numbers[this.#at++] as number;
  }

  bytes(): Uint8Array {
    const size = this.number();
    const bytes = new Uint8Array(this.#buffer, this.#offset, size);
    this.#offset += size;
    return bytes;
  }
}

const TASK_FIELDS = 7;
const RESULT_FIELDS = 3;
/** Lists of common hashes that a thread knows by a number. */
const SLOTS = 64;

/** The pool's side of the slots of one thread. */
export class CommonsSlots {
  readonly #lists: (readonly string[] | undefined)[] = [];
  #next = 0;

  /** The slot of a list; `tell` is called when the thread does not know it yet. */
  of(commons: readonly string[], tell: (message: ToThread) => void): number {
    let slot = this.#lists.indexOf(commons);
    if (slot < 0) slot = this.#lists.findIndex((known) => known !== undefined && sameHashes(known, commons));
    if (slot >= 0) return slot;
    slot = this.#next++ % SLOTS;
    this.#lists[slot] = commons;
    tell({ slot, commons });
    return slot;
  }
}

function sameHashes(a: readonly string[], b: readonly string[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** @param slots the slot of each task's commons, told to the thread before this batch */
export function packTasks(tasks: readonly ThreadTask[], slots: readonly number[]): ArrayBuffer {
  const batch = new Batch(
    tasks.map(({ payload }) => payload),
    TASK_FIELDS,
  );
  for (let i = 0; i < tasks.length; i++) {
    const task = tasks[i] as ThreadTask;
    batch.number(task.sequence);
    batch.number(task.taskId);
    batch.number(task.attemptNumber);
    batch.number(task.stageId);
    batch.number(task.stageAttemptNumber);
    batch.number(slots[i] as number);
    batch.bytes(task.payload);
  }
  return batch.buffer;
}

export function unpackTasks(buffer: ArrayBuffer, commons: readonly (readonly string[])[]): ThreadTask[] {
  const reader = new BatchReader(buffer, TASK_FIELDS);
  const tasks: ThreadTask[] = [];
  for (let left = reader.count; left > 0; left--) {
    const sequence = reader.number();
    const taskId = reader.number();
    const attemptNumber = reader.number();
    const stageId = reader.number();
    const stageAttemptNumber = reader.number();
    const list = commons[reader.number()] as readonly string[];
    tasks.push({ sequence, taskId, attemptNumber, stageId, stageAttemptNumber, commons: list, payload: reader.bytes() });
  }
  return tasks;
}

export function packResults(results: readonly ThreadResult[]): ArrayBuffer {
  const batch = new Batch(
    results.map(({ data }) => data),
    RESULT_FIELDS,
  );
  for (const { sequence, runMs, data } of results) {
    batch.number(sequence);
    batch.number(runMs);
    batch.bytes(data);
  }
  return batch.buffer;
}

export function unpackResults(buffer: ArrayBuffer): ThreadResult[] {
  const reader = new BatchReader(buffer, RESULT_FIELDS);
  const results: ThreadResult[] = [];
  for (let left = reader.count; left > 0; left--) results.push({ sequence: reader.number(), runMs: reader.number(), data: reader.bytes() });
  return results;
}

/** Batches from this size on are handed over; below it to copy them costs no more. */
const MOVED_BYTES = 4096;

interface Port {
  postMessage(message: unknown, transfer: ArrayBuffer[]): void;
}

/** Posts messages, a lone one as it is. Their batches are the sender's no longer. */
export function post(port: Port, messages: readonly (ToThread | FromThread)[]): void {
  const moved: ArrayBuffer[] = [];
  for (const message of messages) if (message instanceof ArrayBuffer && message.byteLength >= MOVED_BYTES) moved.push(message);
  port.postMessage(messages.length === 1 ? messages[0] : messages, moved);
}

export function messagesOf<T>(posted: T | readonly T[]): readonly T[] {
  return Array.isArray(posted) ? (posted as readonly T[]) : [posted as T];
}
