import { hostname } from 'node:os';
import { atMost, systemClock, type Clock } from '../core/clock.ts';
import { newId } from '../core/ids.ts';
import { createLogger, type Logger } from '../core/logger.ts';
import { encodeFailure } from '../protocol/failure.ts';
import type { ApplicationProfile, HeldLease, StageInfo } from '../protocol/application.ts';
import { envelopeFactory } from '../protocol/batch.ts';
import { statusOf } from '../protocol/handover.ts';
import { decodeBlobMissing, encodeDrain, MESSAGE, type LeasedStatus, type LeasedTask } from '../protocol/messages.ts';
import { decodeHolding, decodeTerm, SERVICE_MESSAGE } from '../protocol/service-messages.ts';
import type { Blob } from '../protocol/task.ts';
import type { Load, RegisterCenter, Registration, RegistryEvent } from '../registry/contract.ts';
import { LEADER_LABELS } from '../registry/leader.ts';
import type { HostSelector } from '../selectors/contract.ts';
import type { Delivery, Transport } from '../transports/contract.ts';
import type { DispatcherEffect, DispatcherEvent, DispatcherListener, DispatcherNote, ParkedTask, Submission } from './contract.ts';
import { BlobStore } from './blobs.ts';
import { dispatcherErrors } from './errors.ts';
import type { ApplicationPort, LocalDispatcher, TaskObserver } from './local.ts';
import { Newcomers } from './newcomers.ts';
import type { DispatcherStateOptions } from './options.ts';
import { Outbox } from './outbox.ts';
import { DispatcherState } from './state.ts';

export interface DispatcherOptions extends Pick<
  DispatcherStateOptions,
  'leaseMs' | 'maxLeases' | 'queueDepth' | 'queueMs' | 'resendAfterMs' | 'newOrder' | 'term' | 'retryBackoffMs' | 'health' | 'comparators'
> {
  readonly transport: Transport;
  readonly registry: RegisterCenter;
  readonly selector: HostSelector;
  /** Hears of applications that have no listener of their own (`attach`). @defaultValue nobody */
  readonly listener?: DispatcherListener;
  /** Unique per process start. @defaultValue `dispatcher-` and 12 random hex digits */
  readonly id?: string;
  /** How often leases are looked at, milliseconds. @defaultValue 250 */
  readonly tickMs?: number;
  /** @defaultValue systemClock */
  readonly clock?: Clock;
  readonly logger?: Logger;
  /** What the register center shows of this process. */
  readonly host?: string;
  readonly version?: string;
  readonly observer?: TaskObserver;
  /** Somebody has seen a leader of this higher term. */
  readonly onHigherTerm?: (term: number) => void;
}

/** Status frames taken before one is acknowledged; they are handled at once. */
const PREFETCH = 256;
/** How long `close` waits for its last frames to be taken, and then for its good-byes. */
const CLOSE_MS = 1000;

type Untimed<E> = E extends DispatcherEvent ? Omit<E, 'now'> : never;

/**
 * The I/O around DispatcherState: reads the register center and its own queue `dispatcher.<id>`, carries effects out.
 *
 * ORDERING: one event at a time; what a listener does while it is told (submit, cancel) comes after what is being carried out.
 * A listener that throws is logged and breaks nothing.
 */
export async function createDispatcher(options: DispatcherOptions): Promise<LocalDispatcher> {
  const dispatcher = new DispatcherService(options);
  await dispatcher.open();
  return dispatcher;
}

const NOTES: Readonly<Record<DispatcherNote['what'], string>> = {
  parked: 'a task was lost on too many workers and is parked',
  excluded: 'a worker or host is given nothing for a while',
  included: 'a worker or host is let back',
  disagreement: 'results of one task differ',
};

