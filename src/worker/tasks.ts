import { encodeFailure } from '../protocol/failure.ts';
import type { HeldLease } from '../protocol/application.ts';
import type { LeasedTask } from '../protocol/messages.ts';
import type { TaskDescription, TaskState } from '../protocol/task.ts';
import type { Load } from '../registry/contract.ts';
import { workerErrors } from './errors.ts';
import type { BlobCache } from './blob-cache.ts';
import { Deque } from '../transports/deque.ts';
import { ByTask } from '../core/by-task.ts';
import { RecentAnswers } from './recent.ts';

/** A frame of tasks; acknowledged when the last of them has been answered. */
export interface Frame {
  /** Who leased them, and where it is answered: they change when another dispatcher takes over. */
  sender: string;
  replyTo: string;
  /** One of its tasks is done with. */
  settle(): void;
}

/** A lease this worker holds. STARVED: blobs are missing. BLOCKED: an earlier lease of the same task still runs here. */
export interface HeldTask {
  readonly leased: LeasedTask;
  readonly frame: Frame;
  phase: 'STARVED' | 'BLOCKED' | 'QUEUED' | 'RUNNING' | 'ENDED';
  /** Blobs it waits for. */
  missing: Set<string> | undefined;
  /** What its runner was given; by it the runner knows it. */
  given: TaskDescription | undefined;
  /** Why its runner was told to end it. */
  killed: string | undefined;
  /** The lease that waits for this one to end, and the one it waits for itself. */
  successor: HeldTask | undefined;
  predecessor: HeldTask | undefined;
}

export interface HeldTasksOptions {
  readonly worker: string;
  /** Tasks to run now at most; asked each time. */
  readonly capacity: () => number;
  readonly blobs: BlobCache;
  /** Begin this one; `ended` is called when it has. */
  readonly run: (held: HeldTask) => void;
  readonly kill: (held: HeldTask, reason: string) => void;
  /** Say this to the dispatcher, and settle the frame when the transport has taken it. */
  readonly answer: (frame: Frame, leased: LeasedTask, state: TaskState, data: Uint8Array) => void;
  readonly ask: (replyTo: string, hash: string) => void;
}

const MAX_ANSWERS = 4096;
const MAX_ANSWER_BYTES = 8_388_608;

/**
 * The leases of a worker, without I/O: which run, which wait and for what.
 *
 * IDEMPOTENCY: a lease is known by (application, task, epoch). One that comes again while it is held is dropped; one that
 * has ended is answered again. A newer epoch of a task ends the older one here and begins when that has stopped, so that
 * two attempts of one task never run side by side on one worker; an older epoch than one seen is dropped: its lease is over.
 */
export class HeldTasks {
  readonly #options: HeldTasksOptions;
  /** Newest lease of each task. */
  readonly #held = new ByTask<HeldTask>();
  /** In the order they were admitted; those that have ended since are passed over. */
  readonly #queue = new Deque<HeldTask>();
  readonly #starving = new Map<string, Set<HeldTask>>();
  readonly #recent = new RecentAnswers(MAX_ANSWERS, MAX_ANSWER_BYTES);
  #running = 0;
  #waiting = 0;
  #drained: string | undefined;

  constructor(options: HeldTasksOptions) {
    this.#options = options;
  }

