import { BinaryWriter } from './codec.ts';
import { checkItems } from './body.ts';
import type { Content, Envelope } from './envelope.ts';
import { protocolErrors } from './errors.ts';
import { decodeStatus, decodeTasks, encodeStatus, encodeTasks, sameStrings, STATES, type LeasedStatus, type LeasedTask } from './messages.ts';
import { EMPTY_BYTES, StageTask } from './task.ts';

/**
 * Messages that stay in a process: the columns of their items, handed over without being encoded and decoded.
 *
 * OWNERSHIP: a content is copied out of what it is made of, bytes and lists included, and gives each reader items of his own;
 * so neither side sees what the other changes later. The bytes of its items are views of it, as those of a frame are.
 */

interface Handing {
  /** What is sent is received in this process, without a signature in between. */
  readonly inProcess?: boolean | undefined;
}

/** What a `tasks` envelope for this transport is made of. @throws SP_PROTOCOL_BAD_VALUE */
export function tasksFor({ inProcess }: Handing, tasks: readonly LeasedTask[]): Uint8Array | Content {
  return inProcess === true ? new TasksContent(tasks) : encodeTasks(tasks);
}

/** The tasks of an envelope of type `tasks`, whichever way it came. Throws as decodeTasks. */
export function tasksOf(envelope: Envelope): LeasedTask[] {
  const { content } = envelope;
  return content instanceof TasksContent ? content.tasks() : decodeTasks(envelope.body);
}

/** What a `status` envelope for this transport is made of. @throws SP_PROTOCOL_BAD_VALUE */
export function statusFor({ inProcess }: Handing, updates: readonly LeasedStatus[]): Uint8Array | Content {
  return inProcess === true ? new StatusContent(updates) : encodeStatus(updates);
}

/** The updates of an envelope of type `status`, whichever way it came. Throws as decodeStatus. */
export function statusOf(envelope: Envelope): LeasedStatus[] {
  const { content } = envelope;
  return content instanceof StatusContent ? content.updates() : decodeStatus(envelope.body);
}

/** Payloads and data are copied next to each other. */
const writer = new BinaryWriter();

/** At most so many bytes: numbers and flags of an item, encoded; text takes three a character. */
const ITEM_BYTES = 48;
const TEXT_BYTES = 3;
const LENGTH_BYTES = 8;
const textBytes = (text: string): number => LENGTH_BYTES + TEXT_BYTES * text.length;

function whole(value: number): number {
  if ((value & 0x7fff_ffff) === value || (Number.isSafeInteger(value) && value >= 0)) return value;
  throw protocolErrors.BAD_VALUE({ field: 'a number', reason: `${value} is not a whole number from 0 to 2^53 - 1` });
}

function duration(value: number): number {
  if (value >= 0) return value;
  throw protocolErrors.BAD_VALUE({ field: 'a duration', reason: `${value} is not 0 or more` });
}

/** Tasks that follow one another and have all of this in common. */
interface TaskRun {
  readonly application: string;
  readonly executorId: string;
  readonly kind: string;
  readonly commons: readonly string[];
  readonly preferredLocations: readonly string[];
  readonly stageId: number;
  readonly stageAttemptNumber: number;
  readonly timeoutMs: number;
  readonly isStageTask: boolean;
  /** Number of its last task, plus one. */
  until: number;
}

const TASK_NUMBERS = 5;

class TasksContent implements Content {
  readonly bytes: number;
  readonly #runs: TaskRun[] = [];
  /** Of each task: taskId, epoch, attempt, index, length of its payload. */
  readonly #numbers: number[] = [];
  /** Of each task that has one of its own. */
  readonly #names: string[] = [];
  readonly #payloads: Uint8Array;

  constructor(tasks: readonly LeasedTask[]) {
    checkItems(tasks.length);
    writer.reset();
    const numbers = this.#numbers;
    let run: TaskRun | undefined;
    let commons: readonly string[] | undefined;
    let locations: readonly string[] | undefined;
    let bytes = LENGTH_BYTES + ITEM_BYTES * tasks.length;
    for (let i = 0; i < tasks.length; i++) {
      const { application, epoch, task } = tasks[i] as LeasedTask;
      const isStageTask = task instanceof StageTask;
      if (
        run === undefined ||
        run.application !== application ||
        run.executorId !== task.executorId ||
        run.kind !== task.kind ||
        run.stageId !== task.stageId ||
        run.stageAttemptNumber !== task.stageAttemptNumber ||
        run.timeoutMs !== task.timeoutMs ||
        run.isStageTask !== isStageTask ||
        !(commons === task.commons || sameStrings(run.commons, task.commons)) ||
        !(locations === task.preferredLocations || sameStrings(run.preferredLocations, task.preferredLocations))
      ) {
        run = newRun(tasks[i] as LeasedTask, isStageTask);
        this.#runs.push(run);
        bytes += runBytes(run);
        commons = task.commons;
        locations = task.preferredLocations;
      }
      run.until = i + 1;
      const { payload } = task;
      numbers.push(whole(task.taskId), whole(epoch), whole(task.attemptNumber), whole(task.index), payload.length);
      if (!isStageTask) {
        const { name } = task;
        this.#names.push(name);
        bytes += textBytes(name);
      }
      writer.raw(payload);
    }
    this.#payloads = writer.finish();
    this.bytes = bytes + this.#payloads.length;
  }

