import { atMost, systemClock, type Clock } from '../core/clock.ts';
import { IdMap } from '../core/id-map.ts';
import { createLogger, type Logger } from '../core/logger.ts';
import type { ApplicationProfile, StageInfo } from '../protocol/application.ts';
import { taskBytes } from '../protocol/batch.ts';
import { encodeFailure } from '../protocol/failure.ts';
import {
  decodeBlobMissing,
  decodeStatus,
  encodeBlob,
  encodeBlobMissing,
  encodeCancel,
  encodeTasks,
  MESSAGE,
  type CancelTask,
  type LeasedTask,
} from '../protocol/messages.ts';
import { decodeCapacity, decodeHandBack, encodeAttach, encodeStages, encodeTerm, SERVICE_MESSAGE, type ServiceCapacity } from '../protocol/service-messages.ts';
import type { Blob, TaskDescription } from '../protocol/task.ts';
import type { RegisterCenter } from '../registry/contract.ts';
import { LeaderTracker, type Leader } from '../registry/leader.ts';
import type { Delivery, Transport } from '../transports/contract.ts';
import type { Dispatcher, DispatcherListener, Submission } from './contract.ts';
import { Courier, type Batched } from './courier.ts';
import { dispatcherErrors } from './errors.ts';
import { applicationsQueue } from './gateway.ts';
import { DEFAULT_QUEUE_MS } from './options.ts';
import { costOf, PLACE, RunTimes, stageCost, type QueueLimits } from './queue-cost.ts';
import { RemoteStats } from './remote-stats.ts';

export interface RemoteDispatcherOptions {
  readonly transport: Transport;
  readonly registry: RegisterCenter;
  readonly profile: ApplicationProfile;
  readonly listener: DispatcherListener;
  /** As the dispatcher's, milliseconds. @defaultValue 1000 */
  readonly beatMs?: number;
  /** Without a word of a leader for so long, its tasks are run inside, milliseconds. @defaultValue 10000 */
  readonly takeoverMs?: number;
  /** As the dispatcher's, milliseconds. @defaultValue 5 */
  readonly queueMs?: number;
  readonly clock?: Clock;
  readonly logger?: Logger;
}

/** A task that the dispatcher was sent, and what it takes of the credit. */
interface Sent {
  readonly task: TaskDescription;
  readonly cost: number;
}

const PREFETCH = 256;
/** How long `close` waits for its last frames to be taken, and then for its good-byes. */
const CLOSE_MS = 1000;
const NO_CAPACITY: ServiceCapacity = Object.freeze({ slots: 0, limit: 0, workers: 0, live: 0 });

/**
 * A dispatcher service, as one application uses it.
 *
 * SOURCE OF TRUTH: this side holds every unfinished task and its blobs. A leader that is new (restarted, or took over), or
 * that says it has fewer tasks than it was sent, is sent all of them again; it takes each once.
 * DELIVERY: the first terminal report of a task is passed on, others are dropped, and so is what a former leader says.
 * When no leader is heard for `takeoverMs`, all tasks are handed back: nothing waits for ever.
 */
export async function connectDispatcher(options: RemoteDispatcherOptions): Promise<Dispatcher> {
  const dispatcher = new RemoteDispatcher(options);
  await dispatcher.open();
  return dispatcher;
}

class RemoteDispatcher implements Dispatcher {
  readonly #options: RemoteDispatcherOptions;
  readonly #application: string;
  readonly #queue: string;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #beatMs: number;
  readonly #takeoverMs: number;
  readonly #courier: Courier;
  readonly #leaders: LeaderTracker;
  readonly #stats = new RemoteStats();
  readonly #tasks: Batched<LeasedTask>;
  readonly #cancels: Batched<CancelTask> = { type: MESSAGE.cancel, encode: encodeCancel, sizeOf: (c) => c.reason.length + 32, refused: () => undefined };
  readonly #releases: Batched<string> = { type: SERVICE_MESSAGE.release, encode: encodeBlobMissing, sizeOf: (hash) => hash.length, refused: () => undefined };
  readonly #outstanding = new IdMap<Sent>();
  readonly #runTimes = new RunTimes();
  /** Of the places that its capacity has, those of outstanding tasks. */
  #taken = 0;
  readonly #cancelled = new Map<number, string>();
  readonly #blobs = new Map<string, Uint8Array>();
  /** Blobs the present leader was sent. */
  readonly #sent = new Set<string>();
  readonly #stages = new Map<number, StageInfo>();
  readonly #ends: (() => unknown)[] = [];
  #profile: ApplicationProfile;
  #leader: Leader | undefined;
  #capacity: ServiceCapacity = NO_CAPACITY;
  /** When the leader was heard last; while there is none: since when. */
  #heardAt: number;
  /** When a task or a report last went either way. */
  #busyAt: number;
  #tickAt: number;
  #saidAllAt = Number.NEGATIVE_INFINITY;
  #onCapacity: () => void = () => undefined;
  #open = true;
  #closing: Promise<void> | undefined;

