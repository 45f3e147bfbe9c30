import type { Clock, Timer } from '../core/clock.ts';
import type { Random } from '../core/ids.ts';
import type { Envelope } from '../protocol/envelope.ts';
import { Deque } from './deque.ts';
import type { KeepAlive } from './keep-alive.ts';
import { backoffMs } from './reconnector.ts';

/** A frame on its way, and who waits for it. */
export interface Outgoing {
  readonly envelope: Envelope;
  readonly bytes: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** Frames of one queue that are handed to the broker together. Number `first + i` is that of `frames[i]`. */
export interface Batch {
  readonly queue: string;
  /** Lowest number that is not confirmed: everything below is in the queue. */
  readonly base: number;
  readonly first: number;
  readonly frames: readonly Outgoing[];
}

export interface BatchResult {
  /** The broker has taken responsibility for so many, from the first. */
  readonly accepted: number;
  /** The queue has no room for the next. */
  readonly full?: boolean;
  /** The broker takes nothing at present: tried again for `stallMs`, then the frames fail with this. */
  readonly stalled?: Error;
  /** The next frame can never be taken. */
  readonly refused?: Error;
}

export interface OutboxOptions {
  /** Never called for one queue before the calls for frames in front were made. A rejection means that the connection was lost. */
  push(batch: Batch): Promise<BatchResult>;
  /** Larger frames travel alone. */
  readonly inlineBytes: number;
  readonly stallMs: number;
  /** Calls of a queue under way at a time: few where a call is dear and frames had better wait for the next, many where it is not. */
  readonly maxCalls: number;
  /** So many frames that wait are pushed at once, before the turn of the event loop ends, so that the broker works meanwhile. @defaultValue none */
  readonly promptFrames?: number;
  /** The first frame after a silence leaves when the callback that sent it has ended: before the turn of the event loop does. @defaultValue false */
  readonly firstAtOnce?: boolean;
  /** Bytes of a batch while few calls are under way: small ones let both sides work at a time. @defaultValue MAX_BATCH_BYTES */
  readonly batchBytes?: number;
  readonly keepAlive: KeepAlive;
  readonly clock: Clock;
  readonly random: Random;
}

interface Lane {
  readonly queue: string;
  /** Numbered from `base`, in order: in flight up to `next`, waiting from there. */
  frames: Deque<Outgoing>;
  base: number;
  next: number;
  /** Of those in flight. */
  bytes: number;
  calls: number;
  /** A frame that travels alone is under way. */
  alone: boolean;
  /** An answer said that frames were not taken: those after it are pushed again when all answers are in. */
  rewind: boolean;
  full: boolean;
  attempts: number;
  stalledSince: number | undefined;
  retry: Timer | undefined;
  /** The queue was deleted while a call was under way. */
  dropping: boolean;
}

const MAX_BATCH_FRAMES = 64;
const MAX_BATCH_BYTES = 1_048_576;
/** Frames and bytes of a lane on their way and not answered for: what is pushed again at most after a lost connection. */
const MAX_UNANSWERED_FRAMES = 256;
const MAX_UNANSWERED_BYTES = 4_194_304;
const POLL_MS = 20;
const MAX_POLL_MS = 1000;

/**
 * Frames on their way to a broker. Each queue has a lane of its own, so a full queue holds up nobody but its own senders.
 * What is sent in one turn of the event loop travels as one batch; while batches are under way the next one fills.
 *
 * ORDERING, IDEMPOTENCY: frames of a lane have consecutive numbers, kept when they are pushed again; the broker's side takes
 * only the next number it expects, and recognises those it has.
 */
export class Outbox {
  readonly #options: OutboxOptions;
  readonly #lanes = new Map<string, Lane>();
  readonly #dirty = new Set<Lane>();
  /** A new lane begins behind every number ever used. */
  #numbered = 1;
  #generation = 0;
  #open = false;
  #scheduled = false;

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  add(queue: string, envelope: Envelope, bytes: number): Promise<void> {
    return this.#options.keepAlive.hold((resolve, reject) => {
      let lane = this.#lanes.get(queue);
      if (lane === undefined) {
        const base = this.#numbered;
        lane = {
          queue,
          frames: new Deque(),
          base,
          next: base,
          bytes: 0,
          calls: 0,
          alone: false,
          rewind: false,
          full: false,
          attempts: 0,
          stalledSince: undefined,
          retry: undefined,
          dropping: false,
        };
        this.#lanes.set(queue, lane);
      }
      lane.frames.push({ envelope, bytes, resolve, reject });
      this.#mark(lane);
      const waiting = lane.frames.size - (lane.next - lane.base);
      if (this.#open && waiting >= (this.#options.promptFrames ?? Number.POSITIVE_INFINITY)) this.#pump(lane);
    });
  }

  /** Connected: what is unconfirmed is pushed again, then what waited. */
  open(): void {
    this.#open = true;
    for (const lane of this.#lanes.values()) {
      this.#reset(lane);
      this.#mark(lane);
    }
  }

