import { encodeFailure } from '../protocol/failure.ts';
import type { StatusUpdate, TaskDescription, TaskState } from '../protocol/task.ts';
import type { Load, Registration } from '../registry/contract.ts';
import type { DispatcherEffect, DispatcherEvent, DispatcherStats, Submission, WorkerStats } from './contract.ts';
import { choose } from './choose.ts';
import { dispatcherErrors } from './errors.ts';
import { TaskLedger } from './ledger.ts';
import { positive, type DispatcherStateOptions } from './options.ts';
import { fifoOrder } from './order.ts';
import type { TaskEntry } from './task-entry.ts';
import { WorkerEntry, WorkerPool, type KindPool } from './workers.ts';

/** Tasks that a selector left waiting, passed over in one event, so that it costs no walk through the whole queue. */
const MAX_DECLINED = 32;
/** Departed workers kept for `stats()`. */
const MAX_DEPARTED = 64;

/** Workers lost under a task that had been lost before, until it is not handed back to the application any more. */
const SUSPECT_DEATHS = 1;

/**
 * When? The dispatcher's state machine: events in by one door, effects out. No I/O, no clock, no randomness but the selector's.
 *
 * LEASES: a task is sent under an epoch, higher each time; only the worker that holds the present epoch may end it. Beats
 * renew all leases of a worker. A worker that is lost or leaves gives its leases back; they are leased again, ahead of
 * what was submitted later. A worker that returns after it was lost is a new one.
 * IDEMPOTENCY: repeated submissions, statuses, beats and cancels change nothing. A lost frame is made good: a worker that
 * keeps saying that it holds less than it was sent is sent those leases again, under the same epochs (it knows repeats).
 * ORDERING: effects are in the order in which they must be carried out. If `handle` throws (a defect), what was decided
 * before is returned by the next call.
 * COST: O(1) per task and status; O(workers) per tick; memory by live tasks, workers and `fenceLimit`.
 */
export class DispatcherState {
  readonly #options: DispatcherStateOptions;
  readonly #leaseMs: number;
  readonly #maxLeases: number;
  readonly #queueDepth: number;
  readonly #resendAfterMs: number;
  readonly #ledger: TaskLedger;
  readonly #workers: WorkerPool;
  /** Workers whose beats stopped, while the register center has not said that they left. */
  readonly #silent = new Map<string, Registration>();
  readonly #cancelling = new Set<TaskEntry>();
  readonly #departed: WorkerStats[] = [];
  readonly #touched: WorkerEntry[] = [];
  #effects: DispatcherEffect[] = [];
  #waiting = 0;
  #saidSlots = 0;
  #saidCredit = 0;
  readonly #counts = { submitted: 0, finished: 0, failed: 0, retried: 0, fenced: 0, handedBack: 0, duplicates: 0, resent: 0 };

  constructor(options: DispatcherStateOptions) {
    this.#options = options;
    this.#leaseMs = positive('leaseMs', options.leaseMs ?? 10_000);
    this.#maxLeases = positive('maxLeases', options.maxLeases ?? 4);
    this.#queueDepth = positive('queueDepth', options.queueDepth ?? 2);
    this.#resendAfterMs = positive('resendAfterMs', options.resendAfterMs ?? this.#leaseMs);
    this.#ledger = new TaskLedger(positive('fenceLimit', options.fenceLimit ?? 65_536));
    this.#workers = new WorkerPool(options.newOrder ?? (() => fifoOrder<TaskEntry>()));
  }

  /** Submissions that have not ended. */
  get live(): number {
    return this.#ledger.live;
  }

