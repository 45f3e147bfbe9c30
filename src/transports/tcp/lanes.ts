import { IdMap } from '../../core/id-map.ts';
import type { Envelope } from '../../protocol/envelope.ts';
import { Deque } from '../deque.ts';

/** Something a session does exactly once: a send, or (without envelope) the deletion of a queue. */
export interface Operation {
  readonly queue: string;
  readonly envelope: Envelope | undefined;
  readonly bytes: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

interface Lane {
  readonly waiting: Deque<Operation>;
  frames: number;
  bytes: number;
}

/** Lanes that stay with nothing in them: most clients say all they have to say to a few queues. */
const IDLE_LANES = 64;

/**
 * Operations on their way to the hub. Each queue has a lane with a window of unconfirmed frames and bytes of its own, so a
 * full queue holds up nobody but its own senders. A number is given when an operation is first written, and kept when it is
 * written again.
 */
export class Lanes {
  readonly #write: (seq: number, operation: Operation) => void;
  readonly #writable: () => boolean;
  readonly #lanes = new Map<string, Lane>();
  /** Written and unconfirmed, by their numbers. */
  readonly #pending = new IdMap<Operation>();
  #nextSeq = 1;
  #open = false;
  /** What was unconfirmed when the connection ended, as numbers that fall, and is not yet written again. */
  #again: number[] | undefined;
  #windowFrames = 1;
  #windowBytes = 1;

  /** @param writable false while the connection has enough to write; `resume()` is called when it has not */
  constructor(write: (seq: number, operation: Operation) => void, writable: () => boolean) {
    this.#write = write;
    this.#writable = writable;
  }

  /** Connected: writes again what is unconfirmed, then what waited. */
  open(windowFrames: number, windowBytes: number): void {
    this.#windowFrames = windowFrames;
    this.#windowBytes = windowBytes;
    this.#open = true;
    this.#again = this.#pending.ids().reverse();
    this.resume();
  }

  resume(): void {
    while (this.#again !== undefined && this.#open && this.#writable()) {
      const seq = this.#again.pop();
      if (seq === undefined) {
        this.#again = undefined;
        break;
      }
      const operation = this.#pending.get(seq);
      if (operation !== undefined) this.#write(seq, operation);
    }
    for (const lane of this.#lanes.values()) this.#pump(lane);
  }

  /** Disconnected: everything waits. */
  shut(): void {
    this.#open = false;
    this.#again = undefined;
  }

  add(operation: Operation): void {
    let lane = this.#lanes.get(operation.queue);
    if (lane === undefined) {
      lane = { waiting: new Deque(), frames: 0, bytes: 0 };
      this.#lanes.set(operation.queue, lane);
    }
    lane.waiting.push(operation);
    this.#pump(lane);
  }

  /** The hub has done it, or refused it. */
  settle(seq: number, error?: Error): void {
    const operation = this.#pending.delete(seq);
    if (operation === undefined) return;
    const lane = this.#lanes.get(operation.queue) as Lane;
    lane.frames--;
    lane.bytes -= operation.bytes;
    if (error === undefined) operation.resolve();
    else operation.reject(error);
    this.#pump(lane);
    if (this.#lanes.size > IDLE_LANES && lane.frames === 0 && lane.waiting.size === 0) this.#lanes.delete(operation.queue);
  }

  /** Gives everything up. */
  failAll(error: Error): void {
    const operations = this.#pending.values();
    for (const lane of this.#lanes.values()) {
      for (let next = lane.waiting.shift(); next !== undefined; next = lane.waiting.shift()) operations.push(next);
    }
    this.#pending.clear();
    this.#lanes.clear();
    for (const operation of operations) operation.reject(error);
  }

  #pump(lane: Lane): void {
    if (!this.#open || this.#again !== undefined) return;
    for (let next = lane.waiting.peek(); next !== undefined && this.#open && this.#writable(); next = lane.waiting.peek()) {
      const fits = lane.frames === 0 || (lane.frames < this.#windowFrames && lane.bytes + next.bytes <= this.#windowBytes);
      if (!fits) return;
      lane.waiting.shift();
      lane.frames++;
      lane.bytes += next.bytes;
      const seq = this.#nextSeq++;
      this.#pending.set(seq, next);
      this.#write(seq, next);
    }
  }
}
