import { systemClock, type Clock } from '../core/clock.ts';
import { createLogger, type Logger } from '../core/logger.ts';
import { statusBytes } from '../protocol/batch.ts';
import { encodeFailure } from '../protocol/failure.ts';
import { decodeBlob, decodeBlobMissing, decodeCancel, decodeTasks, encodeBlobMissing, encodeStatus, MESSAGE, type LeasedStatus } from '../protocol/messages.ts';
import { decodeAttach, decodeStages, decodeTerm, encodeCapacity, encodeHandBack, SERVICE_MESSAGE } from '../protocol/service-messages.ts';
import type { StatusUpdate, TaskDescription } from '../protocol/task.ts';
import type { RegisterCenter } from '../registry/contract.ts';
import type { Delivery, Transport } from '../transports/contract.ts';
import { Courier, type Batched } from './courier.ts';
import { dispatcherErrors } from './errors.ts';
import { GatewayApplication } from './gateway-application.ts';
import type { LocalDispatcher } from './local.ts';

export interface GatewayOptions {
  readonly transport: Transport;
  readonly registry: RegisterCenter;
  readonly dispatcher: LocalDispatcher;
  /** Tasks an application may have here for each slot of the cluster. @defaultValue 2 */
  readonly queueDepth?: number;
  /** How often each application is told what there is, milliseconds. @defaultValue 1000 */
  readonly beatMs?: number;
  /**
   * What is submitted in this time after a takeover waits until workers have said what they hold, so that it is adopted
   * rather than run again. Milliseconds. @defaultValue beatMs
   */
  readonly recoveryMs?: number;
  /** While no worker is there at all it waits on, for up to so long: they may be connecting. Milliseconds. @defaultValue 5000 */
  readonly noWorkersMs?: number;
  /** An attached application that the register center does not know for so long is detached, milliseconds. @defaultValue 10 beats */
  readonly absentMs?: number;
  readonly onHigherTerm?: (term: number) => void;
  /** Answers operators. */
  readonly onAdmin?: (delivery: Delivery, reply: (type: string, body: Uint8Array) => void) => void;
  readonly clock?: Clock;
  readonly logger?: Logger;
}

/** The queue on which a leader hears applications and operators; workers have one of their own, so neither waits for the other. */
export function applicationsQueue(dispatcherQueue: string): string {
  return `${dispatcherQueue}.applications`;
}

const PREFETCH = 256;
/** Applications that have left are known for what they still say, so many of them. */
const MAX_LEFT = 1024;

const HAND_BACK: Batched<number> = { type: SERVICE_MESSAGE.handBack, encode: encodeHandBack, sizeOf: () => 8, refused: () => undefined };
const ASK: Batched<string> = { type: MESSAGE.blobMissing, encode: encodeBlobMissing, sizeOf: (hash) => hash.length, refused: () => undefined };

/**
 * The applications' side of a dispatcher service: what they send on `dispatcher.<id>.applications` goes into the
 * dispatcher of this process, what it reports goes to `application.<id>`.
 *
 * SOURCE OF TRUTH: each application holds its unfinished tasks and says them again to a dispatcher that does not have them;
 * so nothing is journalled here, and losing this process loses nothing.
 * IDEMPOTENCY: a task that is live here is not taken twice; one that ended lately is answered again, not run again.
 */
export class Gateway {
  readonly #options: GatewayOptions;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #queue: string;
  readonly #courier: Courier;
  readonly #reports: Batched<LeasedStatus>;
  readonly #applications = new Map<string, GatewayApplication>();
  /** Announced in the register center. */
  readonly #present = new Set<string>();
  /** They said that they leave. What they wrote before may be read after: an answer would make a queue that nobody deletes. */
  readonly #left = new Set<string>();
  readonly #ends: (() => unknown)[] = [];
  readonly #beatMs: number;
  #recovering: { readonly application: GatewayApplication; readonly tasks: TaskDescription[] }[] | undefined = [];
  #draining = false;
  #closed = false;

