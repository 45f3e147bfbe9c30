import type { Random } from '../core/ids.ts';
import type { StatusUpdate, TaskDescription, TaskState } from '../protocol/task.ts';
import { Backoff, backoffMs } from './backoff.ts';
import { choose, isElsewhere } from './choose.ts';
import type { ParkedTask, Submission } from './contract.ts';
import type { Effects } from './effects.ts';
import { dispatcherErrors } from './errors.ts';
import type { HealthTracker } from './health.ts';
import type { TaskLedger } from './ledger.ts';
import type { DispatcherStateOptions } from './options.ts';
import { ParkingLot } from './parking.ts';
import { costOf, PLACE, type QueueLimits } from './queue-cost.ts';
import { Speculation } from './speculation.ts';
import { MAX_STORY, TaskEntry } from './task-entry.ts';
import { forgerOf, Verification } from './verification.ts';
import type { KindPool, WorkerEntry, WorkerPool } from './workers.ts';

/** Tasks that a selector left waiting, passed over in one event, so that it costs no walk through the whole queue. */
const MAX_DECLINED = 32;

/** Workers lost under a task that had been lost before, until it is not handed back to the application any more. */
const SUSPECT_DEATHS = 1;

export interface LifecycleParts {
  readonly options: DispatcherStateOptions;
  readonly ledger: TaskLedger;
  readonly workers: WorkerPool;
  readonly effects: Effects;
  readonly health: HealthTracker | undefined;
  readonly leaseMs: number;
  readonly queue: QueueLimits;
  readonly random: Random;
}

/**
 * The life of a task, from its submission to its one terminal report: waiting, leases, copies, checks of its result, loss,
 * backoff, parking. Part of DispatcherState, which knows workers; this knows what becomes of tasks.
 *
 * COPIES: a slow task may have one copy, leased elsewhere under an epoch of its own. Whoever finishes first settles the task,
 * and the lease of the other is ended and fenced; if one is lost or fails, the task goes on with the other's lease.
 * VERIFICATION: a result that needs a second opinion is kept as a vote, and the task waits for another worker.
 */
export class TaskLifecycle {
  readonly verification: Verification;
  readonly counts = {
    ...{ submitted: 0, finished: 0, failed: 0, retried: 0, handedBack: 0, parked: 0, adopted: 0 },
    ...{ speculated: 0, speculationWon: 0, verified: 0, replicated: 0, disagreements: 0 },
  };
  readonly #options: DispatcherStateOptions;
  readonly #ledger: TaskLedger;
  readonly #workers: WorkerPool;
  readonly #effects: Effects;
  readonly #health: HealthTracker | undefined;
  readonly #leaseMs: number;
  readonly #queue: QueueLimits;
  readonly #speculation = new Speculation();
  readonly #parking = new ParkingLot();
  readonly #backoff = new Backoff();
  readonly #cancelling = new Set<TaskEntry>();
  /** Tasks whose result waits for that of another worker. */
  readonly #unchecked = new Set<TaskEntry>();
  #waiting = 0;
  #seenVersion = 0;

  constructor({ options, ledger, workers, effects, health, leaseMs, queue, random }: LifecycleParts) {
    this.#options = options;
    this.#ledger = ledger;
    this.#workers = workers;
    this.#effects = effects;
    this.#health = health;
    this.#leaseMs = leaseMs;
    this.#queue = queue;
    this.verification = new Verification(options.comparators ?? new Map(), random);
  }

  parked(): ParkedTask[] {
    return this.#parking.list();
  }

  /** Undefined: it is live already. */
  submit(submission: Submission): TaskEntry | undefined {
    const entry = this.#ledger.add(submission);
    if (entry === undefined) return undefined;
    this.counts.submitted++;
    if (entry.owner.profile.speculation !== undefined) this.#speculation.submitted(entry);
    this.#enqueue(entry, false);
    return entry;
  }

  /** Its worker says that it runs. */
  started(entry: TaskEntry, worker: WorkerEntry, update: StatusUpdate, now: number): void {
    if (entry.phase !== 'LEASED') return;
    entry.transition('RUNNING', now, `started by ${worker.id}`);
    entry.startedAt = now;
    if (entry.owner.profile.speculation !== undefined) this.#speculation.started(entry);
    if (entry.of === undefined) this.#effects.report(entry.application, update);
  }

