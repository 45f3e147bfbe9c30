/**
 * Which transaction belongs to a task? It is asked by stage id; stage ids are unique in a program. Four cases, as in CDAP's design:
 * the stage is known and has a transaction: that one; known without: one is begun and tied to the job; unknown, because the listener has not yet heard
 * of the job: the question waits; its job is over, or the begin failed: an error, and nothing is begun again.
 *
 * What ends together is a unit: an action that runs several jobs (`take`, a sort that samples), or a job by itself. Does no I/O of its own.
 */
import type { Clock } from '../core/clock.ts';
import type { Snapshot } from './contract.ts';
import { DATASET_ERRORS } from './errors.ts';
import type { DriverTransaction } from './transaction.ts';

/** How long a question waits for its job to be announced, milliseconds. */
const ANNOUNCE_MS = 30_000;
/** Ended stages remembered, so that late questions get the error that is theirs. */
const MAX_ENDED = 100_000;

export interface JobTransactionsOptions {
  readonly begin: () => DriverTransaction;
  readonly find: (transaction: string) => DriverTransaction | undefined;
  readonly clock: Clock;
  /** A job nobody awaits could not commit. */
  readonly failed: (jobId: number, error: Error) => void;
}

export interface JobStart {
  readonly jobId: number;
  readonly stageIds: readonly number[];
  /** Explicit transaction it joins. */
  readonly transaction?: string | undefined;
  /** Action it is a part of. */
  readonly action?: string | undefined;
}

/** What a task is told. */
export interface TaskTransaction {
  readonly id: string;
  /** The same for all tasks of a job. */
  readonly snapshot: Snapshot;
}

/** The transaction of an action or of a job, begun when it is first asked for. */
export class Unit {
  readonly #begin: () => DriverTransaction;
  #transaction: DriverTransaction | undefined;
  #failure: Error | undefined;
  #over = false;

  constructor(begin: () => DriverTransaction) {
    this.#begin = begin;
  }

  transaction(): DriverTransaction {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#over) throw DATASET_ERRORS.TRANSACTION_ENDED({ state: 'ended with its action' });
    try {
      return (this.#transaction ??= this.#begin());
    } catch (error) {
      this.#failure = error as Error;
      throw error;
    }
  }

  fail(error: Error): void {
    this.#failure ??= error;
  }

  /** Commits, or aborts after an error. A unit that touched no dataset has nothing to do. */
  async end(error?: unknown): Promise<void> {
    this.#over = true;
    if (error !== undefined) this.#transaction?.abort();
    else await this.#transaction?.commit();
  }
}

interface Job {
  readonly jobId: number;
  readonly stageIds: readonly number[];
  readonly unit: Unit;
  /** The job ends its unit. */
  readonly alone: boolean;
  view: Promise<TaskTransaction> | undefined;
}

export class JobTransactions {
  readonly #options: JobTransactionsOptions;
  readonly #jobs = new Map<number, Job>();
  readonly #stages = new Map<number, Job[]>();
  readonly #ended = new Set<number>();
  readonly #actions = new Map<string, Unit>();
  readonly #waiting = new Map<number, Set<() => void>>();

  constructor(options: JobTransactionsOptions) {
    this.#options = options;
  }

  beginAction(id: string): Unit {
    const unit = new Unit(this.#options.begin);
    this.#actions.set(id, unit);
    return unit;
  }

  /** The action's jobs are over. @throws what the commit throws */
  async endAction(id: string, error?: unknown): Promise<void> {
    const unit = this.#actions.get(id);
    this.#actions.delete(id);
    await unit?.end(error);
  }

  jobStarted({ jobId, stageIds, transaction, action }: JobStart): void {
    const known = action === undefined ? undefined : this.#actions.get(action);
    const alone = transaction === undefined && known === undefined;
    const unit = transaction === undefined ? (known ?? new Unit(this.#options.begin)) : new Unit(() => this.#explicit(transaction));
    const job: Job = { jobId, stageIds, unit, alone, view: undefined };
    this.#jobs.set(jobId, job);
    for (const stageId of stageIds) {
      this.#ended.delete(stageId);
      const jobs = this.#stages.get(stageId);
      if (jobs === undefined) this.#stages.set(stageId, [job]);
      else jobs.push(job);
      for (const wake of [...(this.#waiting.get(stageId) ?? [])]) wake();
    }
  }

  #explicit(id: string): DriverTransaction {
    const found = this.#options.find(id);
    if (found === undefined) throw DATASET_ERRORS.TRANSACTION_ENDED({ state: 'ended' });
    return found;
  }

  /** A job by itself commits, or aborts when it failed; others leave that to their action or `execute`. */
  jobEnded(jobId: number, error: Error | undefined): void {
    const job = this.#jobs.get(jobId);
    if (job === undefined) return;
    this.#jobs.delete(jobId);
    for (const stageId of job.stageIds) {
      const left = (this.#stages.get(stageId) ?? []).filter((one) => one !== job);
      if (left.length > 0) this.#stages.set(stageId, left);
      else {
        this.#stages.delete(stageId);
        this.#ended.add(stageId);
        if (this.#ended.size > MAX_ENDED) this.#ended.delete(this.#ended.values().next().value as number);
      }
    }
    if (job.alone) job.unit.end(error).catch((failure: unknown) => this.#options.failed(jobId, failure as Error));
  }

  /** The oldest job that runs with the stage: it is the one the scheduler computes it for. */
  #jobOf(stageId: number): Job | undefined {
    return this.#stages.get(stageId)?.[0];
  }

  async #announced(stageId: number): Promise<Job> {
    const found = this.#jobOf(stageId);
    if (found !== undefined) return found;
    if (this.#ended.has(stageId)) throw DATASET_ERRORS.JOB_OVER({ stageId, reason: 'its job has ended' });
    const { clock } = this.#options;
    await new Promise<void>((resolve) => {
      const waiters = this.#waiting.get(stageId) ?? new Set();
      this.#waiting.set(stageId, waiters);
      const wake = (): void => {
        timer.cancel();
        waiters.delete(wake);
        if (waiters.size === 0) this.#waiting.delete(stageId);
        resolve();
      };
      const timer = clock.after(ANNOUNCE_MS, wake, { background: true });
      waiters.add(wake);
    });
    const job = this.#jobOf(stageId);
    if (job === undefined) throw DATASET_ERRORS.JOB_UNKNOWN({ stageId, waitedMs: ANNOUNCE_MS });
    return job;
  }

  /** @throws SP_DATASET_JOB_OVER, SP_DATASET_JOB_UNKNOWN, and what beginning the transaction throws */
  async ask(stageId: number): Promise<TaskTransaction> {
    const job = await this.#announced(stageId);
    job.view ??= this.#view(job);
    return job.view;
  }

  async #view(job: Job): Promise<TaskTransaction> {
    const transaction = job.unit.transaction();
    // What the driver has written in this transaction so far is there for tasks.
    await transaction.flush();
    return { id: transaction.id, snapshot: await transaction.snapshot() };
  }

  /** A new version for an attempt of the stage. */
  async version(stageId: number): Promise<number> {
    const job = await this.#announced(stageId);
    await this.ask(stageId);
    if (!this.#jobs.has(job.jobId)) throw DATASET_ERRORS.JOB_OVER({ stageId, reason: 'its job has ended' });
    return job.unit.transaction().attemptVersion();
  }
}
