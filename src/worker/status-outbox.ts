import type { Clock, Timer } from '../core/clock.ts';
import { IdMap } from '../core/id-map.ts';
import { soon } from '../core/soon.ts';
import { SparkProxyError } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import { envelopeFactory, splitBatch, statusBytes } from '../protocol/batch.ts';
import type { Content } from '../protocol/envelope.ts';
import { statusFor } from '../protocol/handover.ts';
import { encodeBlobMissing, MESSAGE, type LeasedStatus } from '../protocol/messages.ts';
import type { TaskDescription } from '../protocol/task.ts';
import type { Transport } from '../transports/contract.ts';
import type { Frame } from './tasks.ts';

export interface OutgoingStatus extends LeasedStatus {
  /** Until the transport has taken it: whose task it is, and the frame to settle then. Undefined for a mere RUNNING. */
  task: TaskDescription | undefined;
  frame: Pick<Frame, 'settle'> | undefined;
}

export interface StatusOutboxOptions {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly id: string;
  readonly queue: string;
  /** A status can never be sent: what to say instead. */
  readonly tooLarge: (status: OutgoingStatus, task: TaskDescription, cause: unknown) => OutgoingStatus;
}

/** After a failed send. */
const RETRY_MS = 500;
/** Of what was said to a leader lately; both limits hold. */
const MAX_SAID = 4096;
const MAX_SAID_BYTES = 8_388_608;

/**
 * What a worker says to dispatchers, in frames of at most 64 updates and 256 KiB.
 * A frame the transport refuses is kept and sent again; memory is bounded by what dispatchers let it hold.
 */
export class StatusOutbox {
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #envelope: ReturnType<typeof envelopeFactory>;
  #updates = new Map<string, OutgoingStatus[]>();
  #missing = new Map<string, Set<string>>();
  /** Queues nobody reads at present: what is added for them is kept until it is rerouted or dropped. */
  readonly #held = new Set<string>();
  /** Frames on their way, by a number. */
  readonly #pending = new IdMap<Promise<void>>();
  #sent = 0;
  /** Queue of the leader that is followed. */
  #leader: string | undefined;
  /** How tasks ended, as the leader was told lately: should it be gone before it has read that, the next one is told. */
  #said: OutgoingStatus[] = [];
  #saidBytes = 0;
  /** Of those: said before its last beat. */
  #beforeBeat = 0;
  #scheduled = false;
  #isAwaited = false;
  #retry: Timer | undefined;
  readonly #tooLarge: StatusOutboxOptions['tooLarge'];
  #closed = false;
  /** One line an outage, not one a frame. */
  #warned = false;

  constructor(options: StatusOutboxOptions) {
    this.#tooLarge = options.tooLarge;
    this.#transport = options.transport;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#envelope = envelopeFactory(options.id, options.queue);
  }

  add(queue: string, status: OutgoingStatus): void {
    const updates = this.#updates.get(queue);
    if (updates === undefined) this.#updates.set(queue, [status]);
    else updates.push(status);
    this.schedule();
  }

  askFor(queue: string, hash: string): void {
    const hashes = this.#missing.get(queue);
    if (hashes === undefined) this.#missing.set(queue, new Set([hash]));
    else hashes.add(hash);
    this.schedule();
  }

  /** Its reader has gone, another will take its place: what is said from now on is kept for that one. */
  hold(queue: string): void {
    this.#held.add(queue);
  }

  /** A leader has come: it is told what the one before it may not have read. */
  follow(queue: string): void {
    const former = this.#leader;
    this.#leader = queue;
    if (former === undefined || former === queue) return;
    const again = [...this.#said];
    this.#forgetSaid(this.#said.length);
    this.#updates.set(former, [...again, ...(this.#updates.get(former) ?? [])]);
    this.reroute(former, queue);
  }

  /** The leader beats: what it was told before its last beat it has read. */
  leaderBeat(): void {
    this.#forgetSaid(this.#beforeBeat);
    this.#beforeBeat = this.#said.length;
  }

  /** What waits for `from` goes to `to`. */
  reroute(from: string, to: string): void {
    this.#held.delete(from);
    const updates = this.#updates.get(from);
    this.#updates.delete(from);
    this.#missing.delete(from);
    if (updates === undefined) return;
    this.#updates.set(to, [...updates, ...(this.#updates.get(to) ?? [])]);
    this.schedule();
  }

  /** A frame of another kind, before what is said after it. */
  say(queue: string, type: string, body: Uint8Array): void {
    this.#flush();
    this.#write(
      queue,
      type,
      body,
      () => undefined,
      () => undefined,
    );
  }