  constructor(options: GatewayOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#logger = options.logger ?? createLogger('gateway');
    this.#beatMs = options.beatMs ?? 1000;
    this.#queue = applicationsQueue(`dispatcher.${options.dispatcher.id}`);
    this.#courier = new Courier({ transport: options.transport, clock: this.#clock, logger: this.#logger, id: options.dispatcher.id, replyTo: this.#queue });
    this.#reports = {
      type: MESSAGE.status,
      encode: encodeStatus,
      sizeOf: statusBytes,
      refused: (queue, status, cause) => {
        const data = encodeFailure(dispatcherErrors.REPORT_UNSENDABLE({ taskId: status.update.taskId }, cause));
        this.#courier.add(queue, this.#reports, { ...status, update: { ...status.update, state: 'FAILED', data } });
      },
    };
  }

  async open(): Promise<void> {
    const { transport, registry, dispatcher, recoveryMs = this.#beatMs, noWorkersMs = 5000 } = this.#options;
    this.#ends.push(() => this.#courier.close());
    const began = this.#clock.now();
    const recovery = this.#clock.every(Math.min(recoveryMs, 100), () => {
      const passed = this.#clock.now() - began;
      if (passed < recoveryMs || (passed < noWorkersMs && dispatcher.capacity().workers === 0)) return;
      recovery.cancel();
      this.#recovered();
    });
    this.#ends.push(() => recovery.cancel());
    const beating = this.#clock.every(this.#beatMs, () => this.#beat());
    this.#ends.push(() => beating.cancel());
    this.#ends.push(
      await registry.watch('application', (event) => {
        if (event.type === 'joined') {
          this.#present.add(event.entry.id);
          this.#left.delete(event.entry.id);
        } else if (event.type === 'left') {
          this.#present.delete(event.id);
          if (event.reason === 'left') this.#remember(event.id);
          this.#detach(event.id, event.reason === 'left' ? 'the application has ended' : 'the application was heard of no more');
        }
      }),
    );
    const subscription = await transport.consume(this.#queue, { prefetch: PREFETCH }, (delivery) => this.#receive(delivery));
    this.#ends.push(() => transport.deleteQueue(this.#queue));
    this.#ends.push(() => subscription.cancel());
  }

  /** Of attached applications: their tasks that have not ended. */
  get live(): number {
    let live = 0;
    for (const application of this.#applications.values()) live += application.live;
    return live;
  }

  isAttached(application: string): boolean {
    return this.#applications.has(application);
  }

  /** Ends tasks of an application for an operator; the application is told that they were killed. */
  kill(application: string, taskId: number | undefined, reason: string): number {
    return this.#applications.get(application)?.kill(taskId, reason) ?? 0;
  }

  /** Takes nothing more and lets what runs finish, for so long; what is left then goes back to its applications. */
  async drain(graceMs: number): Promise<void> {
    this.#draining = true;
    this.#beat();
    const until = this.#clock.now() + graceMs;
    while (this.live > 0 && this.#clock.now() < until && !this.#closed) {
      await new Promise<void>((resolve) => this.#clock.after(Math.min(50, graceMs), resolve));
    }
    for (const application of this.#applications.values()) application.handBackAll();
    await this.#courier.flushed();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const end of this.#ends.splice(0).reverse()) {
      try {
        await end();
      } catch (error) {
        this.#logger.debug('while closing', { error: (error as Error).message });
      }
    }
  }

  #receive(delivery: Delivery): void {
    const { sender, type } = delivery.envelope;
    try {
      if (!this.#closed) this.#message(delivery);
    } catch (error) {
      this.#logger.warn('a frame was refused', { sender, type, error: (error as Error).message });
    }
    delivery.ack();
  }

  #message(delivery: Delivery): void {
    const { sender, type, replyTo, body } = delivery.envelope;
    if (type === SERVICE_MESSAGE.attach) return this.#attach(sender, replyTo, body);
    if (type === SERVICE_MESSAGE.higherTerm) return this.#options.onHigherTerm?.(decodeTerm(body));
    if (type === 'admin') return this.#options.onAdmin?.(delivery, (name, answer) => this.#courier.post(replyTo, name, () => answer));
    const application = this.#applications.get(sender);
    if (application === undefined) {
      if (replyTo !== '' && !this.#left.has(sender)) this.#courier.post(replyTo, SERVICE_MESSAGE.unknown, () => encodeHandBack([]));
      return;
    }
    switch (type) {
      case MESSAGE.tasks:
        return this.#submit(
          application,
          decodeTasks(body).map((leased) => leased.task),
        );
      case MESSAGE.cancel:
        for (const { taskId, reason } of decodeCancel(body)) application.cancel(taskId, reason);
        return;
      case MESSAGE.blob:
        return application.putBlob(decodeBlob(body));
      case SERVICE_MESSAGE.release:
        for (const hash of decodeBlobMissing(body)) application.releaseBlob(hash);
        return;
      case SERVICE_MESSAGE.stages:
        return application.port.stages(decodeStages(body));
      default:
        this.#logger.warn('a frame of unknown type was ignored', { type, sender });
    }
  }

  #attach(sender: string, replyTo: string, body: Uint8Array): void {
    const { profile, term } = decodeAttach(body);
    if (profile.application !== sender || replyTo === '') throw dispatcherErrors.NOT_ITS_OWN({ sender, application: profile.application });
    if (this.#left.has(sender)) return;
    if (term > this.#options.dispatcher.term) {
      this.#options.onHigherTerm?.(term);
      return;
    }
    const known = this.#applications.get(sender);
    if (known !== undefined) known.port.profile(profile);
    else {
      const application = new GatewayApplication(replyTo, {
        now: () => this.#clock.now(),
        hasBlob: (hash) => this.#options.dispatcher.hasBlob(hash),
        report: (update) => this.#report(replyTo, sender, update),
        handBack: (taskIds) => {
          for (const taskId of taskIds) this.#courier.add(replyTo, HAND_BACK, taskId);
        },
        ask: (hash) => this.#courier.add(replyTo, ASK, hash),
        capacityChanged: () => this.#tellCapacity(application),
      });
      application.port = this.#options.dispatcher.attach(profile, application);
      this.#applications.set(sender, application);
      this.#logger.info('an application is attached', { application: sender });
    }
    const application = this.#applications.get(sender);
    if (application !== undefined) this.#tellCapacity(application);
  }

  #submit(application: GatewayApplication, tasks: TaskDescription[]): void {
    if (this.#draining) return application.refuse(tasks);
    if (this.#recovering === undefined) return application.submit(tasks);
    this.#recovering.push({ application, tasks });
  }

  #recovered(): void {
    const waiting = this.#recovering ?? [];
    this.#recovering = undefined;
    for (const { application, tasks } of waiting) this.#submit(application, tasks);
    for (const application of this.#applications.values()) this.#tellCapacity(application);
  }

  #report(queue: string, application: string, update: StatusUpdate): void {
    this.#courier.add(queue, this.#reports, { application, epoch: 0, update });
  }

  #beat(): void {
    const { absentMs = 10 * this.#beatMs } = this.#options;
    const now = this.#clock.now();
    for (const [id, application] of this.#applications) {
      if (this.#present.has(id)) application.absentSince = undefined;
      else if (now - (application.absentSince ??= now) > absentMs) {
        this.#detach(id, 'the application was never announced');
        continue;
      }
      this.#tellCapacity(application);
    }
  }

  /** During recovery nothing is said of capacity: the application goes by what the former leader said. */
  #tellCapacity(application: GatewayApplication): void {
    if (this.#recovering !== undefined) return;
    const { slots, workers } = this.#options.dispatcher.capacity();
    const limit = Math.floor(slots * (this.#options.queueDepth ?? 2));
    const { live } = application;
    const capacity = this.#draining ? { slots: 0, limit: 0, workers: 0, live } : { slots, limit, workers, live };
    application.tell(capacity, (body) => this.#courier.post(application.queue, SERVICE_MESSAGE.capacity, body), encodeCapacity);
  }

  #detach(id: string, reason: string): void {
    const application = this.#applications.get(id);
    if (application === undefined) return;
    this.#applications.delete(id);
    application.port.detach(reason);
    this.#logger.info('an application is gone', { application: id, reason });
    this.#deleteQueue(application.queue);
    // A frame that was under way may come after, also because there was no room for it before. By then the application may be back.
    void this.#courier.drop(application.queue)?.then(() => {
      if (!this.#closed && !this.#applications.has(id)) this.#deleteQueue(application.queue);
    });
  }

  #deleteQueue(queue: string): void {
    this.#options.transport.deleteQueue(queue).catch((error: unknown) => this.#logger.debug('a queue stays', { queue, error: (error as Error).message }));
  }

  #remember(id: string): void {
    this.#left.add(id);
    if (this.#left.size > MAX_LEFT) this.#left.delete(this.#left.values().next().value as string);
  }
}