  /** Time has passed. */
  tick(now: number): void {
    for (const entry of this.#cancelling) {
      if (now - entry.sentAt < this.#leaseMs) continue;
      this.#effects.cancelOnWorker(entry, 'cancelled');
      this.loseLease(entry, 'no answer to cancel', false, now);
    }
    for (const task of [...this.#speculation.slow(now)]) this.#copy(task);
    for (const task of this.#unchecked) this.#checkPatience(task, now);
  }

  /** Leases what can be leased. */
  dispatch(now: number): void {
    if (this.#backoff.size > 0) this.#wake(now);
    if (this.#waiting > 0) for (const pool of this.#workers.pools.values()) this.#dispatch(pool, now);
  }

  /** An operator's word on a parked task. */
  command(application: string, taskId: number, command: 'retry' | 'drop', now: number): void {
    if (command === 'retry' && this.#ledger.find(application, taskId)?.phase !== 'PARKED') return;
    const task = this.#parking.remove(application, taskId);
    if (task === undefined) return;
    if (command === 'drop') return this.#giveUp(task, now);
    task.transition('WAITING', now, 'an operator asked for it');
    task.lostOn = [];
    task.diedUnderIt = 0;
    this.#enqueue(task, true);
  }

  /** The application has gone: nobody will ask for its parked tasks. */
  forgetApplication(application: string): void {
    this.#parking.dropApplication(application);
  }

  #enqueue(entry: TaskEntry, back: boolean): void {
    const pool = this.#workers.pool(entry.task.kind, entry.owner.profile.required);
    entry.pool = pool;
    if (back) pool.order.putBack(entry);
    else pool.order.add(entry);
    this.#waiting++;
  }

  #dequeue(entry: TaskEntry): void {
    if (entry.due > 0) {
      entry.due = 0;
      return;
    }
    entry.pool?.order.remove(entry);
    this.#waiting--;
  }

  /** The holder of a lease says how it ended. */
  ended(entry: TaskEntry, worker: WorkerEntry, update: StatusUpdate, now: number): void {
    const task = entry.of ?? entry;
    const { speculation, verify } = task.owner.profile;
    const isCancelled = entry.phase === 'CANCELLING';
    const isGood = update.state === 'FINISHED';
    if (isGood) {
      worker.finished++;
      if (update.runMs !== undefined) task.owner.runTimes.learn(task.task.commons, update.runMs);
    } else worker.failed++;
    this.#endLease(entry);
    if (isGood && speculation !== undefined) this.#speculation.finished(entry, now - (entry.phase === 'RUNNING' ? entry.startedAt : entry.leasedAt));
    if (update.state === 'FAILED' && verify !== undefined) this.#doubtForger(update, now);
    if (!isCancelled) {
      // One of two has failed: the other may still succeed.
      if (!isGood && (entry.of ?? entry.copy)?.worker !== undefined) return this.#continue(entry, now, `failed on ${worker.id}`);
      if (isGood && verify !== undefined && !this.#isRight(entry, task, worker, update, now)) return;
    }
    if (isGood && entry.of !== undefined) this.counts.speculationWon++;
    this.settle(task, now, 'its lease');
    if (isGood && verify !== undefined && isCancelled) this.#kill(task, 'its result was not checked before');
    else this.#finish(task, update);
  }

  /** Checks a result; false: it does not settle the task (yet). */
  #isRight(entry: TaskEntry, task: TaskEntry, worker: WorkerEntry, update: StatusUpdate, now: number): boolean {
    const { application } = task;
    const { taskId } = task.task;
    const { accepted, failed, checked, wrong, disagreed } = this.verification.judge(task, worker.id, update);
    if (disagreed !== undefined) {
      this.counts.disagreements++;
      this.#effects.push({ type: 'note', note: { what: 'disagreement', application, taskId, workers: disagreed, wrong } });
      for (const id of wrong) {
        const liar = this.#workers.live.get(id);
        if (liar !== undefined) this.#health?.blame(liar, `its result of ${task.task.name} was outvoted`, now);
      }
    }
    if (accepted !== undefined) {
      if (checked) this.counts.verified++;
      return true;
    }
    if (failed) {
      this.settle(task, now, 'the dispatcher');
      const reason = `${task.votes?.length ?? 0} results, no ${task.owner.profile.verify?.quorum ?? 0} alike`;
      this.fail(task, 'FAILED', dispatcherErrors.NO_QUORUM({ name: task.task.name, quorum: task.owner.profile.verify?.quorum, reason }));
      return false;
    }
    this.counts.replicated++;
    this.#continue(entry, now, `its result is checked elsewhere than on ${worker.id}`);
    // When this was its copy's, the task's own lease may still be lost.
    this.#unchecked.add(task);
    if (task.phase === 'WAITING') task.sentAt = now;
    return false;
  }

  #doubtForger(update: StatusUpdate, now: number): void {
    const forger = forgerOf(update.data);
    if (forger === undefined) return;
    this.verification.doubt(forger);
    const worker = this.#workers.live.get(forger);
    if (worker !== undefined) this.#health?.blame(worker, 'its shuffle output is not what was verified', now);
  }

  /** This lease is over and has not ended the task: its copy goes on, or it waits again. */
  #continue(entry: TaskEntry, now: number, why: string): void {
    const { of: task, copy } = entry;
    if (task !== undefined) {
      task.copy = undefined;
      entry.transition('ENDED', now, why);
      return;
    }
    entry.transition('WAITING', now, why);
    if (copy === undefined) return this.#enqueue(entry, true);
    entry.copy = undefined;
    const worker = copy.worker;
    if (worker === undefined) this.#dequeue(copy);
    else {
      // The task takes the lease of its copy over.
      worker.leases.set(entry.sequence, entry);
      entry.worker = worker;
      entry.cost = copy.cost;
      entry.lastWorkerId = worker.id;
      entry.epoch = copy.epoch;
      entry.leasedAt = copy.leasedAt;
      entry.sentAt = copy.sentAt;
      entry.startedAt = copy.startedAt;
      entry.transition('LEASED', now, `its copy is leased to ${worker.id}`);
      this.#speculation.ended(copy);
      if (copy.phase === 'RUNNING') {
        entry.transition('RUNNING', now, 'its copy runs');
        this.#speculation.started(entry);
      }
    }
    copy.transition('ENDED', now, why);
    if (worker === undefined) this.#enqueue(entry, true);
  }

  /** Forgets a task and ends what leases it and its copy have; they are fenced. */
  settle(task: TaskEntry, now: number, by: 'its lease' | 'the dispatcher'): void {
    for (const entry of task.copy === undefined ? [task] : [task, task.copy]) {
      if (entry.worker !== undefined) {
        this.#effects.cancelOnWorker(entry, 'another attempt has ended it');
        this.#endLease(entry);
      } else if (entry !== task && entry.phase === 'WAITING') this.#dequeue(entry);
    }
    task.copy = undefined;
    this.#unchecked.delete(task);
    this.#ledger.end(task, now, by);
  }

  cancel(application: string, taskId: number, reason: string, now: number): void {
    const entry = this.#ledger.find(application, taskId);
    if (entry === undefined || entry.phase === 'CANCELLING') return;
    if (entry.phase === 'WAITING' || entry.phase === 'PARKED') {
      if (entry.phase === 'WAITING') this.#dequeue(entry);
      else this.#parking.remove(application, taskId);
      this.settle(entry, now, 'the dispatcher');
      this.#kill(entry, reason);
      return;
    }
    const { copy } = entry;
    if (copy !== undefined) {
      this.#effects.cancelOnWorker(copy, reason);
      if (copy.worker === undefined) this.#dequeue(copy);
      else this.#endLease(copy);
      entry.copy = undefined;
    }
    // Reported when the worker says that it has stopped, so that KILLED means it no longer runs; or after leaseMs without answer.
    entry.transition('CANCELLING', now, reason);
    entry.sentAt = now;
    this.#cancelling.add(entry);
    this.#effects.cancelOnWorker(entry, reason);
  }

  loseLease(entry: TaskEntry, reason: string, counted: boolean, now: number): void {
    const task = entry.of ?? entry;
    const worker = entry.worker as WorkerEntry;
    entry.lost(now, reason);
    this.#endLease(entry);
    if (entry.phase === 'CANCELLING') {
      this.settle(entry, now, 'the dispatcher');
      this.#kill(entry, reason, worker.id);
      return;
    }
    if (counted) {
      task.lostOn = [...task.lostOn, worker.id];
      // Workers say at once that a task leased again begins, so here it is known that it had.
      if (entry.phase === 'RUNNING' && task.leases > 1) {
        task.diedUnderIt++;
        this.#health?.exonerate(task);
      }
    }
    if (entry !== task) task.history = [...task.history, ...entry.history].slice(-MAX_STORY);
    if ((entry.of ?? entry.copy)?.worker !== undefined) return this.#continue(entry, now, reason);
    if (entry.copy !== undefined) {
      this.#dequeue(entry.copy);
      entry.copy = undefined;
    }
    entry.transition('WAITING', now, reason);
    if (task.votes !== undefined) task.sentAt = now;
    const { maxLeases, retryBackoffMs, retryBackoffMaxMs } = task.owner.profile;
    if (task.lostOn.length >= maxLeases) return this.#park(task, now);
    const wait = counted ? backoffMs(task.lostOn.length, retryBackoffMs, retryBackoffMaxMs) : 0;
    if (wait > 0 && this.#workers.hasHosts(task.task.kind)) this.#backoff.add(task, now + wait);
    else this.#enqueue(task, true);
  }

  #copy(task: TaskEntry): void {
    if (!task.pool?.hosts.some((worker) => isElsewhere(task, worker) && worker !== task.worker)) return;
    const copy = new TaskEntry(task.owner, task.task, task.sequence, task.epoch);
    copy.of = task;
    copy.lostOn = task.lostOn;
    task.copy = copy;
    this.counts.speculated++;
    this.#enqueue(copy, true);
  }

  /** A result that nobody else can check is not waited with for ever. */
  #checkPatience(task: TaskEntry, now: number): void {
    // Another worker has it now; if that one is lost, it waits again.
    if (task.phase !== 'WAITING') return;
    const { verify } = task.owner.profile;
    if (now - task.sentAt < (verify?.patienceMs ?? 0)) return;
    this.#dequeue(task);
    this.settle(task, now, 'the dispatcher');
    this.fail(task, 'FAILED', dispatcherErrors.NO_QUORUM({ name: task.task.name, quorum: verify?.quorum, reason: 'no other worker came to check its result' }));
  }

  /** True while it was not leased by this leader. */
  canAdopt(task: TaskEntry): boolean {
    return task.phase === 'WAITING' && task.leases === 0;
  }

  adopt(task: TaskEntry, worker: WorkerEntry, epoch: number, now: number): void {
    this.#dequeue(task);
    // What ends it is remembered as an epoch of this term.
    task.lastEpoch++;
    this.#begin(task, worker, epoch, now);
    this.counts.adopted++;
  }

  /** Out of leases: its application is told, or an operator is waited for. */
  #park(task: TaskEntry, now: number): void {
    this.counts.parked++;
    const held = task.owner.profile.poison === 'hold';
    const { told, evicted } = this.#parking.add(task, now, held);
    this.#effects.push({ type: 'note', note: { what: 'parked', task: told } });
    if (held) task.transition('PARKED', now, 'too many leases were lost');
    else this.#giveUp(task, now);
    if (evicted !== undefined) this.#giveUp(evicted, now);
  }

  #giveUp(task: TaskEntry, now: number): void {
    const error = dispatcherErrors.LEASES_EXHAUSTED({ name: task.task.name, count: task.lostOn.length, story: task.story(now) });
    this.settle(task, now, 'the dispatcher');
    this.fail(task, 'FAILED', error);
  }

