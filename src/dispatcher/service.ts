import { hostname } from 'node:os';
import { systemClock, type Clock } from '../core/clock.ts';
import { newId } from '../core/ids.ts';
import { createLogger, type Logger } from '../core/logger.ts';
import { encodeFailure } from '../protocol/failure.ts';
import { decodeBlobMissing, decodeStatus, MESSAGE, type LeasedTask } from '../protocol/messages.ts';
import type { RegisterCenter, RegistryEvent } from '../registry/contract.ts';
import type { HostSelector } from '../selectors/contract.ts';
import type { Delivery, Transport } from '../transports/contract.ts';
import type { Dispatcher, DispatcherEffect, DispatcherEvent, DispatcherListener, Submission } from './contract.ts';
import { dispatcherErrors } from './errors.ts';
import type { DispatcherStateOptions } from './options.ts';
import { Outbox } from './outbox.ts';
import { DispatcherState } from './state.ts';

export interface DispatcherOptions extends Pick<DispatcherStateOptions, 'leaseMs' | 'maxLeases' | 'queueDepth' | 'resendAfterMs' | 'newOrder' | 'term'> {
  readonly transport: Transport;
  readonly registry: RegisterCenter;
  readonly selector: HostSelector;
  readonly listener: DispatcherListener;
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
}

/** Status frames taken before one is acknowledged; they are handled at once. */
const PREFETCH = 256;
/** How long `close` waits for its last frames to be taken. */
const CLOSE_MS = 1000;

type Untimed<E> = E extends DispatcherEvent ? Omit<E, 'now'> : never;

/**
 * The I/O around DispatcherState: reads the register center and its own queue `dispatcher.<id>`, carries effects out.
 *
 * ORDERING: one event at a time; what a listener does while it is told (submit, cancel) comes after what is being carried out.
 * A listener that throws is logged and breaks nothing.
 */
export async function createDispatcher(options: DispatcherOptions): Promise<Dispatcher> {
  const dispatcher = new DispatcherService(options);
  await dispatcher.open();
  return dispatcher;
}