class DispatcherService implements LocalDispatcher {
  readonly id: string;
  readonly term: number;
  readonly #options: DispatcherOptions;
  readonly #queue: string;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #state: DispatcherState;
  readonly #outbox: Outbox;
  readonly #envelope: ReturnType<typeof envelopeFactory>;
  readonly #blobs = new BlobStore();
  /** By worker id; kept for those that fell silent, until the register center says that they left. */
  readonly #registrations = new Map<string, Registration>();
  readonly #newcomers = new Newcomers();
  /** Of a leader: what each worker said last. */
  readonly #loads = new Map<string, Load>();
  readonly #attached = new Map<string, DispatcherListener>();
  readonly #ends: (() => unknown)[] = [];
  #effects: DispatcherEffect[] = [];
  #depth = 0;
  #capacityChanged = false;
  #active = false;
  #open = true;
  #abandoned = false;
  #closing: Promise<void> | undefined;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.id = options.id ?? newId('dispatcher');
    this.term = options.term ?? 0;
    this.#queue = `dispatcher.${this.id}`;
    this.#envelope = envelopeFactory(`${this.id}.control`, this.#queue);
    this.#clock = options.clock ?? systemClock;
    this.#logger = options.logger ?? createLogger('dispatcher');
    const { selector, leaseMs, maxLeases, queueDepth, queueMs, resendAfterMs, newOrder, term, retryBackoffMs, health, comparators } = options;
    const given = { leaseMs, maxLeases, queueDepth, queueMs, resendAfterMs, newOrder, term, retryBackoffMs, health, comparators };
    this.#state = new DispatcherState({
      ...(Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as Partial<DispatcherStateOptions>),
      selector,
      holdsBlob: (hash) => this.#blobs.sendable(hash),
      onFault: (error) => this.#logger.error(error.message, error.cause === undefined ? undefined : { cause: (error.cause as Error).stack }),
    });
    this.#outbox = new Outbox({
      transport: options.transport,
      logger: this.#logger,
      id: this.id,
      replyTo: this.#queue,
      held: (workerId) => this.#state.held(workerId),
      blob: (hash) => this.#blobs.get(hash),
      onUnsendableTask: (workerId, leased, cause) => this.#failUnsendable(workerId, leased, cause),
      onUnsendableBlob: (workerId, hash, cause) => {
        this.#logger.error('a blob cannot be sent', { hash, error: (cause as Error).message });
        this.#blobs.markUnsendable(hash);
        this.#handle({ type: 'blobMissing', workerId, hash });
      },
    });
  }

  async open(): Promise<void> {
    const { transport, registry, tickMs = 250, host = hostname(), version = '' } = this.#options;
    try {
      const subscription = await transport.consume(this.#queue, { prefetch: PREFETCH }, (delivery) => this.#receive(delivery));
      this.#ends.push(() => subscription.cancel());
      this.#ends.push(() => transport.deleteQueue(this.#queue));
      const labels: Record<string, string> = this.term === 0 ? {} : { [LEADER_LABELS.role]: 'leader', [LEADER_LABELS.term]: String(this.term) };
      const entry = { kind: 'dispatcher', id: this.id, host, pid: process.pid, version, slots: 0, kinds: [], labels, queue: this.#queue } as const;
      const announcement = await registry.announce(entry);
      this.#ends.push(() => announcement.leave());
      this.#ends.push(await registry.watch('worker', (event) => this.#registryEvent(event)));
      const ticking = this.#startTicks(tickMs);
      this.#ends.push(() => ticking.cancel());
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  putBlob(blob: Blob): void {
    this.#blobs.put(blob, '');
  }

  releaseBlob(hash: string): void {
    this.#blobs.release(hash, '');
  }

  hasBlob(hash: string): boolean {
    return this.#blobs.has(hash);
  }

  registrations(): readonly Registration[] {
    return [...this.#registrations.values()];
  }

  attach(profile: ApplicationProfile, listener: DispatcherListener): ApplicationPort {
    const { application } = profile;
    if (!this.#open) throw dispatcherErrors.CLOSED();
    if (this.#attached.has(application)) throw dispatcherErrors.ATTACHED({ application });
    this.#attached.set(application, listener);
    this.profile(profile);
    return {
      application,
      putBlob: (blob) => this.#blobs.put(blob, application),
      releaseBlob: (hash) => this.#blobs.release(hash, application),
      submit: (tasks) => this.submit(tasks.map((task) => ({ application, task }))),
      cancel: (taskId, reason) => this.cancel(application, taskId, reason),
      profile: (next) => this.profile(next),
      stages: (stages) => this.stages(application, stages),
      detach: (reason) => {
        if (this.#attached.get(application) !== listener) return;
        this.#attached.delete(application);
        if (this.#open) this.#handle({ type: 'cancelApplication', application, reason });
        this.#blobs.releaseAll(application);
        this.#options.observer?.detached(application);
      },
    };
  }

  profile(profile: ApplicationProfile): void {
    if (this.#open) this.#handle({ type: 'application', profile });
  }

  stages(application: string, stages: readonly StageInfo[]): void {
    if (this.#open) this.#handle({ type: 'stages', application, stages });
  }

  drainWorker(workerId: string, reason: string): boolean {
    const queue = this.#registrations.get(workerId)?.queue;
    if (queue === undefined || !this.#open) return false;
    this.#handle({ type: 'drain', workerId, drain: true });
    this.#options.transport
      .send(queue, this.#envelope(MESSAGE.drain, encodeDrain(reason)))
      .catch((error: unknown) => this.#logger.warn('a worker could not be told to drain', { worker: workerId, error: (error as Error).message }));
    return true;
  }

  parkedTasks(): readonly ParkedTask[] {
    return this.#state.parked();
  }

  parked(application: string, taskId: number, command: 'retry' | 'drop'): void {
    if (this.#open) this.#handle({ type: 'parked', application, taskId, command });
  }

  /** @throws SP_DISPATCHER_CLOSED; SP_DISPATCHER_BLOB_UNAVAILABLE when a task names a blob that was not put (nothing is submitted then) */
  submit(submissions: readonly Submission[]): void {
    if (!this.#open) throw dispatcherErrors.CLOSED();
    for (const { task } of submissions) {
      for (const hash of task.commons) {
        if (!this.#blobs.has(hash)) throw dispatcherErrors.BLOB_UNAVAILABLE({ name: task.name, hash, reason: 'it was not put' });
      }
    }
    const { observer } = this.#options;
    if (observer !== undefined) for (const { application, task } of submissions) observer.submitted(application, [task]);
    this.#handle({ type: 'submit', submissions });
  }

  cancel(application: string, taskId: number, reason: string): void {
    if (this.#open) this.#handle({ type: 'cancel', application, taskId, reason });
  }

  capacity() {
    return this.#state.capacity();
  }

  cost(application: string, commons: readonly string[]): number {
    return this.#state.cost(application, commons);
  }

  stats() {
    return this.#state.stats();
  }

  /** Tells workers to end what they run for it, and leaves. Listeners hear nothing more. Idempotent. */
  close(): Promise<void> {
    this.#open = false;
    this.#closing ??= (async () => {
      for (const { application, taskId } of [...this.#state.liveTasks()])
        this.#handle({ type: 'cancel', application, taskId, reason: 'the application has ended' });
      await atMost(this.#clock, CLOSE_MS, this.#outbox.flushed());
      await this.#end();
    })();
    return this.#closing;
  }

  abandon(): Promise<void> {
    if (this.#closing === undefined) {
      this.#open = false;
      this.#abandoned = true;
      this.#closing = this.#end();
    }
    return this.#closing;
  }

  async #end(): Promise<void> {
    await atMost(this.#clock, CLOSE_MS, this.#sayGoodbye());
    this.#active = false;
    this.#options.transport.setActive(false);
  }

  async #sayGoodbye(): Promise<void> {
    for (const end of this.#ends.splice(0).reverse()) {
      try {
        await end();
      } catch (error) {
        // The transport is closed or not connected: what would be ended has ended with it.
        this.#logger.debug('while closing', { error: (error as Error).message });
      }
    }
  }

  #startTicks(tickMs: number) {
    let last = this.#clock.now();
    let patientUntil = -Infinity;
    return this.#clock.every(tickMs, () => {
      const now = this.#clock.now();
      // This process was stopped or busy itself: beats are waiting to be read, so nobody may be called silent yet.
      if (now - last > 4 * tickMs) patientUntil = now + (this.#options.leaseMs ?? 10_000) / 2;
      last = now;
      if (now >= patientUntil) this.#handle({ type: 'tick' });
    });
  }

  #registryEvent(event: RegistryEvent): void {
    switch (event.type) {
      case 'joined':
        this.#registrations.set(event.entry.id, event.entry);
        this.#joined(event.entry, event.load);
        break;
      case 'beat':
        if (this.term > 0) this.#loads.set(event.id, event.load);
        this.#handle({ type: 'workerBeat', workerId: event.id, load: event.load });
        break;
      case 'left': {
        this.#handle({ type: 'workerLeft', workerId: event.id, reason: event.reason });
        this.#outbox.drop(event.id);
        const queue = this.#registrations.get(event.id)?.queue;
        this.#registrations.delete(event.id);
        this.#newcomers.take(event.id);
        this.#loads.delete(event.id);
        // All leases on it have ended: what nobody reads must not stay with the broker.
        if (queue !== undefined && this.#open)
          this.#options.transport.deleteQueue(queue).catch((error: unknown) => this.#logger.debug('a queue stays', { queue, error: (error as Error).message }));
        break;
      }
    }
  }

  #joined(worker: Registration, load: Load): void {
    const said = this.#newcomers.take(worker.id);
    const holding = said?.holding;
    this.#handle(holding === undefined ? { type: 'workerJoined', worker, load } : { type: 'workerJoined', worker, load, holding });
    if (said !== undefined) this.#statuses(worker.id, said.statuses);
  }

  /** A worker tells its new leader what it holds: at once after either hears of the other. */
  #hold(workerId: string, holding: readonly HeldLease[]): void {
    this.#logger.debug('leases held elsewhere', { worker: workerId, count: holding.length });
    const registration = this.#registrations.get(workerId);
    if (registration !== undefined) {
      const load = this.#loads.get(workerId) ?? { running: holding.length, queued: 0, draining: false };
      this.#handle({ type: 'workerBeat', workerId, load, holding });
    } else this.#newcomers.hold(workerId, holding);
  }

  #statuses(workerId: string, statuses: readonly LeasedStatus[]): void {
    this.#handle({ type: 'status', workerId, statuses });
  }

  #receive(delivery: Delivery): void {
    const { envelope } = delivery;
    const workerId = envelope.sender;
    this.#depth++;
    try {
      if (envelope.type === MESSAGE.status) {
        const statuses = statusOf(envelope);
        if (this.term > 0 && !this.#registrations.has(workerId)) this.#newcomers.say(workerId, statuses);
        else this.#statuses(workerId, statuses);
      } else if (envelope.type === MESSAGE.blobMissing) {
        for (const hash of decodeBlobMissing(envelope.body)) this.#handle({ type: 'blobMissing', workerId, hash });
      } else if (envelope.type === SERVICE_MESSAGE.holding) {
        this.#hold(workerId, decodeHolding(envelope.body));
      } else if (envelope.type === SERVICE_MESSAGE.higherTerm) {
        this.#options.onHigherTerm?.(decodeTerm(envelope.body));
      } else {
        this.#logger.warn('a frame of unknown type was ignored', { type: envelope.type, sender: workerId });
      }
    } catch (error) {
      this.#logger.warn('a frame was refused', { sender: workerId, type: envelope.type, error: (error as Error).message });
    } finally {
      this.#depth--;
      delivery.ack();
      this.#carryOut();
    }
  }

  #handle(untimed: Untimed<DispatcherEvent>): void {
    if (this.#abandoned) return;
    let effects: DispatcherEffect[];
    try {
      effects = this.#state.handle({ ...untimed, now: this.#clock.now() } as DispatcherEvent);
    } catch (error) {
      this.#logger.error('defect in the dispatcher', { error: (error as Error).stack });
      return;
    }
    if (this.#effects.length === 0) this.#effects = effects;
    else for (const effect of effects) this.#effects.push(effect);
    if (this.#depth === 0) this.#carryOut();
  }

  #carryOut(): void {
    if (this.#depth > 0) return;
    this.#depth++;
    try {
      while (this.#effects.length > 0 || this.#capacityChanged) {
        const effects = this.#effects;
        this.#effects = [];
        for (const effect of effects) this.#effect(effect);
        if (this.#effects.length > 0 || !this.#capacityChanged) continue;
        this.#capacityChanged = false;
        this.#tellAll((listener) => listener.capacityChanged());
      }
    } finally {
      this.#depth--;
    }
    const active = this.#state.live > 0;
    if (active === this.#active) return;
    this.#active = active;
    this.#options.transport.setActive(active);
  }

  #effect(effect: DispatcherEffect): void {
    switch (effect.type) {
      case 'send': {
        const queue = this.#registrations.get(effect.workerId)?.queue;
        if (queue !== undefined) this.#outbox.send(effect.workerId, queue, effect.blobs, effect.tasks);
        return;
      }
      case 'cancelOnWorker': {
        const queue = this.#registrations.get(effect.workerId)?.queue;
        if (queue !== undefined) this.#outbox.cancel(effect.workerId, queue, effect);
        return;
      }
      case 'report': {
        const { application, update } = effect;
        this.#options.observer?.reported(application, update.taskId, update.state, update.executorId);
        const listener = this.#listenerOf(application);
        if (listener === undefined) return;
        try {
          return listener.statusUpdate(application, update);
        } catch (error) {
          return this.#threw(error);
        }
      }
      case 'handBack':
        this.#options.observer?.handedBack(effect.application, effect.tasks);
        return this.#tell(effect.application, (listener) => listener.handBack(effect.application, effect.tasks));
      case 'workerLost':
        this.#logger.info('a worker is gone', { worker: effect.workerId, reason: effect.reason });
        return this.#tellAll((listener) => listener.workerLost(effect.workerId, effect.reason));
      case 'capacity':
        this.#capacityChanged = true;
        return;
      case 'drained':
        return this.#logger.info('a worker has drained', { worker: effect.workerId });
      case 'note':
        return this.#logger.warn(NOTES[effect.note.what], { ...effect.note });
    }
  }

  #listenerOf(application: string): DispatcherListener | undefined {
    return this.#open ? ((this.#attached.size === 0 ? undefined : this.#attached.get(application)) ?? this.#options.listener) : undefined;
  }

  #tell(application: string, call: (listener: DispatcherListener) => void): void {
    const listener = this.#listenerOf(application);
    try {
      if (listener !== undefined) call(listener);
    } catch (error) {
      this.#threw(error);
    }
  }

  #threw(error: unknown): void {
    this.#logger.error('the listener of the dispatcher threw', { error: (error as Error).stack });
  }

  #tellAll(call: (listener: DispatcherListener) => void): void {
    this.#tell('', call);
    for (const application of [...this.#attached.keys()]) this.#tell(application, call);
  }

  #failUnsendable(workerId: string, { application, epoch, task }: LeasedTask, cause: unknown): void {
    const data = encodeFailure(dispatcherErrors.TASK_UNSENDABLE({ name: task.name }, cause));
    this.#statuses(workerId, [{ application, epoch, update: { taskId: task.taskId, state: 'FAILED', executorId: workerId, data } }]);
  }
}
