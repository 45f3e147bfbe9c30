import { contentHash } from '../core/ids.ts';
import { begin, InternReader, InternWriter, MAX_ITEMS, open } from './body.ts';
import type { BinaryReader } from './codec.ts';
import { protocolErrors } from './errors.ts';
import { StageTask, type Blob, type StatusUpdate, type TaskDescription, type TaskState } from './task.ts';

/**
 * Message bodies. Every decoder takes bytes nobody vouches for and throws coded errors only (SP_PROTOCOL_*).
 *
 * OWNERSHIP: decoded payloads and data are views of the frame they came in. Copy (`slice()`) what is to be posted to a
 * thread or kept for long: structured clone copies the whole buffer under a view.
 */

/** Envelope types of these bodies. */
export const MESSAGE = {
  tasks: 'tasks',
  status: 'status',
  blob: 'blob',
  blobMissing: 'blob-missing',
  cancel: 'cancel',
  drain: 'drain',
} as const;

/** A task under lease: who may commit it is said by (taskId, epoch). */
export interface LeasedTask {
  readonly application: string;
  readonly epoch: number;
  readonly task: TaskDescription;
}

/** A status with the lease it belongs to. */
export interface LeasedStatus {
  readonly application: string;
  readonly epoch: number;
  readonly update: StatusUpdate;
}

/** End this attempt, if it is still the one of this epoch. */
export interface CancelTask {
  readonly application: string;
  readonly taskId: number;
  readonly epoch: number;
  readonly reason: string;
}

export function sameStrings(a: readonly string[], b: readonly string[]): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

// Tasks of a batch are nearly always of one stage: a bit says that a field is as in the task before.
const SAME_APPLICATION = 1;
const SAME_EXECUTOR = 2;
const SAME_KIND = 4;
const SAME_COMMONS = 8;
const SAME_LOCATIONS = 16;
const SAME_STAGE = 32;
const SAME_TIMEOUT = 64;
/** Its name is made of its numbers. */
const STAGE_TASK = 128;
/** flags, taskId, epoch, attempt, index, payload length. */
const MIN_TASK_BYTES = 6;

/** A batch of tasks as a body of type `tasks`. @throws SP_PROTOCOL_BAD_VALUE */
export function encodeTasks(tasks: readonly LeasedTask[]): Uint8Array {
  const out = begin(tasks.length);
  const interned = new InternWriter();
  // Names are all different: in one piece they cost one string to write and one to read.
  let names = '';
  for (const { task } of tasks) if (!(task instanceof StageTask)) names += task.name;
  out.string(names);
  let previous: LeasedTask | undefined;
  for (const leased of tasks) {
    const { task } = leased;
    const isStageTask = task instanceof StageTask;
    let flags = isStageTask ? STAGE_TASK : 0;
    if (previous !== undefined) {
      const before = previous.task;
      if (leased.application === previous.application) flags |= SAME_APPLICATION;
      if (task.executorId === before.executorId) flags |= SAME_EXECUTOR;
      if (task.kind === before.kind) flags |= SAME_KIND;
      if (sameStrings(task.commons, before.commons)) flags |= SAME_COMMONS;
      if (sameStrings(task.preferredLocations, before.preferredLocations)) flags |= SAME_LOCATIONS;
      if (task.stageId === before.stageId && task.stageAttemptNumber === before.stageAttemptNumber) flags |= SAME_STAGE;
      if (task.timeoutMs === before.timeoutMs) flags |= SAME_TIMEOUT;
    }
    out.u8(flags);
    out.varint(task.taskId);
    out.varint(leased.epoch);
    out.varint(task.attemptNumber);
    out.varint(task.index);
    if (!isStageTask) out.varint(task.name.length);
    if ((flags & SAME_APPLICATION) === 0) interned.write(out, leased.application);
    if ((flags & SAME_EXECUTOR) === 0) interned.write(out, task.executorId);
    if ((flags & SAME_KIND) === 0) interned.write(out, task.kind);
    if ((flags & SAME_COMMONS) === 0) interned.writeAll(out, task.commons);
    if ((flags & SAME_LOCATIONS) === 0) interned.writeAll(out, task.preferredLocations);
    if ((flags & SAME_STAGE) === 0) {
      out.varint(task.stageId);
      out.varint(task.stageAttemptNumber);
    }
    if ((flags & SAME_TIMEOUT) === 0) out.f64(task.timeoutMs);
    out.bytes(task.payload);
    previous = leased;
  }
  return out.finish();
}

