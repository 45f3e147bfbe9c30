import type { TaskDescription } from '../protocol/task.ts';
import { dispatcherErrors } from './errors.ts';
import type { WaitingTask } from './order.ts';
import type { WorkerEntry } from './workers.ts';

/**
 * Where a submission stands. WAITING: in the pool. LEASED: sent to a worker. RUNNING: the worker said it started.
 * CANCELLING: the worker was told to end it. ENDED: reported or handed back; the entry is forgotten.
 */
export type TaskPhase = 'WAITING' | 'LEASED' | 'RUNNING' | 'CANCELLING' | 'ENDED';

const ALLOWED: Readonly<Record<TaskPhase, readonly TaskPhase[]>> = {
  WAITING: ['LEASED', 'ENDED'],
  LEASED: ['RUNNING', 'CANCELLING', 'WAITING', 'ENDED'],
  RUNNING: ['CANCELLING', 'WAITING', 'ENDED'],
  CANCELLING: ['ENDED'],
  ENDED: [],
};

interface StoryLine {
  readonly at: number;
  readonly phase: TaskPhase;
  readonly why: string;
  readonly epoch: number;
}

/** Lines kept of a task's story; the oldest go first. */
const MAX_STORY = 32;
const NOWHERE: readonly string[] = Object.freeze([]);

/** One live submission. */
export class TaskEntry implements WaitingTask {
  readonly application: string;
  readonly task: TaskDescription;
  readonly sequence: number;
  before: WaitingTask | undefined = undefined;
  after: WaitingTask | undefined = undefined;

  phase: TaskPhase = 'WAITING';
  /** Of the present lease, or of the last one while waiting; 0 before the first. */
  epoch: number;
  /** Who holds the lease. */
  worker: WorkerEntry | undefined = undefined;
  /** Who held it last; empty before its first lease. */
  lastWorkerId = '';
  /** When it was sent last; when CANCELLING: when the worker was told. */
  sentAt = 0;
  /** Workers that were lost while they held it. */
  lostOn: readonly string[] = NOWHERE;
  /** Workers that were lost while it ran there, after it had been lost before. */
  diedUnderIt = 0;
  /** Made with the first lease, so that a million waiting tasks carry none. */
  #story: StoryLine[] | undefined = undefined;

  constructor(application: string, task: TaskDescription, sequence: number, epoch: number) {
    this.application = application;
    this.task = task;
    this.sequence = sequence;
    this.epoch = epoch;
  }

  /** The only way to change `phase`. @throws SP_DISPATCHER_INVALID_TRANSITION with the story of the task */
  transition(to: TaskPhase, at: number, why: string): void {
    if (!ALLOWED[this.phase].includes(to)) {
      throw dispatcherErrors.INVALID_TRANSITION({ name: this.task.name, from: this.phase, to, story: this.story() });
    }
    this.phase = to;
    if (to === 'ENDED') return;
    this.#story ??= [];
    if (this.#story.length >= MAX_STORY) this.#story.shift();
    this.#story.push({ at, phase: to, why, epoch: this.epoch });
  }

  /** What happened to it, a line each. */
  story(): string {
    if (this.#story === undefined) return '  it was never leased';
    return this.#story.map((line) => `  at ${Math.round(line.at)} ms, epoch ${line.epoch}: ${line.phase}, ${line.why}`).join('\n');
  }
}