class DispatcherService implements Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #id: string;
  readonly #queue: string;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #state: DispatcherState;
  readonly #outbox: Outbox;
  readonly #blobs = new Map<string, Uint8Array>();
  readonly #unsendable = new Set<string>();
  /** Worker id -> its queue; kept for those that fell silent, until the register center says that they left. */
  readonly #queues = new Map<string, string>();
  readonly #ends: (() => unknown)[] = [];
  #effects: DispatcherEffect[] = [];
  #depth = 0;
  #capacityChanged = false;
  #active = false;
  #open = true;
  #closing: Promise<void> | undefined;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.#id = options.id ?? newId('dispatcher');
    this.#queue = `dispatcher.${this.#id}`;
    this.#clock = options.clock ?? systemClock;
    this.#logger = options.logger ?? createLogger('dispatcher');
    const { selector, leaseMs, maxLeases, queueDepth, resendAfterMs, newOrder, term } = options;
    const given = { leaseMs, maxLeases, queueDepth, resendAfterMs, newOrder, term };
    this.#state = new DispatcherState({
      ...(Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as Partial<DispatcherStateOptions>),
      selector,
      holdsBlob: (hash) => this.#blobs.has(hash) && !this.#unsendable.has(hash),
      onFault: (error) => this.#logger.error(error.message, error.cause === undefined ? undefined : { cause: (error.cause as Error).stack }),
    });
    this.#outbox = new Outbox({
      transport: options.transport,
      logger: this.#logger,
      id: this.#id,
      replyTo: this.#queue,
      blob: (hash) => this.#blobs.get(hash),
      onUnsendableTask: (workerId, leased, cause) => this.#failUnsendable(workerId, leased, cause),
      onUnsendableBlob: (workerId, hash, cause) => {
        this.#logger.error('a blob cannot be sent', { hash, error: (cause as Error).message });
        this.#unsendable.add(hash);
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
      const entry = { kind: 'dispatcher', id: this.#id, host, pid: process.pid, version, slots: 0, kinds: [], labels: {}, queue: this.#queue } as const;
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

  putBlob({ hash, bytes }: { readonly hash: string; readonly bytes: Uint8Array }): void {
    this.#blobs.set(hash, bytes);
    this.#unsendable.delete(hash);
  }

  releaseBlob(hash: string): void {
    this.#blobs.delete(hash);
    this.#unsendable.delete(hash);
  }

  /** @throws SP_DISPATCHER_CLOSED; SP_DISPATCHER_BLOB_UNAVAILABLE when a task names a blob that was not put (nothing is submitted then) */
  submit(submissions: readonly Submission[]): void {
    if (!this.#open) throw dispatcherErrors.CLOSED();
    for (const { task } of submissions) {
      for (const hash of task.commons) {
        if (!this.#blobs.has(hash)) throw dispatcherErrors.BLOB_UNAVAILABLE({ name: task.name, hash, reason: 'it was not put' });
      }
    }
    this.#handle({ type: 'submit', submissions });
  }

  cancel(application: string, taskId: number, reason: string): void {
    if (this.#open) this.#handle({ type: 'cancel', application, taskId, reason });
  }

  capacity() {
    return this.#state.capacity();
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
      const written = this.#outbox.flushed();
      await Promise.race([written, new Promise<void>((resolve) => this.#clock.after(CLOSE_MS, resolve, { background: true }))]);
      for (const end of this.#ends.reverse()) {
        try {
          await end();
        } catch (error) {
          // The transport is closed or not connected: what would be ended has ended with it.
          this.#logger.debug('while closing', { error: (error as Error).message });
        }
      }
      this.#options.transport.setActive(false);
    })();
    return this.#closing;
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
        this.#queues.set(event.entry.id, event.entry.queue);
        this.#handle({ type: 'workerJoined', worker: event.entry, load: event.load });
        break;
      case 'beat':
        this.#handle({ type: 'workerBeat', workerId: event.id, load: event.load });
        break;
      case 'left': {
        this.#handle({ type: 'workerLeft', workerId: event.id, reason: event.reason });
        this.#outbox.drop(event.id);
        const queue = this.#queues.get(event.id);
        this.#queues.delete(event.id);
        // All leases on it have ended: what nobody reads must not stay with the broker.
        if (queue !== undefined)
          this.#options.transport.deleteQueue(queue).catch((error: unknown) => this.#logger.debug('a queue stays', { queue, error: (error as Error).message }));
        break;
      }
    }
  }

  #receive(delivery: Delivery): void {
    const { envelope } = delivery;
    const workerId = envelope.sender;
    this.#depth++;
    try {
      if (envelope.type === MESSAGE.status) {
        for (const { application, epoch, update } of decodeStatus(envelope.body)) this.#handle({ type: 'status', workerId, application, epoch, update });
      } else if (envelope.type === MESSAGE.blobMissing) {
        for (const hash of decodeBlobMissing(envelope.body)) this.#handle({ type: 'blobMissing', workerId, hash });
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
    let effects: readonly DispatcherEffect[];
    try {
      effects = this.#state.handle({ ...untimed, now: this.#clock.now() } as DispatcherEvent);
    } catch (error) {
      this.#logger.error('defect in the dispatcher', { error: (error as Error).stack });
      return;
    }
    for (const effect of effects) this.#effects.push(effect);
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
        this.#tell((listener) => listener.capacityChanged());
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
        const queue = this.#queues.get(effect.workerId);
        if (queue !== undefined) this.#outbox.send(effect.workerId, queue, effect.blobs, effect.tasks);
        return;
      }
      case 'cancelOnWorker': {
        const queue = this.#queues.get(effect.workerId);
        if (queue !== undefined) this.#outbox.cancel(effect.workerId, queue, effect);
        return;
      }
      case 'report':
        return this.#tell((listener) => listener.statusUpdate(effect.application, effect.update));
      case 'handBack':
        return this.#tell((listener) => listener.handBack(effect.application, effect.tasks));
      case 'workerLost':
        this.#logger.info('a worker is gone', { worker: effect.workerId, reason: effect.reason });
        return this.#tell((listener) => listener.workerLost(effect.workerId, effect.reason));
      case 'capacity':
        this.#capacityChanged = true;
        return;
      case 'drained':
        return this.#logger.info('a worker has drained', { worker: effect.workerId });
      case 'note':
        return this.#logger.warn('noted', { ...effect.note });
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

  #failUnsendable(workerId: string, { application, epoch, task }: LeasedTask, cause: unknown): void {
    const data = encodeFailure(dispatcherErrors.TASK_UNSENDABLE({ name: task.name }, cause));
    this.#handle({ type: 'status', workerId, application, epoch, update: { taskId: task.taskId, state: 'FAILED', executorId: workerId, data } });
  }
}
