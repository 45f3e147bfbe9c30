import type { StatusUpdate, TaskDescription } from '../protocol/task.ts';
import type { ApplicationEntry } from './applications.ts';
import type { LeaseRecord } from './contract.ts';
import { dispatcherErrors } from './errors.ts';
import type { WaitingTask } from './order.ts';
import type { KindPool, WorkerEntry } from './workers.ts';

/**
 * Where a submission stands. WAITING: in the pool, or for its backoff. LEASED: sent to a worker. RUNNING: the worker said it
 * started. CANCELLING: the worker was told to end it. PARKED: held for an operator. ENDED: reported or handed back; the
 * entry is forgotten.
 */
export type TaskPhase = 'WAITING' | 'LEASED' | 'RUNNING' | 'CANCELLING' | 'PARKED' | 'ENDED';

const ALLOWED: Readonly<Record<TaskPhase, readonly TaskPhase[]>> = {
  WAITING: ['LEASED', 'PARKED', 'ENDED'],
  LEASED: ['RUNNING', 'CANCELLING', 'WAITING', 'ENDED'],
  RUNNING: ['CANCELLING', 'WAITING', 'ENDED'],
  CANCELLING: ['ENDED'],
  PARKED: ['WAITING', 'ENDED'],
  ENDED: [],
};

/** Leases kept of a task's story; the oldest go first. */
export const MAX_STORY = 32;
const NOWHERE: readonly string[] = Object.freeze([]);
const NO_LEASES: readonly LeaseRecord[] = Object.freeze([]);

/** A result that waits for others to agree with it. */
export interface Vote {
  readonly workerId: string;
  readonly update: StatusUpdate;
}

/**
 * One live submission, or a copy of a slow one: a copy has `of`, stands in no ledger and ends without a report of its own.
 * Fields that few tasks need are shared constants or undefined until then, so that a million waiting tasks stay small.
 */
export class TaskEntry implements WaitingTask {
  readonly owner: ApplicationEntry;
  readonly application: string;
  readonly task: TaskDescription;
  readonly sequence: number;
  before: WaitingTask | undefined = undefined;
  after: WaitingTask | undefined = undefined;

  phase: TaskPhase = 'WAITING';
  /** Of the present lease, or of the last one while waiting. */
  epoch: number;
  /** The highest epoch that it or a copy of it was given. */
  lastEpoch: number;
  /** Leases begun. */
  leases = 0;
  /** Where it waits, or waited last. */
  pool: KindPool | undefined = undefined;
  /** Who holds the lease. */
  worker: WorkerEntry | undefined = undefined;
  /** What the present lease takes of its worker's room. */
  cost = 0;
  /** Who held it last; empty before its first lease. */
  lastWorkerId = '';
  /** When the present lease began. */
  leasedAt = 0;
  /** When it was sent last; when CANCELLING: when the worker was told; with votes: when the last one came. */
  sentAt = 0;
  /** When its worker said that it runs. */
  startedAt = 0;
  /** When its backoff ends; 0: it is not backing off. */
  due = 0;
  /** Workers that were lost while they held it. */
  lostOn: readonly string[] = NOWHERE;
  /** Workers that were lost while it ran there, after it had been lost before. */
  diedUnderIt = 0;
  history: readonly LeaseRecord[] = NO_LEASES;
  /** The task of which this is a copy. */
  of: TaskEntry | undefined = undefined;
  /** Its copy, waiting or running. */
  copy: TaskEntry | undefined = undefined;
  votes: Vote[] | undefined = undefined;

  constructor(owner: ApplicationEntry, task: TaskDescription, sequence: number, epoch: number) {
    this.owner = owner;
    this.application = owner.id;
    this.task = task;
    this.sequence = sequence;
    this.epoch = epoch;
    this.lastEpoch = epoch;
  }

  /** The only way to change `phase`. @throws SP_DISPATCHER_INVALID_TRANSITION with the story of the task */
  transition(to: TaskPhase, at: number, why: string): void {
    if (!ALLOWED[this.phase].includes(to)) {
      throw dispatcherErrors.INVALID_TRANSITION({ name: this.task.name, from: this.phase, to, story: this.story(at, why) });
    }
    this.phase = to;
  }

  /** Notes for its story that its lease ends without a result. */
  lost(endMs: number, why: string): void {
    const record = { workerId: this.worker?.id ?? this.lastWorkerId, epoch: this.epoch, startMs: this.leasedAt, endMs, why };
    this.history = [...this.history.slice(-MAX_STORY + 1), record];
  }

  /** Its leases that ended without a result, and the present one. */
  story(at: number, now = ''): string {
    const lines = this.history.map(
      (lease) =>
        `  epoch ${lease.epoch}: leased to ${lease.workerId} at ${Math.round(lease.startMs)} ms, ended at ${Math.round(lease.endMs ?? at)} ms: ${lease.why}`,
    );
    if (this.worker !== undefined) lines.push(`  epoch ${this.epoch}: leased to ${this.worker.id} at ${Math.round(this.leasedAt)} ms, ${this.phase}`);
    if (now !== '') lines.push(`  at ${Math.round(at)} ms: ${now}`);
    return lines.length === 0 ? '  it was never leased' : lines.join('\n');
  }
}
