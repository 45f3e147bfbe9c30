import type { HeldLease } from '../protocol/application.ts';
import type { LeasedStatus } from '../protocol/messages.ts';
import type { Load, Registration } from '../registry/contract.ts';
import { Adoption } from './adoption.ts';
import type { DispatcherEffect, DispatcherEvent, DispatcherStats, ParkedTask, Submission, WorkerStats } from './contract.ts';
import { Effects } from './effects.ts';
import { dispatcherErrors } from './errors.ts';
import { HealthTracker } from './health.ts';
import { TaskLedger } from './ledger.ts';
import { TaskLifecycle } from './lifecycle.ts';
import { baseEpoch, positive, queueLimits, type DispatcherStateOptions } from './options.ts';
import { fifoOrder } from './order.ts';
import { stageCost, PLACE, type QueueLimits } from './queue-cost.ts';
import type { TaskEntry } from './task-entry.ts';
import { WorkerEntry, WorkerPool } from './workers.ts';

/** Departed workers kept for `stats()`. */
const MAX_DEPARTED = 64;

type Event<K extends DispatcherEvent['type']> = DispatcherEvent & { type: K };

/**
 * When? The dispatcher's state machine: events in by one door, effects out. No I/O, no clock, no randomness but what is injected.
 *
 * LEASES: a task is sent under an epoch, higher each time; only the worker that holds the present epoch may end it. Beats
 * renew all leases of a worker. A worker that is lost or leaves gives its leases back; they are leased again, ahead of
 * what was submitted later. A worker that returns after it was lost is a new one. A slow task may have a copy, leased under
 * an epoch of its own: the first result ends both, and the other lease is fenced.
 * IDEMPOTENCY: repeated submissions, statuses, beats and cancels change nothing. A lost frame is made good: a worker that
 * keeps saying that it holds less than it was sent is sent those leases again, under the same epochs (it knows repeats).
 * ORDERING: effects are in the order in which they must be carried out. If `handle` throws (a defect, or a profile or stage
 * that is refused), what was decided before is returned by the next call.
 * COST: O(1) per task and status (O(log n) by the order); O(workers) per tick; memory by live tasks, workers and `fenceLimit`.
 */
export class DispatcherState {
  readonly #options: DispatcherStateOptions;
  readonly #leaseMs: number;
  readonly #queue: QueueLimits;
  readonly #resendAfterMs: number;
  /** Epochs up to this one are of earlier leaders. */
  readonly #base: number;
  readonly #ledger: TaskLedger;
  readonly #workers: WorkerPool;
  readonly #effects: Effects;
  readonly #health: HealthTracker | undefined;
  readonly #tasks: TaskLifecycle;
  readonly #adoption = new Adoption();
  /** Workers whose beats stopped, while the register center has not said that they left. */
  readonly #silent = new Map<string, Registration>();
  /** Workers that an operator drains. */
  readonly #drains = new Set<string>();
  readonly #departed: WorkerStats[] = [];
  #fenced = 0;
  #duplicates = 0;
  #resent = 0;