  get load(): Load {
    return { running: this.#running, queued: this.#waiting, draining: this.#drained !== undefined };
  }

  offer(leased: LeasedTask, frame: Frame): void {
    const { application, epoch, task } = leased;
    const known = this.#held.get(application, task.taskId);
    const answered = this.#recent.get(application, task.taskId);
    const latest = Math.max(known?.leased.epoch ?? 0, answered?.epoch ?? 0);
    if (epoch < latest || known?.leased.epoch === epoch) {
      frame.settle();
      return;
    }
    if (answered?.epoch === epoch) {
      this.#options.answer(frame, leased, answered.state, answered.data);
      return;
    }
    if (this.#drained !== undefined) {
      this.#options.answer(frame, leased, 'LOST', this.#returned(leased, this.#drained));
      return;
    }
    const held: HeldTask = {
      leased,
      frame,
      phase: 'STARVED',
      missing: undefined,
      given: undefined,
      killed: undefined,
      successor: undefined,
      predecessor: known,
    };
    this.#held.set(application, task.taskId, held);
    this.#waiting++;
    if (known === undefined) return this.#admit(held);
    held.phase = 'BLOCKED';
    known.successor = held;
    this.#end(known, 'leased again under a newer epoch');
  }

  blobArrived(hash: string): void {
    const starving = this.#starving.get(hash);
    if (starving === undefined) return;
    this.#starving.delete(hash);
    for (const held of starving) {
      held.missing?.delete(hash);
      // Others of its blobs may have been evicted while it waited for this one.
      if (held.missing?.size === 0 && held.phase === 'STARVED') this.#admit(held);
    }
  }

  /** Asks again for what is missing: questions and answers may be lost. */
  askAgain(): void {
    for (const [hash, starving] of this.#starving) {
      for (const replyTo of new Set([...starving].map((held) => held.frame.replyTo))) this.#options.ask(replyTo, hash);
    }
  }

  cancel(application: string, taskId: number, epoch: number, reason: string): void {
    const held = this.#held.get(application, taskId);
    if (held?.leased.epoch === epoch) this.#end(held, reason);
  }

  /** A runner is done with it. What ends after it was answered for otherwise is ignored. */
  ended(held: HeldTask, state: TaskState, data: Uint8Array): void {
    if (held.phase !== 'RUNNING') return;
    this.#finish(held, state, data);
    this.start();
  }

  /** Leases of dispatchers that led before are the new leader's now; gives them. */
  reroute(isFormer: (dispatcher: string) => boolean, leader: string, queue: string): HeldLease[] {
    const leases: HeldLease[] = [];
    for (const newest of this.#held.values()) {
      for (let held: HeldTask | undefined = newest; held !== undefined; held = held.predecessor) {
        if (held.frame.sender !== leader && !isFormer(held.frame.sender)) continue;
        held.frame.sender = leader;
        held.frame.replyTo = queue;
        if (held !== newest) continue;
        const { application, epoch, task } = held.leased;
        leases.push({ application, taskId: task.taskId, epoch });
      }
    }
    return leases;
  }

  /** Everything of a dispatcher that has gone: ended, and nobody told. */
  forget(dispatcher: string): void {
    for (const newest of [...this.#held.values()]) {
      for (let held: HeldTask | undefined = newest; held?.frame.sender === dispatcher; held = held.predecessor) {
        if (held.phase === 'RUNNING') this.#kill(held, 'its dispatcher has gone');
        this.#remove(held);
        held.frame.settle();
      }
    }
    this.start();
  }

  /** Takes nothing more, and returns what has not begun. */
  drain(reason: string): void {
    this.#drained ??= reason;
    for (const held of [...this.#held.values()]) if (held.phase !== 'RUNNING') this.#return(held, reason);
  }

  /** Returns even what runs. */
  abandon(reason: string): void {
    this.#drained ??= reason;
    for (const newest of [...this.#held.values()]) {
      for (let held: HeldTask | undefined = newest; held !== undefined; held = held.predecessor) {
        if (held.phase === 'RUNNING') this.#kill(held, reason);
        this.#return(held, reason);
      }
    }
  }

  /** Begins what may begin. */
  start(): void {
    const capacity = this.#options.capacity();
    while (this.#running < capacity) {
      const held = this.#queue.shift();
      if (held === undefined) return;
      if (held.phase !== 'QUEUED') continue;
      held.phase = 'RUNNING';
      this.#waiting--;
      this.#running++;
      this.#options.run(held);
    }
  }

  /** Queues it when all its blobs are here (which then stay until it ends), else asks for them. */
  #admit(held: HeldTask): void {
    const { blobs, ask } = this.#options;
    const { commons } = held.leased.task;
    let { missing } = held;
    for (const hash of commons) {
      if (blobs.has(hash)) continue;
      missing ??= held.missing = new Set();
      missing.add(hash);
      let starving = this.#starving.get(hash);
      if (starving === undefined) this.#starving.set(hash, (starving = new Set()));
      starving.add(held);
      ask(held.frame.replyTo, hash);
    }
    if (missing !== undefined && missing.size > 0) {
      held.phase = 'STARVED';
      return;
    }
    for (const hash of commons) blobs.pin(hash);
    held.phase = 'QUEUED';
    this.#queue.push(held);
  }

  #end(held: HeldTask, reason: string): void {
    if (held.phase === 'RUNNING') {
      this.#kill(held, reason);
      return;
    }
    this.#finish(held, 'KILLED', encodeFailure(workerErrors.CANCELLED({ name: held.leased.task.name, reason })));
    this.start();
  }

  #kill(held: HeldTask, reason: string): void {
    if (held.killed !== undefined) return;
    held.killed = reason;
    this.#options.kill(held, reason);
  }

  #return(held: HeldTask, reason: string): void {
    this.#finish(held, 'LOST', this.#returned(held.leased, reason));
  }

  #returned(leased: LeasedTask, reason: string): Uint8Array {
    return encodeFailure(workerErrors.DRAINED({ name: leased.task.name, worker: this.#options.worker, reason }));
  }

  #finish(held: HeldTask, state: TaskState, data: Uint8Array): void {
    this.#remove(held);
    const { application, epoch, task } = held.leased;
    this.#recent.add(application, task.taskId, { epoch, state, data });
    this.#options.answer(held.frame, held.leased, state, data);
  }

  #remove(held: HeldTask): void {
    if (held.phase === 'RUNNING') this.#running--;
    else this.#waiting--;
    const { application, task } = held.leased;
    if (held.phase === 'RUNNING' || held.phase === 'QUEUED') for (const hash of task.commons) this.#options.blobs.unpin(hash);
    if (held.missing !== undefined) this.#starvesNoMore(held, held.missing);
    held.phase = 'ENDED';
    const { successor, predecessor } = held;
    if (this.#held.get(application, task.taskId) === held) {
      // What still runs must be found when it is cancelled, or leased yet again.
      if (predecessor === undefined) this.#held.delete(application, task.taskId);
      else this.#held.set(application, task.taskId, predecessor);
    }
    if (predecessor !== undefined) predecessor.successor = successor;
    if (successor === undefined) return;
    successor.predecessor = predecessor;
    if (predecessor === undefined) this.#admit(successor);
  }

  #starvesNoMore(held: HeldTask, missing: ReadonlySet<string>): void {
    for (const hash of missing) {
      const starving = this.#starving.get(hash);
      starving?.delete(held);
      if (starving?.size === 0) this.#starving.delete(hash);
    }
  }
}