  constructor(options: RemoteDispatcherOptions) {
    this.#options = options;
    this.#profile = options.profile;
    this.#application = options.profile.application;
    this.#queue = `application.${this.#application}`;
    this.#clock = options.clock ?? systemClock;
    this.#logger = options.logger ?? createLogger('dispatcher-client');
    this.#beatMs = options.beatMs ?? 1000;
    this.#takeoverMs = options.takeoverMs ?? 10_000;
    this.#heardAt = this.#busyAt = this.#tickAt = this.#clock.now();
    this.#courier = new Courier({ transport: options.transport, clock: this.#clock, logger: this.#logger, id: this.#application, replyTo: this.#queue });
    this.#leaders = new LeaderTracker({
      onChange: (leader) => this.#leaderChanged(leader),
      onOutranked: (stale, highest) => this.#courier.post(applicationsQueue(stale.queue), SERVICE_MESSAGE.higherTerm, () => encodeTerm(highest)),
    });
    this.#tasks = { type: MESSAGE.tasks, encode: encodeTasks, sizeOf: taskBytes, refused: (_queue, leased, cause) => this.#unsendable(leased.task, cause) };
  }

  async open(): Promise<void> {
    const { transport, registry, listener } = this.#options;
    try {
      this.#ends.push(() => this.#courier.close());
      const subscription = await transport.consume(this.#queue, { prefetch: PREFETCH }, (delivery) => this.#receive(delivery));
      this.#ends.push(() => transport.deleteQueue(this.#queue));
      this.#ends.push(() => subscription.cancel());
      this.#ends.push(
        await registry.watch('worker', (event) => {
          this.#stats.workerEvent(event);
          if (event.type === 'left' && this.#open) listener.workerLost(event.id, event.reason);
        }),
      );
      this.#ends.push(await registry.watch('dispatcher', (event) => this.#leaders.handle(event)));
      const ticking = this.#clock.every(this.#beatMs, () => this.#tick());
      this.#ends.push(() => ticking.cancel());
      await this.#heard(2 * this.#beatMs);
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  putBlob({ hash, bytes }: Blob): void {
    this.#blobs.set(hash, bytes);
  }

  releaseBlob(hash: string): void {
    this.#blobs.delete(hash);
    if (this.#sent.delete(hash) && this.#leader !== undefined) this.#courier.add(this.#to(this.#leader), this.#releases, hash);
  }

  submit(submissions: readonly Submission[]): void {
    if (!this.#open) throw dispatcherErrors.CLOSED();
    for (const { task } of submissions) {
      for (const hash of task.commons) {
        if (!this.#blobs.has(hash)) throw dispatcherErrors.BLOB_UNAVAILABLE({ name: task.name, hash, reason: 'it was not put' });
      }
    }
    if (this.#outstanding.size === 0) this.#options.transport.setActive(true);
    this.#busyAt = this.#clock.now();
    for (const { task } of submissions) {
      if (this.#outstanding.has(task.taskId)) continue;
      const cost = costOf(task, this.#runTimes, this.#queueLimits);
      this.#outstanding.set(task.taskId, { task, cost });
      this.#taken += cost;
      this.#stats.submitted++;
      if (this.#leader !== undefined) this.#sendTask(this.#leader, task);
    }
  }

  cancel(_application: string, taskId: number, reason: string): void {
    if (!this.#open || !this.#outstanding.has(taskId) || this.#cancelled.has(taskId)) return;
    this.#cancelled.set(taskId, reason);
    this.#busyAt = this.#clock.now();
    if (this.#leader !== undefined) this.#sendCancel(this.#leader, taskId, reason);
  }

  profile(profile: ApplicationProfile): void {
    this.#profile = profile;
    if (this.#open && this.#leader !== undefined) this.#attach(this.#leader);
  }

  stages(_application: string, stages: readonly StageInfo[]): void {
    for (const stage of stages) {
      if (stage.tasksRemaining === 0) this.#stages.delete(stage.stageId);
      else this.#stages.set(stage.stageId, stage);
    }
    if (this.#open && this.#leader !== undefined) this.#courier.post(this.#to(this.#leader), SERVICE_MESSAGE.stages, () => encodeStages(stages));
  }

  /** While leaders change, what the former one said goes on: tasks wait for the next, for up to `takeoverMs`. */
  capacity() {
    const { slots, limit, workers } = this.#capacity;
    return { slots, credit: Math.max(0, limit * PLACE - this.#taken) / PLACE, workers };
  }

  cost(_application: string, commons: readonly string[]): number {
    return stageCost(commons, this.#runTimes, this.#queueLimits) / PLACE;
  }

  /** As the dispatcher's own: what it says of its capacity tells its depth. */
  get #queueLimits(): QueueLimits {
    const { slots, limit } = this.#capacity;
    return { depth: slots === 0 ? 1 : limit / slots, ms: this.#options.queueMs ?? DEFAULT_QUEUE_MS };
  }

  stats() {
    return this.#stats.snapshot();
  }

  /** Leaves. Its tasks are ended by the dispatcher when the register center says that the application has left. Idempotent. */
  close(): Promise<void> {
    this.#open = false;
    this.#closing ??= (async () => {
      await atMost(this.#clock, CLOSE_MS, this.#courier.flushed());
      await atMost(this.#clock, CLOSE_MS, this.#end());
      if (this.#outstanding.size > 0) this.#options.transport.setActive(false);
      this.#outstanding.clear();
    })();
    return this.#closing;
  }

  async #end(): Promise<void> {
    for (const end of this.#ends.splice(0).reverse()) {
      try {
        await end();
      } catch (error) {
        this.#logger.debug('while closing', { error: (error as Error).message });
      }
    }
  }

  /** Resolves when a leader has said what there is, or after so long. */
  #heard(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#clock.after(ms, resolve);
      this.#onCapacity = () => {
        timer.cancel();
        resolve();
      };
    });
  }

  #to(leader: Leader): string {
    return applicationsQueue(leader.queue);
  }

  #leaderChanged(leader: Leader | undefined): void {
    if (!this.#open) return;
    if (this.#leader !== undefined) void this.#courier.drop(this.#to(this.#leader));
    this.#leader = leader;
    this.#sent.clear();
    this.#heardAt = this.#clock.now();
    if (leader === undefined) {
      this.#logger.warn('the dispatcher is gone; tasks wait for the next', { tasks: this.#outstanding.size, forMs: this.#takeoverMs });
      return;
    }
    this.#logger.info('a dispatcher leads', { dispatcher: leader.id, term: leader.term });
    this.#sayAll(leader);
  }

  #attach(leader: Leader): void {
    const attach = { profile: this.#profile, term: this.#leaders.highestTerm };
    this.#courier.post(this.#to(leader), SERVICE_MESSAGE.attach, () => encodeAttach(attach));
  }

  /** Everything that has not ended. The dispatcher takes what it does not have. */
  #sayAll(leader: Leader): void {
    this.#busyAt = this.#saidAllAt = this.#clock.now();
    this.#attach(leader);
    if (this.#stages.size > 0) {
      const stages = [...this.#stages.values()];
      this.#courier.post(this.#to(leader), SERVICE_MESSAGE.stages, () => encodeStages(stages));
    }
    for (const { task } of this.#outstanding.values()) this.#sendTask(leader, task);
    for (const [taskId, reason] of this.#cancelled) this.#sendCancel(leader, taskId, reason);
  }

  #sendTask(leader: Leader, task: TaskDescription): void {
    for (const hash of task.commons) if (!this.#sent.has(hash)) this.#sendBlob(leader, hash);
    this.#courier.add(this.#to(leader), this.#tasks, { application: this.#application, epoch: 0, task });
  }

  #sendCancel(leader: Leader, taskId: number, reason: string): void {
    this.#courier.add(this.#to(leader), this.#cancels, { application: this.#application, taskId, epoch: 0, reason });
  }

  #sendBlob(leader: Leader, hash: string): void {
    const bytes = this.#blobs.get(hash);
    if (bytes === undefined) return;
    this.#sent.add(hash);
    this.#courier.post(
      this.#to(leader),
      MESSAGE.blob,
      () => encodeBlob({ hash, bytes }),
      (cause) => {
        for (const { task } of this.#outstanding.values()) {
          if (task.commons.includes(hash)) this.#fail(task, dispatcherErrors.BLOB_UNAVAILABLE({ name: task.name, hash, reason: 'it cannot be sent' }, cause));
        }
      },
    );
  }

  #unsendable(task: TaskDescription, cause: unknown): void {
    this.#fail(task, dispatcherErrors.TASK_UNSENDABLE({ name: task.name }, cause));
  }

  #fail(task: TaskDescription, error: Error): void {
    this.#report({ taskId: task.taskId, state: 'FAILED', executorId: task.executorId, data: encodeFailure(error) });
  }

  #receive(delivery: Delivery): void {
    const { sender, type } = delivery.envelope;
    const leader = this.#leader;
    try {
      // What a former leader says is of leases that are over; it will be said again by the present one.
      if (leader !== undefined && sender === leader.id && this.#open) {
        this.#heardAt = this.#clock.now();
        this.#message(delivery, leader);
      }
    } catch (error) {
      this.#logger.warn('a frame was refused', { sender, type, error: (error as Error).message });
    }
    // After the application has taken it.
    delivery.ack();
  }

  #message({ envelope: { type, body } }: Delivery, leader: Leader): void {
    switch (type) {
      case MESSAGE.status:
        this.#busyAt = this.#clock.now();
        for (const { update } of decodeStatus(body)) this.#report(update);
        return this.#tell((listener) => listener.capacityChanged());
      case SERVICE_MESSAGE.handBack:
        this.#busyAt = this.#clock.now();
        return this.#handBack(decodeHandBack(body));
      case SERVICE_MESSAGE.capacity:
        this.#capacity = decodeCapacity(body);
        this.#onCapacity();
        return this.#tell((listener) => listener.capacityChanged());
      case SERVICE_MESSAGE.unknown:
        // One word for each frame that came before the dispatcher knew us: one answer.
        if (this.#clock.now() - this.#saidAllAt < this.#beatMs) return;
        this.#sent.clear();
        return this.#sayAll(leader);
      case MESSAGE.blobMissing:
        for (const hash of decodeBlobMissing(body)) this.#sendBlob(leader, hash);
        return;
      default:
        this.#logger.warn('a frame of unknown type was ignored', { type });
    }
  }

  #report(update: Parameters<DispatcherListener['statusUpdate']>[1]): void {
    const { taskId, state } = update;
    const sent = this.#outstanding.get(taskId);
    if (sent === undefined) return;
    if (state !== 'RUNNING') {
      if (update.runMs !== undefined) this.#runTimes.learn(sent.task.commons, update.runMs);
      this.#forget(taskId);
      this.#stats.ended(state, update.executorId);
    }
    this.#tell((listener) => listener.statusUpdate(this.#application, update));
  }

  #handBack(taskIds: readonly number[]): void {
    const tasks: TaskDescription[] = [];
    for (const taskId of taskIds) {
      const sent = this.#outstanding.get(taskId);
      if (sent === undefined) continue;
      tasks.push(sent.task);
      this.#forget(taskId);
    }
    if (tasks.length === 0) return;
    this.#stats.handedBack += tasks.length;
    this.#tell((listener) => listener.handBack(this.#application, tasks));
  }

  #forget(taskId: number): void {
    this.#taken -= this.#outstanding.delete(taskId)?.cost ?? 0;
    this.#cancelled.delete(taskId);
    if (this.#outstanding.size === 0) this.#options.transport.setActive(false);
  }

  #tick(): void {
    const now = this.#clock.now();
    // This process was stopped or busy itself: what was said meanwhile waits to be read.
    if (now - this.#tickAt > 4 * this.#beatMs) this.#heardAt = now;
    this.#tickAt = now;
    if (now - this.#heardAt >= this.#takeoverMs) {
      if (this.#capacity.workers > 0 || this.#outstanding.size > 0) {
        this.#logger.warn('no dispatcher is heard: tasks run inside until one is', { tasks: this.#outstanding.size });
        this.#capacity = NO_CAPACITY;
        // Should it come back: these are no more its to run.
        if (this.#leader !== undefined)
          for (const taskId of this.#outstanding.ids()) this.#sendCancel(this.#leader, taskId, 'the dispatcher was not heard of, it ran inside');
        this.#handBack(this.#outstanding.ids());
        this.#tell((listener) => listener.capacityChanged());
      }
      return;
    }
    const leader = this.#leader;
    if (leader === undefined) return;
    // Silence of a leader that beats may be ours to break: it may not know us (any more).
    if (now - this.#heardAt >= 3 * this.#beatMs) this.#attach(leader);
    else if (now - this.#busyAt >= 3 * this.#beatMs && this.#capacity.live < this.#outstanding.size) {
      this.#logger.warn('the dispatcher lacks tasks it was sent; they are sent again', { sent: this.#outstanding.size, there: this.#capacity.live });
      this.#sayAll(leader);
    }
  }

  #tell(call: (listener: DispatcherListener) => void): void {
    if (!this.#open) return;
    try {
      call(this.#options.listener);
    } catch (error) {
      this.#logger.error('the listener of the dispatcher threw', { error: (error as Error).stack });
    }
  }
}