  /** Beside what the contract's stats say: what was ignored as repeated, and what was sent twice under one epoch. */
  get repeats(): { readonly duplicates: number; readonly resent: number } {
    return { duplicates: this.#counts.duplicates, resent: this.#counts.resent };
  }

  capacity(): { readonly slots: number; readonly credit: number; readonly workers: number } {
    return { slots: this.#workers.slots, credit: this.#workers.credit, workers: this.#workers.live.size };
  }

  stats(): DispatcherStats {
    const { submitted, finished, failed, retried, fenced, handedBack } = this.#counts;
    const workers = [...this.#departed, ...[...this.#workers.live.values()].map((worker) => worker.stats(true))];
    return {
      submitted,
      finished,
      failed,
      retried,
      fenced,
      handedBack,
      parked: 0,
      speculated: 0,
      speculationWon: 0,
      verified: 0,
      replicated: 0,
      disagreements: 0,
      adopted: 0,
      workers,
    };
  }

  /** Submissions that have not ended, by application. */
  *liveTasks(): Iterable<{ readonly application: string; readonly taskId: number }> {
    for (const { application, task } of this.#ledger.entries()) yield { application, taskId: task.taskId };
  }

  /** The one door. @throws SP_DISPATCHER_INVALID_TRANSITION (a defect) */
  handle(event: DispatcherEvent): DispatcherEffect[] {
    const { now } = event;
    switch (event.type) {
      case 'submit':
        for (const submission of event.submissions) this.#submit(submission);
        break;
      case 'status':
        this.#status(event);
        break;
      case 'cancel':
        this.#cancel(event);
        break;
      case 'workerJoined':
        if (this.#workers.live.has(event.worker.id)) this.#beat(event.worker.id, event.load, now);
        else this.#join(event.worker, event.load, now);
        break;
      case 'workerBeat':
        this.#beat(event.workerId, event.load, now);
        break;
      case 'workerLeft': {
        this.#silent.delete(event.workerId);
        const worker = this.#workers.live.get(event.workerId);
        // Leaving in good order is not the tasks' doing, and is not counted against them.
        if (worker !== undefined) this.#loseWorker(worker, event.reason, event.reason !== 'left', now);
        break;
      }
      case 'blobMissing':
        this.#blobMissing(event.workerId, event.hash, now);
        break;
      case 'tick':
        this.#tick(now);
        break;
      case 'cancelApplication':
        for (const { application, taskId } of [...this.liveTasks()]) {
          if (application === event.application) this.#cancel({ type: 'cancel', application, taskId, reason: event.reason, now });
        }
        break;
      // Policies, stage graphs, operators' drain and parked tasks: in the machine's next revision.
      case 'application':
      case 'stages':
      case 'drain':
      case 'parked':
        break;
    }
    if (this.#waiting > 0) for (const pool of this.#workers.kinds.values()) this.#dispatch(pool, now);
    return this.#takeEffects();
  }

  #submit(submission: Submission): void {
    const entry = this.#ledger.add(submission);
    if (entry === undefined) {
      this.#counts.duplicates++;
      return;
    }
    this.#workers.kind(entry.task.kind).order.add(entry);
    this.#waiting++;
    this.#counts.submitted++;
  }

  #status(event: DispatcherEvent & { type: 'status' }): void {
    const { update, now } = event;
    const entry = this.#ledger.find(event.application, update.taskId);
    const worker = entry?.worker;
    if (entry === undefined || worker === undefined || entry.epoch !== event.epoch || worker.id !== event.workerId) {
      this.#stale(event, entry);
      return;
    }
    switch (update.state) {
      case 'RUNNING':
        if (entry.phase !== 'LEASED') break;
        entry.transition('RUNNING', now, `started by ${worker.id}`);
        this.#report(entry.application, update);
        break;
      case 'LOST': {
        // The worker will not run it (it drains): others get it, and the worker nothing more until it says otherwise.
        const counted = entry.phase === 'RUNNING' && !worker.draining;
        this.#workers.setDraining(worker, true);
        this.#loseLease(entry, `returned by ${worker.id}`, counted, now);
        break;
      }
      default:
        if (update.state === 'FINISHED') worker.finished++;
        else worker.failed++;
        this.#endLease(entry);
        this.#ledger.end(entry, now, 'its lease');
        this.#finish(entry, update);
    }
  }

  /** A status that is not of the present lease. */
  #stale(event: DispatcherEvent & { type: 'status' }, entry: TaskEntry | undefined): void {
    const { application, epoch, update, workerId } = event;
    const last = this.#ledger.lastEpoch(application, update.taskId);
    if (epoch < last || (epoch === last && entry !== undefined)) {
      if (update.state !== 'RUNNING') this.#counts.fenced++;
      else if (this.#workers.live.has(workerId)) {
        this.#effects.push({ type: 'cancelOnWorker', workerId, application, taskId: update.taskId, epoch, reason: 'its lease has ended' });
      }
    } else {
      this.#counts.duplicates++;
    }
  }

  #cancel({ application, taskId, reason, now }: DispatcherEvent & { type: 'cancel' }): void {
    const entry = this.#ledger.find(application, taskId);
    if (entry === undefined || entry.phase === 'CANCELLING') return;
    if (entry.phase === 'WAITING') {
      this.#workers.kind(entry.task.kind).order.remove(entry);
      this.#waiting--;
      this.#ledger.end(entry, now, 'the dispatcher');
      this.#fail(entry, 'KILLED', dispatcherErrors.CANCELLED({ name: entry.task.name, reason }));
      return;
    }
    // Reported when the worker says that it has stopped, so that KILLED means it no longer runs; or after leaseMs without answer.
    entry.transition('CANCELLING', now, reason);
    entry.sentAt = now;
    this.#cancelling.add(entry);
    this.#cancelOnWorker(entry, reason);
  }

  #join(registration: Registration, load: Load, now: number): void {
    this.#silent.delete(registration.id);
    const worker = new WorkerEntry(registration, this.#queueDepth, now);
    worker.draining = load.draining;
    this.#workers.add(worker);
  }

  #beat(workerId: string, load: Load, now: number): void {
    const worker = this.#workers.live.get(workerId);
    if (worker === undefined) {
      const registration = this.#silent.get(workerId);
      if (registration !== undefined) this.#join(registration, load, now);
      return;
    }
    worker.lastBeat = now;
    if (load.running + load.queued >= worker.outstanding) worker.deficitSince = -1;
    else if (worker.deficitSince < 0) worker.deficitSince = now;
    if (load.draining !== worker.draining) this.#workers.setDraining(worker, load.draining);
  }

  #blobMissing(workerId: string, hash: string, now: number): void {
    const worker = this.#workers.live.get(workerId);
    if (worker === undefined) return;
    if (this.#options.holdsBlob?.(hash) ?? true) {
      worker.addBlob(hash);
      this.#touch(worker).blobs.push(hash);
      return;
    }
    for (const entry of worker.leases) {
      if (!entry.task.commons.includes(hash)) continue;
      const reason = 'it was released or is too large';
      this.#cancelOnWorker(entry, reason);
      this.#endLease(entry);
      this.#ledger.end(entry, now, 'the dispatcher');
      this.#fail(entry, 'FAILED', dispatcherErrors.BLOB_UNAVAILABLE({ name: entry.task.name, hash, reason }));
    }
  }