/** A body of type `tasks`. Equal arrays of `commons` and `preferredLocations` are shared among its tasks. */
export function decodeTasks(bytes: Uint8Array): LeasedTask[] {
  const reader = open(bytes);
  const interned = new InternReader();
  const count = reader.count('tasks', MIN_TASK_BYTES, MAX_ITEMS);
  const names = reader.string();
  let named = 0;
  const tasks: LeasedTask[] = [];
  let application = '';
  let executorId = '';
  let kind = '';
  let commons: readonly string[] = [];
  let preferredLocations: readonly string[] = [];
  let stageId = 0;
  let stageAttemptNumber = 0;
  let timeoutMs = 0;
  for (let i = 0; i < count; i++) {
    const flags = reader.u8();
    if (i === 0 && (flags & ~STAGE_TASK) !== 0) throw protocolErrors.MALFORMED({ reason: `task ${i} has flags ${flags}` });
    const taskId = reader.varint();
    const epoch = reader.varint();
    const attemptNumber = reader.varint();
    const index = reader.varint();
    const isStageTask = (flags & STAGE_TASK) !== 0;
    const nameLength = isStageTask ? 0 : reader.varint();
    if (nameLength > names.length - named) throw protocolErrors.MALFORMED({ reason: `the name of task ${i} is longer than what is left of all` });
    const name = isStageTask ? '' : names.slice(named, (named += nameLength));
    if ((flags & SAME_APPLICATION) === 0) application = interned.read(reader);
    if ((flags & SAME_EXECUTOR) === 0) executorId = interned.read(reader);
    if ((flags & SAME_KIND) === 0) kind = interned.read(reader);
    if ((flags & SAME_COMMONS) === 0) commons = interned.readAll(reader, 'commons');
    if ((flags & SAME_LOCATIONS) === 0) preferredLocations = interned.readAll(reader, 'locations');
    if ((flags & SAME_STAGE) === 0) {
      stageId = reader.varint();
      stageAttemptNumber = reader.varint();
    }
    if ((flags & SAME_TIMEOUT) === 0) timeoutMs = readDuration(reader);
    const payload = reader.bytes();
    const fields = { taskId, attemptNumber, executorId, index, stageId, stageAttemptNumber, kind, commons, payload, preferredLocations, timeoutMs };
    tasks.push({ application, epoch, task: isStageTask ? new StageTask(fields) : { ...fields, name } });
  }
  if (named < names.length) throw protocolErrors.MALFORMED({ reason: `${names.length - named} characters are of no task's name` });
  reader.end();
  return tasks;
}

function readDuration(reader: BinaryReader): number {
  const value = reader.f64();
  if (!(value >= 0)) throw protocolErrors.MALFORMED({ reason: `a duration is ${value}` });
  return value;
}

export const STATES: readonly TaskState[] = ['RUNNING', 'FINISHED', 'FAILED', 'KILLED', 'LOST'];
// Of a status: two of the bits of a task, three for its state, and
const HAS_RUN_TIME = 32;
/** As in the one before. */
const SAME_RUN_TIME = 64;
/** flags and state, taskId, epoch, data length. */
const MIN_STATUS_BYTES = 4;

/** A batch of status updates as a body of type `status`. @throws SP_PROTOCOL_BAD_VALUE */
export function encodeStatus(updates: readonly LeasedStatus[]): Uint8Array {
  const out = begin(updates.length);
  const interned = new InternWriter();
  let previous: LeasedStatus | undefined;
  for (const leased of updates) {
    const { update } = leased;
    const state = STATES.indexOf(update.state);
    if (state < 0) throw protocolErrors.BAD_VALUE({ field: 'a task state', reason: `${update.state} is unknown` });
    const sameApplication = leased.application === previous?.application ? SAME_APPLICATION : 0;
    const sameExecutor = update.executorId === previous?.update.executorId ? SAME_EXECUTOR : 0;
    const { runMs } = update;
    const runTime = runMs === undefined ? 0 : runMs === previous?.update.runMs ? SAME_RUN_TIME : HAS_RUN_TIME;
    out.u8((state << 2) | sameApplication | sameExecutor | runTime);
    out.varint(update.taskId);
    out.varint(leased.epoch);
    if (sameApplication === 0) interned.write(out, leased.application);
    if (sameExecutor === 0) interned.write(out, update.executorId);
    if (runTime === HAS_RUN_TIME) out.f64(runMs as number);
    out.bytes(update.data);
    previous = leased;
  }
  return out.finish();
}