  /** Disconnected: everything waits; answers that are due come no more. */
  shut(): void {
    this.#open = false;
    this.#generation++;
    for (const lane of this.#lanes.values()) this.#reset(lane);
  }

  /** There may be room in the queue. */
  room(queue: string): void {
    const lane = this.#lanes.get(queue);
    if (lane === undefined || !lane.full) return;
    lane.attempts = 0;
    this.#again(lane);
  }

  /** The queue was deleted: frames that wait for room in it count as done. */
  dropped(queue: string): void {
    const lane = this.#lanes.get(queue);
    if (lane === undefined) return;
    if (lane.calls > 0) lane.dropping = true;
    else if (lane.full) this.#settleAll(lane);
  }

  failAll(error: Error): void {
    for (const lane of this.#lanes.values()) this.#settleAll(lane, error);
    this.#generation++;
  }

  #reset(lane: Lane): void {
    lane.retry?.cancel();
    lane.retry = undefined;
    lane.next = lane.base;
    lane.bytes = lane.calls = 0;
    lane.alone = lane.rewind = lane.full = lane.dropping = false;
    lane.stalledSince = undefined;
  }

  #settleAll(lane: Lane, error?: Error): void {
    this.#lanes.delete(lane.queue);
    this.#dirty.delete(lane);
    lane.retry?.cancel();
    this.#numbered = Math.max(this.#numbered, lane.base + lane.frames.size);
    for (let frame = lane.frames.shift(); frame !== undefined; frame = lane.frames.shift()) {
      if (error === undefined) frame.resolve();
      else frame.reject(error);
    }
  }

  #mark(lane: Lane): void {
    this.#dirty.add(lane);
    if (this.#scheduled || !this.#open) return;
    this.#scheduled = true;
    const alone = this.#options.firstAtOnce === true && lane.calls === 0 && lane.frames.size === 1;
    const schedule = alone ? process.nextTick : setImmediate;
    schedule(() => {
      this.#scheduled = false;
      const dirty = [...this.#dirty];
      this.#dirty.clear();
      for (const each of dirty) this.#pump(each);
    });
  }

  #pump(lane: Lane): void {
    while (this.#open && this.#mayCall(lane)) {
      const frames: Outgoing[] = [];
      let bytes = 0;
      // Where many are under way the link is slow, or the broker: then they had better be large.
      const few = lane.calls < this.#options.maxCalls / 2;
      const maxBytes = few ? (this.#options.batchBytes ?? MAX_BATCH_BYTES) : MAX_BATCH_BYTES;
      for (let i = lane.next - lane.base; i < lane.frames.size && frames.length < MAX_BATCH_FRAMES; i++) {
        const frame = lane.frames.at(i) as Outgoing;
        const large = frame.envelope.body.length > this.#options.inlineBytes;
        if (frames.length > 0 && (large || bytes + frame.bytes > maxBytes)) break;
        if (large && lane.calls > 0) return;
        frames.push(frame);
        bytes += frame.bytes;
        if (large) {
          lane.alone = true;
          break;
        }
      }
      if (frames.length === 0) return;
      const batch = { queue: lane.queue, base: lane.base, first: lane.next, frames };
      lane.next += frames.length;
      lane.bytes += bytes;
      lane.calls++;
      const generation = this.#generation;
      this.#options.push(batch).then(
        (result) => {
          if (generation === this.#generation && this.#lanes.get(lane.queue) === lane) this.#answered(lane, batch, result);
        },
        // The connection is lost: `open` pushes it again.
        () => undefined,
      );
    }
  }

  #mayCall(lane: Lane): boolean {
    if (lane.alone || lane.rewind || lane.retry !== undefined || lane.calls >= this.#options.maxCalls) return false;
    return lane.next - lane.base < MAX_UNANSWERED_FRAMES && lane.bytes < MAX_UNANSWERED_BYTES;
  }

  #answered(lane: Lane, batch: Batch, { accepted, full = false, stalled, refused }: BatchResult): void {
    lane.calls--;
    for (const { bytes } of batch.frames) lane.bytes -= bytes;
    lane.alone = false;
    // Answers come in the order of the calls; behind one that was not taken whole, nothing was taken.
    if (!lane.rewind) {
      for (let i = 0; i < accepted; i++) {
        lane.base++;
        lane.frames.shift()?.resolve();
      }
      if (accepted > 0) {
        lane.attempts = 0;
        lane.stalledSince = undefined;
      }
      if (accepted < batch.frames.length) {
        lane.rewind = true;
        lane.full = full;
        if (refused !== undefined) {
          lane.base++;
          lane.frames.shift()?.reject(refused);
        }
        if (stalled !== undefined && this.#isStalled(lane, stalled)) return;
        if (full && lane.dropping) return this.#settleAll(lane);
        if (full || stalled !== undefined) this.#wait(lane);
      }
    }
    if (lane.calls === 0) {
      lane.dropping = false;
      if (lane.rewind) lane.next = lane.base;
      lane.rewind = false;
    }
    if (lane.frames.size > 0) return this.#pump(lane);
    this.#lanes.delete(lane.queue);
    this.#numbered = Math.max(this.#numbered, lane.base);
  }

  #isStalled(lane: Lane, reason: Error): boolean {
    const now = this.#options.clock.now();
    lane.stalledSince ??= now;
    if (now - lane.stalledSince < this.#options.stallMs) return false;
    this.#settleAll(lane, reason);
    return true;
  }

  /** Looks again after a while, also where the broker tells when there is room: what it tells may be lost. */
  #wait(lane: Lane): void {
    const { clock, random } = this.#options;
    lane.retry ??= clock.after(POLL_MS / 2 + backoffMs(lane.attempts++, MAX_POLL_MS, random, POLL_MS), () => this.#again(lane), { background: true });
  }

  #again(lane: Lane): void {
    lane.retry?.cancel();
    lane.retry = undefined;
    this.#pump(lane);
  }
}