  encode(): Uint8Array {
    return encodeTasks(this.tasks());
  }

  tasks(): LeasedTask[] {
    const numbers = this.#numbers;
    const { buffer } = this.#payloads;
    let at = this.#payloads.byteOffset;
    let next = 0;
    let named = 0;
    let i = 0;
    const tasks: LeasedTask[] = [];
    for (const run of this.#runs) {
      const { application, executorId, kind, stageId, stageAttemptNumber, timeoutMs, isStageTask } = run;
      // A list for each reader, shared among its tasks.
      const commons = run.commons.slice();
      const preferredLocations = run.preferredLocations.slice();
      for (; i < run.until; i++) {
        const taskId = numbers[next] as number;
        const epoch = numbers[next + 1] as number;
        const attemptNumber = numbers[next + 2] as number;
        const index = numbers[next + 3] as number;
        const length = numbers[next + 4] as number;
        next += TASK_NUMBERS;
        const payload = length === 0 ? EMPTY_BYTES : new Uint8Array(buffer, at, length);
        at += length;
        const task = isStageTask
          ? new StageTask({ taskId, attemptNumber, executorId, index, stageId, stageAttemptNumber, kind, commons, payload, preferredLocations, timeoutMs })
          : {
              taskId,
              attemptNumber,
              executorId,
              name: this.#names[named++] as string,
              index,
              stageId,
              stageAttemptNumber,
              kind,
              commons,
              payload,
              preferredLocations,
              timeoutMs,
            };
        tasks.push({ application, epoch, task });
      }
    }
    return tasks;
  }
}

function newRun({ application, task }: LeasedTask, isStageTask: boolean): TaskRun {
  const { executorId, kind, commons, preferredLocations, stageId, stageAttemptNumber, timeoutMs } = task;
  return {
    application,
    executorId,
    kind,
    commons: commons.slice(),
    preferredLocations: preferredLocations.slice(),
    stageId: whole(stageId),
    stageAttemptNumber: whole(stageAttemptNumber),
    timeoutMs: duration(timeoutMs),
    isStageTask,
    until: 0,
  };
}

function runBytes({ application, executorId, kind, commons, preferredLocations }: TaskRun): number {
  let bytes = 5 * LENGTH_BYTES + textBytes(application) + textBytes(executorId) + textBytes(kind);
  for (const hash of commons) bytes += textBytes(hash);
  for (const location of preferredLocations) bytes += textBytes(location);
  return bytes;
}

/** As of tasks. */
interface StatusRun {
  readonly application: string;
  readonly executorId: string;
  readonly runMs: number | undefined;
  until: number;
}

const STATUS_NUMBERS = 4;

class StatusContent implements Content {
  readonly bytes: number;
  readonly #runs: StatusRun[] = [];
  /** Of each update: taskId, epoch, state, length of its data. */
  readonly #numbers: number[] = [];
  readonly #data: Uint8Array;

  constructor(updates: readonly LeasedStatus[]) {
    checkItems(updates.length);
    writer.reset();
    const numbers = this.#numbers;
    let run: StatusRun | undefined;
    let bytes = LENGTH_BYTES + ITEM_BYTES * updates.length;
    for (let i = 0; i < updates.length; i++) {
      const { application, epoch, update } = updates[i] as LeasedStatus;
      const { taskId, executorId, data, runMs } = update;
      if (run === undefined || run.application !== application || run.executorId !== executorId || run.runMs !== runMs) {
        run = { application, executorId, runMs: runMs === undefined ? undefined : duration(runMs), until: 0 };
        this.#runs.push(run);
        bytes += LENGTH_BYTES + textBytes(application) + textBytes(executorId);
      }
      run.until = i + 1;
      const state = STATES.indexOf(update.state);
      if (state < 0) throw protocolErrors.BAD_VALUE({ field: 'a task state', reason: `${update.state} is unknown` });
      numbers.push(whole(taskId), whole(epoch), state, data.length);
      writer.raw(data);
    }
    this.#data = writer.finish();
    this.bytes = bytes + this.#data.length;
  }

  encode(): Uint8Array {
    return encodeStatus(this.updates());
  }

  updates(): LeasedStatus[] {
    const numbers = this.#numbers;
    const { buffer } = this.#data;
    let at = this.#data.byteOffset;
    let next = 0;
    let i = 0;
    const updates: LeasedStatus[] = [];
    for (const { application, executorId, runMs, until } of this.#runs) {
      for (; i < until; i++) {
        const taskId = numbers[next] as number;
        const epoch = numbers[next + 1] as number;
        const state = STATES[numbers[next + 2] as number]!;
        const length = numbers[next + 3] as number;
        next += STATUS_NUMBERS;
        const data = length === 0 ? EMPTY_BYTES : new Uint8Array(buffer, at, length);
        at += length;
        updates.push({ application, epoch, update: { taskId, state, executorId, data, runMs } });
      }
    }
    return updates;
  }
}
