import { hostname } from 'node:os';
import { atMost, systemClock, type Clock, type Timer } from '../core/clock.ts';
import { SparkProxyError } from '../core/errors.ts';
import { IdMap } from '../core/id-map.ts';
import { newId } from '../core/ids.ts';
import { createLogger, type Logger } from '../core/logger.ts';
import { TERM_EPOCHS } from '../protocol/application.ts';
import { encodeFailure } from '../protocol/failure.ts';
import { tasksOf } from '../protocol/handover.ts';
import { decodeBlob, decodeCancel, decodeDrain, MESSAGE, type LeasedTask } from '../protocol/messages.ts';
import { EMPTY_BYTES, type TaskDescription, type TaskState } from '../protocol/task.ts';
import { encodeHolding, encodeTerm, SERVICE_MESSAGE } from '../protocol/service-messages.ts';
import type { Announcement, Load, RegisterCenter } from '../registry/contract.ts';
import { LeaderTracker, type Leader } from '../registry/leader.ts';
import type { Delivery, Transport } from '../transports/contract.ts';
import { BlobCache } from './blob-cache.ts';
import type { BlobSource, TaskRunner } from './contract.ts';
import { workerErrors } from './errors.ts';
import { StatusOutbox, type OutgoingStatus } from './status-outbox.ts';
import { HeldTasks, type Frame, type HeldTask } from './tasks.ts';

export interface WorkerHostOptions {
  readonly transport: Transport;
  readonly registry: RegisterCenter;
  /** One of each kind; the host closes them. */
  readonly runners: readonly TaskRunner[];
  /** Tasks run at once; a runner may ask for more while its tasks are short (`TaskRunner.capacity`). */
  readonly slots: number;
  /** Unique per process start. @defaultValue `worker-` and 12 random hex digits */
  readonly id?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly host?: string;
  readonly version?: string;
  /** Most bytes of blobs kept, beyond those of tasks at work. @defaultValue 268435456 */
  readonly blobBytes?: number;
  /** How long tasks may go on running after `drain`. @defaultValue 30000 */
  readonly drainGraceMs?: number | (() => number);
  /** How often the register center is told the load, and missing blobs are asked for again, milliseconds. @defaultValue 500 */
  readonly loadIntervalMs?: number;
  /** When its dispatcher is gone, tasks run on for this long for the one that takes over, milliseconds. @defaultValue 30000 */
  readonly takeoverMs?: number;
  /** Without a connection for this long, `onOrphaned` is called. @defaultValue 30000 */
  readonly orphanedAfterMs?: number;
  /** The connection stays lost: usually a reason to end the process. The host goes on trying until it is closed. */
  readonly onOrphaned?: (reason: Error | undefined) => void;
  /** @defaultValue systemClock */
  readonly clock?: Clock;
  readonly logger?: Logger;
}

export interface WorkerHost {
  readonly id: string;
  load(): Load;
  /** Takes nothing more, returns what has not begun, lets the rest finish within the grace, then leaves and closes. Idempotent. */
  drain(reason?: string): Promise<void>;
  /** Ends what runs and leaves at once; what it held is run elsewhere. Idempotent. */
  close(): Promise<void>;
  /** Resolves when it has drained or closed, whoever asked for it. */
  readonly closed: Promise<void>;
}

/** A task that has run for so long is said to be running: by then most short ones have ended, and one word is enough. */
const RUNNING_MS = 5;
/** How long leaving waits for the last frames to be taken, and then for its good-byes. */
const FLUSH_MS = 2000;
/** Frames held; credit keeps it to a fraction of this, so that cancels are never stuck behind tasks. */
const MIN_PREFETCH = 1024;

/**
 * A worker: runs what dispatchers lease it, up to `slots` tasks at once or as many as its runners ask for.
 *
 * LEASES are renewed by the beats of this process's main thread. Tasks run in threads of their runners, so a busy task
 * never delays a beat; a runner that blocked this thread would lose the leases of all its neighbours.
 * DELIVERY: a frame of tasks is acknowledged when each of its tasks has ended and the transport has taken the answers.
 * OWNERSHIP: the payload a runner is given has a buffer of its own, which it may transfer to a thread.
 */
export async function createWorkerHost(options: WorkerHostOptions): Promise<WorkerHost> {
  const worker = new Worker(options);
  await worker.open();
  return worker;
}

