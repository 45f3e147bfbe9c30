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
}

/**
 * Tasks as a thread gets them, packed: cloning one object a task between threads costs more than a short task does.
 * `numbers` holds TASK_FIELDS a task, `payloads` their payloads back to back, `commons` each list of hashes once.
 */
export interface PackedTasks {
  readonly numbers: Float64Array;
  readonly payloads: Uint8Array;
  readonly commons: readonly (readonly string[])[];
}

/** Fields of one task in `PackedTasks.numbers`. */
export const TASK_FIELDS = 7;

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

export function packTasks(tasks: readonly ThreadTask[]): PackedTasks {
  const numbers = new Float64Array(tasks.length * TASK_FIELDS);
  const payloads = new Uint8Array(tasks.reduce((sum, task) => sum + task.payload.byteLength, 0));
  const commons: (readonly string[])[] = [];
  let at = 0;
  let offset = 0;
  for (const task of tasks) {
    let list = commons.indexOf(task.commons);
    if (list < 0) list = commons.findIndex((known) => sameHashes(known, task.commons));
    if (list < 0) list = commons.push(task.commons) - 1;
    numbers[at++] = task.sequence;
    numbers[at++] = task.taskId;
    numbers[at++] = task.attemptNumber;
    numbers[at++] = task.stageId;
    numbers[at++] = task.stageAttemptNumber;
    numbers[at++] = list;
    numbers[at++] = task.payload.byteLength;
    payloads.set(task.payload, offset);
    offset += task.payload.byteLength;
  }
  return { numbers, payloads, commons };
}

function sameHashes(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((hash, i) => hash === b[i]);
}

export function unpackTasks({ numbers, payloads, commons }: PackedTasks): ThreadTask[] {
  const tasks: ThreadTask[] = [];
  let offset = 0;
  for (let at = 0; at < numbers.length; at += TASK_FIELDS) {
    const size = numbers[at + 6] as number;
    tasks.push({
      sequence: numbers[at] as number,
      taskId: numbers[at + 1] as number,
      attemptNumber: numbers[at + 2] as number,
      stageId: numbers[at + 3] as number,
      stageAttemptNumber: numbers[at + 4] as number,
      commons: commons[numbers[at + 5] as number] as readonly string[],
      payload: payloads.subarray(offset, offset + size),
    });
    offset += size;
  }
  return tasks;
}

/** Pool -> thread, in batches. */
export type ToThread =
  | { readonly tasks: PackedTasks }
  | { readonly blob: { readonly hash: string; readonly bytes: Uint8Array } }
  | { readonly dropBlob: string }
  | { readonly block: { readonly id: string; readonly bytes: Uint8Array } }
  | { readonly dropBlock: string };

/** Results of tasks that succeeded, packed: sequence, run time (ms) and size of each, then the results back to back. */
export interface PackedResults {
  readonly numbers: Float64Array;
  readonly data: Uint8Array;
}

export interface ThreadResult {
  readonly sequence: number;
  readonly runMs: number;
  readonly data: Uint8Array;
}

export function packResults(results: readonly ThreadResult[]): PackedResults {
  const numbers = new Float64Array(results.length * 3);
  const data = new Uint8Array(results.reduce((sum, result) => sum + result.data.byteLength, 0));
  let offset = 0;
  results.forEach((result, i) => {
    numbers[i * 3] = result.sequence;
    numbers[i * 3 + 1] = result.runMs;
    numbers[i * 3 + 2] = result.data.byteLength;
    data.set(result.data, offset);
    offset += result.data.byteLength;
  });
  return { numbers, data };
}

export function unpackResults({ numbers, data }: PackedResults): ThreadResult[] {
  const results: ThreadResult[] = [];
  let offset = 0;
  for (let at = 0; at < numbers.length; at += 3) {
    const size = numbers[at + 2] as number;
    results.push({ sequence: numbers[at] as number, runMs: numbers[at + 1] as number, data: data.subarray(offset, offset + size) });
    offset += size;
  }
  return results;
}

/** Thread -> pool, in batches: it can run, how tasks ended, or a partition it has cached. */
export type FromThread =
  | { readonly ready: true }
  | { readonly results: PackedResults }
  | { readonly sequence: number; readonly runMs: number; readonly error: WireError }
  | { readonly block: { readonly id: string; readonly bytes: Uint8Array } };