  constructor(options: DispatcherStateOptions) {
    this.#options = options;
    this.#leaseMs = positive('leaseMs', options.leaseMs ?? 10_000);
    this.#queue = queueLimits(options);
    this.#resendAfterMs = positive('resendAfterMs', options.resendAfterMs ?? this.#leaseMs);
    this.#base = baseEpoch(options.term ?? 0);
    const defaults = { maxLeases: positive('maxLeases', options.maxLeases ?? 4), retryBackoffMs: options.retryBackoffMs ?? 100 };
    const ledger = new TaskLedger(positive('fenceLimit', options.fenceLimit ?? 65_536), defaults, this.#base);
    const newOrder = options.newOrder ?? (() => fifoOrder<TaskEntry>());
    const workers = new WorkerPool(() => newOrder(ledger), options.selector.uncounted);
    const effects = new Effects(workers);
    const health = options.health === false ? undefined : new HealthTracker(options.health ?? {}, workers, (note) => effects.push({ type: 'note', note }));
    this.#ledger = ledger;
    this.#workers = workers;
    this.#effects = effects;
    this.#health = health;
    this.#tasks = new TaskLifecycle({
      options,
      ledger,
      workers,
      effects,
      health,
      leaseMs: this.#leaseMs,
      queue: this.#queue,
      random: options.random ?? Math.random,
    });
  }

  /** Submissions that have not ended. */
  get live(): number {
    return this.#ledger.live;
  }

  /** Beside what the contract's stats say: what was ignored as repeated, and what was sent twice under one epoch. */
  get repeats(): { readonly duplicates: number; readonly resent: number } {
    return { duplicates: this.#duplicates, resent: this.#resent };
  }

  /** Tasks leased to a worker now. */
  held(workerId: string): number {
    return this.#workers.live.get(workerId)?.leases.size ?? 0;
  }

  capacity(): { readonly slots: number; readonly credit: number; readonly workers: number } {
    return { slots: this.#workers.slots, credit: this.#workers.credit, workers: this.#workers.live.size };
  }

  /** Of the credit, what a task of the stage with these common blobs takes: a place, or a part of one when its tasks are short. */
  cost(application: string, commons: readonly string[]): number {
    const times = this.#ledger.application(application)?.runTimes;
    return times === undefined ? 1 : stageCost(commons, times, this.#queue) / PLACE;
  }

  stats(): DispatcherStats {
    const workers = [...this.#departed, ...[...this.#workers.live.values()].map((worker) => worker.stats(true))];
    return { ...this.#tasks.counts, fenced: this.#fenced, workers };
  }

  /** Tasks that were lost on too many workers, each with its leases; the oldest first. */
  parked(): ParkedTask[] {
    return this.#tasks.parked();
  }

  /** Submissions that have not ended, by application. */
  *liveTasks(): Iterable<{ readonly application: string; readonly taskId: number }> {
    for (const { application, task } of this.#ledger.entries()) yield { application, taskId: task.taskId };
  }

  /** The one door. @throws SP_DISPATCHER_BAD_PROFILE, SP_DISPATCHER_BAD_STAGE; SP_DISPATCHER_INVALID_TRANSITION (a defect) */
  handle(event: DispatcherEvent): DispatcherEffect[] {
    const { now } = event;
    switch (event.type) {
      case 'submit':
        for (const submission of event.submissions) this.#submit(submission, now);
        break;
      case 'status':
        for (const status of event.statuses) this.#status(event.workerId, status, now);
        break;
      case 'cancel':
        this.#tasks.cancel(event.application, event.taskId, event.reason, now);
        break;
      case 'application':
        this.#announce(event);
        break;
      case 'stages': {
        const { stages } = this.#ledger.changeStages(event.application);
        for (const stage of event.stages) stages.set(stage);
        break;
      }
      case 'cancelApplication':
        this.#cancelApplication(event);
        break;
      case 'workerJoined':
        if (this.#workers.live.has(event.worker.id)) this.#beat(event.worker.id, event.load, now);
        else this.#join(event.worker, event.load, now);
        this.#hold(event.worker.id, event.holding, now);
        break;
      case 'workerBeat':
        this.#beat(event.workerId, event.load, now);
        this.#hold(event.workerId, event.holding, now);
        break;
      case 'workerLeft': {
        this.#silent.delete(event.workerId);
        this.#drains.delete(event.workerId);
        const worker = this.#workers.live.get(event.workerId);
        // Leaving in good order is not the tasks' doing, and is not counted against them.
        if (worker !== undefined) this.#loseWorker(worker, event.reason, event.reason !== 'left', now);
        break;
      }
      case 'drain':
        this.#drain(event);
        break;
      case 'blobMissing':
        this.#blobMissing(event.workerId, event.hash, now);
        break;
      case 'parked':
        this.#tasks.command(event.application, event.taskId, event.command, now);
        break;
      case 'tick':
        this.#tick(now);
        break;
    }
    this.#ledger.slots = this.#workers.slots;
    this.#tasks.dispatch(now);
    return this.#effects.take();
  }

  #announce({ profile }: Event<'application'>): void {
    const { comparator } = profile.verify ?? {};
    if (comparator !== undefined && !this.#tasks.verification.knows(comparator)) {
      const { application } = profile;
      throw dispatcherErrors.BAD_PROFILE({ application, field: 'verify.comparator', value: comparator, reason: 'the dispatcher was given no such comparator' });
    }
    this.#ledger.announce(profile);
  }

  #cancelApplication({ application: id, reason, now }: Event<'cancelApplication'>): void {
    const application = this.#ledger.application(id);
    this.#tasks.forgetApplication(id);
    for (const { workerId, taskId, epoch } of this.#adoption.takeWhere((orphan) => orphan.application === id)) {
      this.#effects.push({ type: 'cancelOnWorker', workerId, application: id, taskId, epoch, reason });
    }
    if (application === undefined) return;
    for (const taskId of application.tasks.ids()) this.#tasks.cancel(id, taskId, reason, now);
    this.#ledger.retire(application);
  }

  #submit(submission: Submission, now: number): void {
    const task = this.#tasks.submit(submission);
    if (task === undefined) {
      this.#duplicates++;
      return;
    }
    if (this.#adoption.size === 0) return;
    const orphan = this.#adoption.take(task.application, task.task.taskId);
    const worker = orphan === undefined ? undefined : this.#workers.live.get(orphan.workerId);
    if (orphan === undefined || worker === undefined) return;
    this.#tasks.adopt(task, worker, orphan.epoch, now);
    if (orphan.result !== undefined) this.#tasks.ended(task, worker, orphan.result, now);
  }

  #status(workerId: string, status: LeasedStatus, now: number): void {
    const { update, application, epoch } = status;
    const task = this.#ledger.find(application, update.taskId);
    let entry = task;
    if (entry !== undefined && entry.epoch !== epoch) {
      const sender = epoch < this.#base ? this.#workers.live.get(workerId) : undefined;
      if (entry.copy !== undefined) entry = entry.copy;
      else if (sender !== undefined && this.#tasks.canAdopt(entry)) this.#tasks.adopt(entry, sender, epoch, now);
    }
    const worker = entry?.worker;
    if (entry === undefined || worker === undefined || entry.epoch !== epoch || worker.id !== workerId) {
      this.#stale(workerId, status, task, now);
      return;
    }
    switch (update.state) {
      case 'RUNNING':
        this.#tasks.started(entry, worker, update, now);
        break;
      case 'LOST': {
        // The worker will not run it (it drains): others get it, and the worker nothing more until it says otherwise.
        const counted = entry.phase === 'RUNNING' && !worker.draining;
        worker.draining = true;
        this.#workers.refresh(worker);
        this.#tasks.loseLease(entry, `returned by ${worker.id}`, counted, now);
        break;
      }
      default:
        this.#tasks.ended(entry, worker, update, now);
    }
  }

  /** A status that is not of the present lease. */
  #stale(workerId: string, { application, epoch, update }: LeasedStatus, task: TaskEntry | undefined, now: number): void {
    const last = this.#ledger.lastEpoch(application, update.taskId);
    const isLive = this.#workers.live.has(workerId);
    if (task === undefined && epoch < this.#base && last === this.#base && isLive) {
      // From before this leader's time, and nobody has said yet that the task is not wanted.
      const orphan = this.#adoption.note(application, update.taskId, epoch, workerId, now);
      if (update.state === 'LOST') this.#adoption.take(application, update.taskId);
      else if (update.state !== 'RUNNING' && orphan?.epoch === epoch && orphan.workerId === workerId) this.#adoption.keepResult(orphan, update);
      return;
    }
    if (epoch < last || (epoch === last && task !== undefined)) {
      if (update.state !== 'RUNNING') this.#fenced++;
      else if (isLive) {
        this.#effects.push({ type: 'cancelOnWorker', workerId, application, taskId: update.taskId, epoch, reason: 'its lease has ended' });
      }
    } else {
      this.#duplicates++;
    }
  }

  /** What a worker holds from an earlier leader: taken over, kept for its application to ask, or ended. */
  #hold(workerId: string, holding: readonly HeldLease[] | undefined, now: number): void {
    const worker = holding === undefined ? undefined : this.#workers.live.get(workerId);
    if (holding === undefined || worker === undefined) return;
    for (const { application, taskId, epoch } of holding) {
      if (!(epoch < this.#base)) continue;
      const task = this.#ledger.find(application, taskId);
      if (task !== undefined && (this.#tasks.canAdopt(task) || (task.worker === worker && task.epoch === epoch))) {
        if (task.worker === undefined) this.#tasks.adopt(task, worker, epoch, now);
      } else if (task !== undefined || this.#ledger.lastEpoch(application, taskId) > this.#base) {
        this.#effects.push({ type: 'cancelOnWorker', workerId, application, taskId, epoch, reason: 'its lease has ended' });
      } else this.#adoption.note(application, taskId, epoch, workerId, now);
    }
  }

  #join(registration: Registration, load: Load, now: number): void {
    this.#silent.delete(registration.id);
    const worker = new WorkerEntry(registration, this.#queue.depth, now);
    worker.draining = load.draining;
    worker.drainAsked = this.#drains.has(worker.id);
    worker.excluded = this.#health?.isExcluded(worker) ?? false;
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
    if (load.draining === worker.draining) return;
    worker.draining = load.draining;
    this.#workers.refresh(worker);
  }

  #drain({ workerId, drain }: Event<'drain'>): void {
    const worker = this.#workers.live.get(workerId);
    if (worker === undefined || worker.drainAsked === drain) return;
    if (drain) this.#drains.add(workerId);
    else this.#drains.delete(workerId);
    worker.drainAsked = drain;
    this.#workers.refresh(worker);
    if (drain && worker.outstanding === 0) this.#effects.push({ type: 'drained', workerId });
  }

  #blobMissing(workerId: string, hash: string, now: number): void {
    const worker = this.#workers.live.get(workerId);
    if (worker === undefined) return;
    if (this.#options.holdsBlob?.(hash) ?? true) {
      worker.addBlob(hash);
      this.#effects.outbox(worker).blobs.push(hash);
      return;
    }
    for (const entry of worker.leases.values()) {
      if (!entry.task.commons.includes(hash) || entry.worker !== worker) continue;
      const reason = 'it was released or is too large';
      const task = entry.of ?? entry;
      this.#tasks.settle(task, now, 'the dispatcher');
      this.#tasks.fail(task, 'FAILED', dispatcherErrors.BLOB_UNAVAILABLE({ name: task.task.name, hash, reason }));
    }
  }

  #tick(now: number): void {
    this.#health?.tick(now);
    for (const worker of this.#workers.live.values()) {
      const silence = now - worker.lastBeat;
      if (silence > this.#leaseMs) {
        this.#silent.set(worker.id, worker.registration);
        // If it is only slow, it need not finish what others are given now.
        for (const entry of worker.leases.values()) this.#effects.cancelOnWorker(entry, 'its lease has expired');
        this.#loseWorker(worker, `no beat for ${Math.round(silence)} ms`, true, now);
      } else if (worker.deficitSince >= 0 && now - worker.deficitSince >= this.#resendAfterMs) {
        this.#resend(worker, now);
      }
    }
    this.#tasks.tick(now);
    if (this.#adoption.size > 0) {
      for (const { application, taskId, epoch, workerId } of this.#adoption.takeWhere(({ since }) => now - since > 2 * this.#leaseMs)) {
        this.#effects.push({ type: 'cancelOnWorker', workerId, application, taskId, epoch, reason: 'nobody has asked for it' });
      }
    }
  }

  #resend(worker: WorkerEntry, now: number): void {
    worker.deficitSince = now;
    for (const entry of worker.leases.values()) {
      if (entry.phase === 'CANCELLING' || now - entry.sentAt < this.#resendAfterMs) continue;
      entry.sentAt = now;
      this.#resent++;
      this.#effects.outbox(worker).tasks.push({ application: entry.application, epoch: entry.epoch, task: entry.task });
    }
  }

  #loseWorker(worker: WorkerEntry, reason: string, counted: boolean, now: number): void {
    this.#workers.remove(worker);
    this.#departed.push(worker.stats(false));
    if (this.#departed.length > MAX_DEPARTED) this.#departed.shift();
    worker.outbox.tasks = [];
    worker.outbox.blobs = [];
    this.#effects.push({ type: 'workerLost', workerId: worker.id, reason });
    if (counted) this.#health?.workerLost(worker, reason, now);
    if (this.#adoption.size > 0) for (const _orphan of this.#adoption.takeWhere(({ workerId }) => workerId === worker.id));
    for (const entry of worker.leases.values().reverse()) this.#tasks.loseLease(entry, `lost with ${worker.id}: ${reason}`, counted, now);
  }
}