/** A body of type `status`. */
export function decodeStatus(bytes: Uint8Array): LeasedStatus[] {
  const reader = open(bytes);
  const interned = new InternReader();
  const count = reader.count('updates', MIN_STATUS_BYTES, MAX_ITEMS);
  const updates: LeasedStatus[] = [];
  let application = '';
  let executorId = '';
  let runMs = 0;
  for (let i = 0; i < count; i++) {
    const flags = reader.u8();
    const state = STATES[(flags >>> 2) & 7];
    const isBad = state === undefined || flags > 127 || (flags & (HAS_RUN_TIME | SAME_RUN_TIME)) === (HAS_RUN_TIME | SAME_RUN_TIME);
    if (isBad || (i === 0 && (flags & (SAME_APPLICATION | SAME_EXECUTOR | SAME_RUN_TIME)) !== 0))
      throw protocolErrors.MALFORMED({ reason: `update ${i} has flags ${flags}` });
    const taskId = reader.varint();
    const epoch = reader.varint();
    if ((flags & SAME_APPLICATION) === 0) application = interned.read(reader);
    if ((flags & SAME_EXECUTOR) === 0) executorId = interned.read(reader);
    if ((flags & HAS_RUN_TIME) !== 0) runMs = readDuration(reader);
    const hasRunTime = (flags & (HAS_RUN_TIME | SAME_RUN_TIME)) !== 0;
    updates.push({ application, epoch, update: { taskId, state, executorId, data: reader.bytes(), runMs: hasRunTime ? runMs : undefined } });
  }
  reader.end();
  return updates;
}

/** One blob as a body of type `blob`. */
export function encodeBlob(blob: Blob): Uint8Array {
  const out = begin(1);
  out.string(blob.hash);
  out.bytes(blob.bytes);
  return out.finish();
}

/** A body of type `blob`; its content is checked against its hash. @throws SP_PROTOCOL_BLOB_MISMATCH */
export function decodeBlob(bytes: Uint8Array): Blob {
  const reader = open(bytes);
  reader.count('blobs', 2, 1);
  const hash = reader.string();
  const content = reader.bytes();
  reader.end();
  const actual = contentHash(content);
  if (actual !== hash) throw protocolErrors.BLOB_MISMATCH({ hash, actual });
  return { hash, bytes: content };
}

/** Hashes a worker lacks, as a body of type `blob-missing`. */
export function encodeBlobMissing(hashes: readonly string[]): Uint8Array {
  const out = begin(hashes.length);
  for (const hash of hashes) out.string(hash);
  return out.finish();
}

export function decodeBlobMissing(bytes: Uint8Array): string[] {
  const reader = open(bytes);
  const count = reader.count('hashes', 1, MAX_ITEMS);
  const hashes: string[] = [];
  for (let i = 0; i < count; i++) hashes.push(reader.string());
  reader.end();
  return hashes;
}

/** Tasks to end, as a body of type `cancel`. */
export function encodeCancel(cancels: readonly CancelTask[]): Uint8Array {
  const out = begin(cancels.length);
  for (const cancel of cancels) {
    out.string(cancel.application);
    out.varint(cancel.taskId);
    out.varint(cancel.epoch);
    out.string(cancel.reason);
  }
  return out.finish();
}

export function decodeCancel(bytes: Uint8Array): CancelTask[] {
  const reader = open(bytes);
  const count = reader.count('cancels', 4, MAX_ITEMS);
  const cancels: CancelTask[] = [];
  for (let i = 0; i < count; i++) cancels.push({ application: reader.string(), taskId: reader.varint(), epoch: reader.varint(), reason: reader.string() });
  reader.end();
  return cancels;
}

/** "Take no new tasks, finish what you have", as a body of type `drain`. */
export function encodeDrain(reason: string): Uint8Array {
  const out = begin(1);
  out.string(reason);
  return out.finish();
}

/** The reason. */
export function decodeDrain(bytes: Uint8Array): string {
  const reader = open(bytes);
  reader.count('reasons', 1, 1);
  const reason = reader.string();
  reader.end();
  return reason;
}