  schedule(): void {
    if (this.#scheduled || this.#closed) return;
    this.#scheduled = true;
    soon(this.#soon);
  }

  /** What is being said is the last for now: the dispatcher waits for it. Else what ends in this turn of the event loop shares a frame. */
  prompt(): void {
    this.#isAwaited = true;
  }

  readonly #soon = (): void => {
    if (this.#isAwaited) this.#flush();
    else setImmediate(this.#flushDue);
  };

  readonly #flushDue = (): void => this.#flush();

  /** Forgets what waits for a dispatcher that has gone. */
  drop(queue: string): void {
    this.#updates.delete(queue);
    this.#missing.delete(queue);
    this.#held.delete(queue);
  }

  /** Resolves when the transport has answered for everything added so far. */
  async flushed(): Promise<void> {
    this.#flush();
    await Promise.all(this.#pending.values());
  }

  close(): void {
    this.#closed = true;
    this.#retry?.cancel();
    this.#updates.clear();
    this.#missing.clear();
    this.#said = [];
  }

  #flush(): void {
    if (this.#closed) return;
    this.#scheduled = false;
    this.#isAwaited = false;
    const missing = this.#missing;
    if (missing.size > 0) this.#missing = new Map();
    // Lost questions are asked again by the host.
    for (const [queue, hashes] of missing)
      this.#write(
        queue,
        MESSAGE.blobMissing,
        encodeBlobMissing([...hashes]),
        () => undefined,
        () => undefined,
      );
    for (const [queue, statuses] of this.#updates) {
      if (statuses.length === 0 || this.#held.has(queue)) continue;
      // Not deleted: see IdMap.
      this.#updates.set(queue, []);
      for (const batch of splitBatch(statuses, statusBytes)) this.#sendUpdates(queue, batch);
    }
  }

  #sendUpdates(queue: string, statuses: readonly OutgoingStatus[]): void {
    const taken = (): void => {
      if (queue === this.#leader) this.#remember(statuses);
      for (const status of statuses) {
        status.frame?.settle();
        // What was said is remembered, what was asked need not be.
        status.frame = undefined;
        status.task = undefined;
      }
    };
    this.#write(queue, MESSAGE.status, statusFor(this.#transport, statuses), taken, (cause) => {
      if (!SparkProxyError.is(cause) || cause.code !== 'SP_TRANSPORT_FRAME_TOO_LARGE') return this.#keep(queue, statuses);
      if (statuses.length > 1) for (const status of statuses) this.#sendUpdates(queue, [status]);
      else if (statuses[0]?.task !== undefined) this.add(queue, this.#tooLarge(statuses[0], statuses[0].task, cause));
    });
  }

  #remember(statuses: readonly OutgoingStatus[]): void {
    for (const status of statuses) {
      if (status.update.state === 'RUNNING') continue;
      this.#said.push(status);
      this.#saidBytes += statusBytes(status);
    }
    let oldest = 0;
    for (let bytes = this.#saidBytes; this.#said.length - oldest > MAX_SAID || bytes > MAX_SAID_BYTES; oldest++) {
      bytes -= statusBytes(this.#said[oldest] as OutgoingStatus);
    }
    if (oldest > 0) this.#forgetSaid(Math.max(oldest, MAX_SAID / 4));
  }

  #forgetSaid(count: number): void {
    for (const status of this.#said.splice(0, count)) this.#saidBytes -= statusBytes(status);
    this.#beforeBeat = Math.max(0, this.#beforeBeat - count);
  }

  #keep(queue: string, statuses: readonly OutgoingStatus[]): void {
    if (this.#closed) return;
    this.#updates.set(queue, [...statuses, ...(this.#updates.get(queue) ?? [])]);
    this.#retry ??= this.#clock.after(
      RETRY_MS,
      () => {
        this.#retry = undefined;
        this.#flush();
      },
      { background: true },
    );
  }

  #write(queue: string, type: string, body: Uint8Array | Content, taken: () => void, failed: (cause: unknown) => void): void {
    const number = ++this.#sent;
    const sending = this.#transport.send(queue, this.#envelope(type, body)).then(
      () => {
        void this.#pending.delete(number);
        this.#warned = false;
        taken();
      },
      (cause: unknown) => {
        void this.#pending.delete(number);
        // Closed by this process: there is no later.
        if (SparkProxyError.is(cause) && cause.code === 'SP_TRANSPORT_CLOSED') this.close();
        if (!this.#closed && !this.#warned) this.#logger.warn('a frame could not be sent', { queue, type, error: (cause as Error).message });
        this.#warned = true;
        failed(cause);
      },
    );
    this.#pending.set(number, sending);
  }
}