  /** Tasks whose backoff is over, and those that nobody is left to run: they are handed back. */
  #wake(now: number): void {
    for (let task = this.#backoff.take(now); task !== undefined; task = this.#backoff.take(now)) this.#enqueue(task, true);
    if (this.#seenVersion === this.#workers.version) return;
    this.#seenVersion = this.#workers.version;
    for (const task of this.#backoff.takeWhere((waiting) => !this.#workers.hasHosts(waiting.task.kind))) this.#enqueue(task, true);
  }

  /** Sends what can be sent, or hands back what nobody could run. */
  #dispatch(pool: KindPool, now: number): void {
    const { order, ready } = pool;
    if (order.size === 0) return;
    if (pool.hosts.length === 0 && this.#health?.relent(pool.kind) !== true) {
      // Somebody runs this kind, only not where it must run: it waits for such a worker.
      if (pool.placement === undefined || !this.#workers.hasHosts(pool.kind)) this.#handBack(pool, now);
      return;
    }
    let declined: TaskEntry[] | undefined;
    while (ready.length > 0 && (declined === undefined || declined.length < MAX_DECLINED)) {
      const entry = order.take();
      if (entry === undefined) break;
      const worker = choose(this.#options.selector, entry, pool, now, this.#options.onFault);
      if (worker === undefined) (declined ??= []).push(entry);
      else this.#lease(entry, worker, now);
    }
    if (declined !== undefined) for (let i = declined.length - 1; i >= 0; i--) order.putBack(declined[i] as TaskEntry);
  }

  #lease(entry: TaskEntry, worker: WorkerEntry, now: number): void {
    if (entry.lastWorkerId !== '') this.counts.retried++;
    this.#waiting--;
    this.#begin(entry, worker, ++(entry.of ?? entry).lastEpoch, now);
    this.#effects.send(worker, entry);
  }

  #begin(entry: TaskEntry, worker: WorkerEntry, epoch: number, now: number): void {
    entry.epoch = epoch;
    entry.worker = worker;
    entry.lastWorkerId = worker.id;
    entry.leasedAt = now;
    entry.sentAt = now;
    entry.transition('LEASED', now, 'leased');
    // One that was lost keeps no company: should it be what kills workers, few others are lost with it.
    entry.cost = (entry.of ?? entry).leases++ === 0 ? costOf(entry.task, entry.owner.runTimes, this.#queue) : PLACE;
    this.#workers.grant(worker, entry);
    entry.pool?.order.leased?.(entry);
  }

  #endLease(entry: TaskEntry): void {
    const worker = entry.worker as WorkerEntry;
    entry.worker = undefined;
    this.#cancelling.delete(entry);
    this.#workers.release(worker, entry);
    entry.pool?.order.released?.(entry);
    if (entry.owner.profile.speculation !== undefined) this.#speculation.ended(entry);
    if (worker.drainAsked && worker.outstanding === 0 && this.#workers.live.has(worker.id)) this.#effects.push({ type: 'drained', workerId: worker.id });
  }

  #handBack(pool: KindPool, now: number): void {
    const byApplication = new Map<string, TaskDescription[]>();
    for (let entry = pool.order.take(); entry !== undefined; entry = pool.order.take()) {
      this.#waiting--;
      // A copy waits here while its task runs on a worker that drains.
      if (entry.of !== undefined) {
        entry.of.copy = undefined;
        continue;
      }
      // A second worker died under it: inside it may take the application along.
      if (entry.diedUnderIt >= SUSPECT_DEATHS) {
        this.#park(entry, now);
        continue;
      }
      this.counts.handedBack++;
      this.settle(entry, now, 'the dispatcher');
      let tasks = byApplication.get(entry.application);
      if (tasks === undefined) byApplication.set(entry.application, (tasks = []));
      tasks.push(entry.task);
    }
    for (const [application, tasks] of byApplication) this.#effects.push({ type: 'handBack', application, tasks });
    this.#workers.dropIfIdle(pool);
  }

  #finish(task: TaskEntry, update: StatusUpdate): void {
    if (update.state === 'FINISHED') this.counts.finished++;
    else this.counts.failed++;
    this.#effects.report(task.application, update);
  }

  fail(task: TaskEntry, state: TaskState, error: Error, executorId?: string): void {
    this.counts.failed++;
    this.#effects.failure(task, state, error, executorId);
  }

  #kill(task: TaskEntry, reason: string, executorId?: string): void {
    this.fail(task, 'KILLED', dispatcherErrors.CANCELLED({ name: task.task.name, reason }), executorId);
  }
}