  #tick(now: number): void {
    for (const worker of this.#workers.live.values()) {
      const silence = now - worker.lastBeat;
      if (silence > this.#leaseMs) {
        this.#silent.set(worker.id, worker.registration);
        // If it is only slow, it need not finish what others are given now.
        for (const entry of worker.leases) this.#cancelOnWorker(entry, 'its lease has expired');
        this.#loseWorker(worker, `no beat for ${Math.round(silence)} ms`, true, now);
      } else if (worker.deficitSince >= 0 && now - worker.deficitSince >= this.#resendAfterMs) {
        this.#resend(worker, now);
      }
    }
    for (const entry of this.#cancelling) {
      if (now - entry.sentAt < this.#leaseMs) continue;
      this.#cancelOnWorker(entry, 'cancelled');
      this.#loseLease(entry, 'no answer to cancel', false, now);
    }
  }

  #resend(worker: WorkerEntry, now: number): void {
    worker.deficitSince = now;
    for (const entry of worker.leases) {
      if (entry.phase === 'CANCELLING' || now - entry.sentAt < this.#resendAfterMs) continue;
      entry.sentAt = now;
      this.#counts.resent++;
      this.#touch(worker).tasks.push({ application: entry.application, epoch: entry.epoch, task: entry.task });
    }
  }

  #loseWorker(worker: WorkerEntry, reason: string, counted: boolean, now: number): void {
    this.#workers.remove(worker);
    this.#departed.push(worker.stats(false));
    if (this.#departed.length > MAX_DEPARTED) this.#departed.shift();
    worker.outbox.tasks = [];
    worker.outbox.blobs = [];
    this.#effects.push({ type: 'workerLost', workerId: worker.id, reason });
    for (const entry of [...worker.leases].reverse()) this.#loseLease(entry, `lost with ${worker.id}: ${reason}`, counted, now);
  }