class Worker implements WorkerHost {
  readonly id: string;
  readonly closed: Promise<void>;
  readonly #options: WorkerHostOptions;
  readonly #queue: string;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #runners = new Map<string, TaskRunner>();
  readonly #blobs: BlobCache;
  readonly #blobSource: BlobSource;
  readonly #outbox: StatusOutbox;
  readonly #tasks: HeldTasks;
  readonly #leaders: LeaderTracker;
  /** Dispatchers that led and are gone, and whose leases wait for the next. */
  readonly #orphaned = new Map<string, Timer>();
  readonly #ends: (() => unknown)[] = [];
  /** Frames of tasks that are not done with, by a number. */
  readonly #deliveries = new IdMap<Delivery>();
  #received = 0;
  #started: HeldTask[] = [];
  #telling: Timer | undefined;
  #announcement: Announcement | undefined;
  #whenIdle: (() => void) | undefined;
  #draining: Promise<void> | undefined;
  #closing: Promise<void> | undefined;
  #resolveClosed: () => void = () => undefined;

  constructor(options: WorkerHostOptions) {
    if (!(Number.isInteger(options.slots) && options.slots > 0))
      throw workerErrors.BAD_OPTION({ option: 'slots', value: options.slots, reason: 'it must be a whole number above 0' });
    this.#options = options;
    this.id = options.id ?? newId('worker');
    this.closed = new Promise((resolve) => (this.#resolveClosed = resolve));
    this.#queue = `worker.${this.id}`;
    this.#clock = options.clock ?? systemClock;
    this.#logger = options.logger ?? createLogger('worker');
    for (const runner of options.runners) {
      if (this.#runners.has(runner.kind)) throw workerErrors.DUPLICATE_KIND({ kind: runner.kind });
      this.#runners.set(runner.kind, runner);
      runner.onIdle?.(() => this.#outbox.prompt());
    }
    this.#blobs = new BlobCache(options.blobBytes ?? 268_435_456);
    // Blobs of a task at work are pinned.
    this.#blobSource = (hash) => this.#blobs.get(hash) as Uint8Array;
    this.#outbox = new StatusOutbox({
      transport: options.transport,
      clock: this.#clock,
      logger: this.#logger,
      id: this.id,
      queue: this.#queue,
      tooLarge: ({ application, epoch, update, frame }, task, cause) => {
        const data = encodeFailure(workerErrors.RESULT_TOO_LARGE({ name: task.name }, cause));
        return { application, epoch, update: { ...update, state: 'FAILED', data }, task: undefined, frame };
      },
    });
    this.#leaders = new LeaderTracker({
      onChange: (leader) => {
        if (leader !== undefined) this.#follow(leader);
      },
      onOutranked: (stale, highest) => this.#outbox.say(stale.queue, SERVICE_MESSAGE.higherTerm, encodeTerm(highest)),
    });
    this.#tasks = new HeldTasks({
      worker: this.id,
      capacity: () => this.#capacity(),
      blobs: this.#blobs,
      run: (held) => this.#run(held),
      kill: (held, reason) => {
        if (held.given !== undefined) this.#runners.get(held.given.kind)?.kill(held.given, reason);
      },
      answer: (frame, leased, state, data) => this.#outbox.add(frame.replyTo, this.#status(leased, state, data, frame)),
      ask: (replyTo, hash) => this.#outbox.askFor(replyTo, hash),
    });
  }

  async open(): Promise<void> {
    const { transport, registry, slots, labels = {}, host = hostname(), version = '', loadIntervalMs = 500 } = this.#options;
    try {
      transport.setActive(true);
      this.#ends.push(() => transport.setActive(false));
      this.#ends.push(() => this.#telling?.cancel());
      this.#ends.push(this.#watchConnection());
      const subscription = await transport.consume(this.#queue, { prefetch: Math.max(MIN_PREFETCH, slots * 8) }, (delivery) => this.#receive(delivery));
      this.#ends.push(() => subscription.cancel());
      const kinds = [...this.#runners.keys()];
      this.#announcement = await registry.announce({ kind: 'worker', id: this.id, host, pid: process.pid, version, slots, kinds, labels, queue: this.#queue });
      this.#ends.push(() => this.#announcement?.leave());
      this.#ends.push(
        await registry.watch('dispatcher', (event) => {
          this.#leaders.handle(event);
          if (event.type === 'left') this.#dispatcherLeft(event.id);
          else if (event.type === 'beat' && event.id === this.#leaders.current?.id) this.#outbox.leaderBeat();
        }),
      );
      this.#ends.push(() => this.#orphaned.forEach((timer) => timer.cancel()));
      const beating = this.#clock.every(loadIntervalMs, () => {
        this.#announcement?.update(this.load());
        this.#tasks.askAgain();
      });
      this.#ends.push(() => beating.cancel());
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  load(): Load {
    const load = this.#tasks.load;
    return this.#draining === undefined && this.#closing === undefined ? load : { ...load, draining: true };
  }

  drain(reason = 'it was asked to stop'): Promise<void> {
    this.#draining ??= this.#drain(reason);
    return this.#draining;
  }

  close(): Promise<void> {
    this.#closing ??= this.#leave('it was closed');
    return this.#closing;
  }

  async #drain(reason: string): Promise<void> {
    this.#logger.info('draining', { reason });
    this.#tasks.drain(reason);
    this.#announcement?.update({ ...this.load(), draining: true });
    let timer: Timer | undefined;
    await new Promise<void>((resolve) => {
      this.#whenIdle = resolve;
      const { drainGraceMs = 30_000 } = this.#options;
      timer = this.#clock.after(typeof drainGraceMs === 'function' ? drainGraceMs() : drainGraceMs, resolve, { background: true });
      this.#checkIdle();
    });
    timer?.cancel();
    this.#closing ??= this.#leave(reason);
    await this.#closing;
  }

  async #leave(reason: string): Promise<void> {
    this.#whenIdle?.();
    this.#tasks.abandon(reason);
    await atMost(this.#clock, FLUSH_MS, this.#outbox.flushed());
    this.#outbox.close();
    await atMost(this.#clock, FLUSH_MS, this.#end());
    for (const runner of this.#runners.values()) await this.#attempt(() => runner.close());
    this.#resolveClosed();
  }

  async #end(): Promise<void> {
    for (const end of this.#ends.splice(0).reverse()) await this.#attempt(end);
    for (const delivery of this.#deliveries.values()) await this.#attempt(() => delivery.nack());
  }

  /** Closing goes on whatever fails: a closed transport, a dead hub. */
  async #attempt(step: () => unknown): Promise<void> {
    try {
      await step();
    } catch (error) {
      this.#logger.debug('while closing', { error: (error as Error).message });
    }
  }

  #watchConnection(): () => void {
    let timer: Timer | undefined;
    let connected = true;
    const off = this.#options.transport.onConnection((state, reason) => {
      // Each failed attempt to come back says so again: only the first word counts.
      if ((state === 'connected') === connected) return;
      connected = state === 'connected';
      timer?.cancel();
      timer = undefined;
      if (connected) return;
      this.#logger.warn('the connection is lost', { error: reason?.message ?? '' });
      timer = this.#clock.after(this.#options.orphanedAfterMs ?? 30_000, () => this.#options.onOrphaned?.(reason), { background: true });
    });
    return () => {
      timer?.cancel();
      off();
    };
  }

  /** Its leases, and those of who led before it: a new leader is told of them, and adopts what is still wanted. */
  #follow({ id, queue }: Leader): void {
    for (const [former, timer] of this.#orphaned) {
      timer.cancel();
      this.#outbox.reroute(`dispatcher.${former}`, queue);
    }
    this.#orphaned.clear();
    this.#outbox.follow(queue);
    const leases = this.#tasks.reroute((sender) => this.#leaders.isDeposed(sender), id, queue);
    this.#outbox.say(queue, SERVICE_MESSAGE.holding, encodeHolding(leases));
  }

  #dispatcherLeft(id: string): void {
    if (!this.#leaders.hasLed(id)) return this.#forget(id);
    // Deposed: what was its is another's already, or will be.
    if (this.#leaders.isDeposed(id) && this.#leaders.current !== undefined) return this.#outbox.drop(`dispatcher.${id}`);
    this.#outbox.hold(`dispatcher.${id}`);
    const wait = this.#options.takeoverMs ?? 30_000;
    const giveUp = (): void => {
      this.#orphaned.delete(id);
      this.#forget(id);
    };
    this.#orphaned.get(id)?.cancel();
    this.#orphaned.set(id, this.#clock.after(wait, giveUp, { background: true }));
  }

  #forget(id: string): void {
    this.#outbox.drop(`dispatcher.${id}`);
    this.#tasks.forget(id);
    this.#checkIdle();
  }

  #receive(delivery: Delivery): void {
    const { envelope } = delivery;
    // A leader that was stopped and does not know yet that another leads: nothing it says counts.
    if (this.#leaders.isDeposed(envelope.sender)) {
      delivery.ack();
      return;
    }
    try {
      switch (envelope.type) {
        case MESSAGE.tasks:
          return this.#receiveTasks(delivery);
        case MESSAGE.blob: {
          const { hash, bytes } = decodeBlob(envelope.body);
          this.#blobs.add(hash, bytes);
          this.#tasks.blobArrived(hash);
          this.#tasks.start();
          break;
        }
        case MESSAGE.cancel:
          for (const { application, taskId, epoch, reason } of decodeCancel(envelope.body)) this.#tasks.cancel(application, taskId, epoch, reason);
          break;
        case MESSAGE.drain:
          void this.drain(decodeDrain(envelope.body));
          break;
        default:
          this.#logger.warn('a frame of unknown type was ignored', { type: envelope.type, sender: envelope.sender });
      }
    } catch (error) {
      this.#logger.warn('a frame was refused', { type: envelope.type, sender: envelope.sender, error: (error as Error).message });
    }
    delivery.ack();
  }

  #receiveTasks(delivery: Delivery): void {
    const number = ++this.#received;
    const { sender, replyTo } = delivery.envelope;
    const tasks = tasksOf(delivery.envelope);
    // One more than its tasks, so that it is not acknowledged while they are being looked at.
    let left = tasks.length + 1;
    const frame: Frame = {
      sender,
      replyTo,
      settle: () => {
        if (--left > 0) return;
        this.#deliveries.delete(number);
        delivery.ack();
      },
    };
    this.#deliveries.set(number, delivery);
    for (const leased of tasks) this.#tasks.offer(leased, frame);
    frame.settle();
    this.#tasks.start();
  }

  #run(held: HeldTask): void {
    const { leased, frame } = held;
    if (leased.epoch % TERM_EPOCHS > 1) {
      // It was lost before, perhaps by its own doing: the dispatcher hears that it begins here before it can do harm.
      this.#outbox.add(frame.replyTo, this.#status(leased, 'RUNNING', EMPTY_BYTES, undefined));
      void this.#outbox.flushed().then(() => this.#begin(held));
      return;
    }
    this.#started.push(held);
    this.#telling ??= this.#clock.after(RUNNING_MS, () => this.#sayStarted(), { background: true });
    this.#begin(held);
  }

  #begin(held: HeldTask): void {
    if (held.killed !== undefined) {
      this.#ended(held, 'KILLED', encodeFailure(workerErrors.CANCELLED({ name: held.leased.task.name, reason: held.killed })));
      return;
    }
    const { task } = held.leased;
    held.given = task;
    this.#attemptTask(task).then(
      (data) => this.#ended(held, 'FINISHED', data),
      (error: unknown) => {
        const killed = held.killed !== undefined || (SparkProxyError.is(error) && error.code === 'SP_TASK_KILLED');
        this.#ended(held, killed ? 'KILLED' : 'FAILED', encodeFailure(error));
      },
    );
  }

  #attemptTask(task: TaskDescription): Promise<Uint8Array> {
    const runner = this.#runners.get(task.kind);
    if (runner === undefined) {
      const known = [...this.#runners.keys()].join(', ') || 'nothing';
      return Promise.reject(workerErrors.UNKNOWN_KIND({ name: task.name, kind: task.kind, worker: this.id, known }));
    }
    try {
      return runner.run(task, this.#blobSource);
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  /** Tasks given to runners at a time: what they ask for, and never less than there are slots. */
  #capacity(): number {
    let capacity = this.#options.slots;
    for (const runner of this.#runners.values()) if (runner.capacity !== undefined && runner.capacity > capacity) capacity = runner.capacity;
    return capacity;
  }

  #ended(held: HeldTask, state: TaskState, data: Uint8Array): void {
    this.#tasks.ended(held, state, data);
    this.#checkIdle();
  }

  #checkIdle(): void {
    if (this.#whenIdle !== undefined && this.#tasks.load.running === 0) this.#whenIdle();
  }

  /** RUNNING of what still runs a little later; what has ended meanwhile needs no such word. */
  #sayStarted(): void {
    this.#telling = undefined;
    const started = this.#started;
    this.#started = [];
    for (const { phase, frame, leased } of started) {
      if (phase === 'RUNNING') this.#outbox.add(frame.replyTo, this.#status(leased, 'RUNNING', EMPTY_BYTES, undefined));
    }
  }

  #status({ application, epoch, task }: LeasedTask, state: TaskState, data: Uint8Array, frame: Frame | undefined): OutgoingStatus {
    const runMs = state === 'FINISHED' ? this.#runners.get(task.kind)?.runMs?.(task) : undefined;
    const update = { taskId: task.taskId, state, executorId: this.id, data, runMs };
    return { application, epoch, task: frame === undefined ? undefined : task, update, frame };
  }
}