  #loseLease(entry: TaskEntry, reason: string, counted: boolean, now: number): void {
    const worker = this.#endLease(entry);
    if (entry.phase === 'CANCELLING') {
      this.#ledger.end(entry, now, 'the dispatcher');
      this.#fail(entry, 'KILLED', dispatcherErrors.CANCELLED({ name: entry.task.name, reason }), worker.id);
      return;
    }
    if (counted) {
      entry.lostOn = [...entry.lostOn, worker.id];
      // Workers say at once that a task leased again begins, so here it is known that it had.
      if (entry.phase === 'RUNNING' && entry.epoch > 1) entry.diedUnderIt++;
    }
    entry.transition('WAITING', now, reason);
    if (entry.lostOn.length < this.#maxLeases) {
      this.#workers.kind(entry.task.kind).order.putBack(entry);
      this.#waiting++;
      return;
    }
    this.#giveUp(entry, now);
  }

  #giveUp(entry: TaskEntry, now: number): void {
    const error = dispatcherErrors.LEASES_EXHAUSTED({ name: entry.task.name, count: entry.lostOn.length, story: entry.story() });
    this.#ledger.end(entry, now, 'the dispatcher');
    this.#fail(entry, 'FAILED', error);
  }

  /** Sends what can be sent, or hands back what nobody could run. */
  #dispatch(pool: KindPool, now: number): void {
    const { order, ready } = pool;
    if (order.size > 0 && pool.hosts.length === 0) {
      this.#handBack(pool, now);
      return;
    }
    let declined: TaskEntry[] | undefined;
    while (ready.length > 0 && (declined === undefined || declined.length < MAX_DECLINED)) {
      const entry = order.take();
      if (entry === undefined) break;
      const worker = choose(this.#options.selector, entry, pool, this.#options.onFault);
      if (worker === undefined) (declined ??= []).push(entry);
      else this.#lease(entry, worker, now);
    }
    if (declined !== undefined) for (let i = declined.length - 1; i >= 0; i--) order.putBack(declined[i] as TaskEntry);
  }

  #lease(entry: TaskEntry, worker: WorkerEntry, now: number): void {
    const { application, task } = entry;
    const again = entry.lastWorkerId !== '';
    entry.epoch++;
    entry.worker = worker;
    entry.lastWorkerId = worker.id;
    entry.sentAt = now;
    entry.transition('LEASED', now, `leased to ${worker.id}`);
    if (again) this.#counts.retried++;
    this.#waiting--;
    this.#workers.grant(worker, entry);
    const outbox = this.#touch(worker);
    for (const hash of task.commons) {
      if (worker.hasBlob(hash)) continue;
      worker.addBlob(hash);
      outbox.blobs.push(hash);
    }
    outbox.tasks.push({ application, epoch: entry.epoch, task });
  }

  #endLease(entry: TaskEntry): WorkerEntry {
    const worker = entry.worker as WorkerEntry;
    entry.worker = undefined;
    this.#cancelling.delete(entry);
    this.#workers.release(worker, entry);
    return worker;
  }

  #handBack(pool: KindPool, now: number): void {
    const byApplication = new Map<string, TaskDescription[]>();
    for (let entry = pool.order.take(); entry !== undefined; entry = pool.order.take()) {
      this.#waiting--;
      // A second worker died under it: inside it may take the application along.
      if (entry.diedUnderIt >= SUSPECT_DEATHS) {
        this.#giveUp(entry, now);
        continue;
      }
      this.#counts.handedBack++;
      this.#ledger.end(entry, now, 'the dispatcher');
      let tasks = byApplication.get(entry.application);
      if (tasks === undefined) byApplication.set(entry.application, (tasks = []));
      tasks.push(entry.task);
    }
    for (const [application, tasks] of byApplication) this.#effects.push({ type: 'handBack', application, tasks });
    this.#workers.dropIfIdle(pool);
  }

  #finish(entry: TaskEntry, update: StatusUpdate): void {
    if (update.state === 'FINISHED') this.#counts.finished++;
    else this.#counts.failed++;
    this.#report(entry.application, update);
  }

  #fail(entry: TaskEntry, state: TaskState, error: Error, executorId = entry.lastWorkerId || entry.task.executorId): void {
    this.#finish(entry, { taskId: entry.task.taskId, state, executorId, data: encodeFailure(error) });
  }

  #report(application: string, update: StatusUpdate): void {
    this.#effects.push({ type: 'report', application, update });
  }

  #cancelOnWorker(entry: TaskEntry, reason: string): void {
    const { application, epoch, task, worker } = entry;
    if (worker !== undefined) this.#effects.push({ type: 'cancelOnWorker', workerId: worker.id, application, taskId: task.taskId, epoch, reason });
  }

  #touch(worker: WorkerEntry): WorkerEntry['outbox'] {
    if (worker.outbox.tasks.length === 0 && worker.outbox.blobs.length === 0) this.#touched.push(worker);
    return worker.outbox;
  }

  #takeEffects(): DispatcherEffect[] {
    for (const worker of this.#touched) {
      const { blobs, tasks } = worker.outbox;
      if (blobs.length === 0 && tasks.length === 0) continue;
      worker.outbox.blobs = [];
      worker.outbox.tasks = [];
      this.#effects.push({ type: 'send', workerId: worker.id, blobs, tasks });
    }
    this.#touched.length = 0;
    const { slots, credit } = this.#workers;
    if (slots !== this.#saidSlots || credit !== this.#saidCredit) {
      this.#saidSlots = slots;
      this.#saidCredit = credit;
      this.#effects.push({ type: 'capacity', slots, credit });
    }
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }
}
