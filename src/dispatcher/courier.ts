import type { Clock, Timer } from '../core/clock.ts';
import { SparkProxyError } from '../core/errors.ts';
import { IdMap } from '../core/id-map.ts';
import type { Logger } from '../core/logger.ts';
import { envelopeFactory, splitBatch } from '../protocol/batch.ts';
import type { Transport } from '../transports/contract.ts';

/** A kind of message that holds many items. */
export interface Batched<T> {
  readonly type: string;
  readonly encode: (items: readonly T[]) => Uint8Array;
  readonly sizeOf: (item: T) => number;
  /** It can never be sent: too large, or it cannot be encoded. */
  readonly refused: (queue: string, item: T, cause: unknown) => void;
}

interface Frame {
  readonly type: string;
  readonly body: () => Uint8Array;
  readonly refused: (cause: unknown) => void;
}

/** Items of one kind in a row. */
interface Run {
  readonly kind: Batched<unknown>;
  readonly items: unknown[];
}

interface Box {
  /** Of this turn. */
  written: (Run | Frame)[];
  /** Frames for which there was no room under way. */
  frames: Frame[];
  underWay: number;
  /** It was dropped: called when nothing is under way any more. */
  emptied?: () => void;
}

/** Frames under way to one queue: what one receiver may be slow by, and the most that is encoded before it is needed. */
const WINDOW = 32;
/** After a failed send. */
const RETRY_MS = 500;

/**
 * Letters between an application and a dispatcher: what is written in a turn of the event loop leaves in frames of at most
 * 64 items and 256 KiB, in order, a window of frames under way to each queue. What the transport could not take is sent
 * again until its queue is dropped, so a frame may arrive twice, and late.
 */
export class Courier {
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #envelope: ReturnType<typeof envelopeFactory>;
  readonly #boxes = new Map<string, Box>();
  /** Frames on their way, by a number. */
  readonly #pending = new IdMap<Promise<void>>();
  #sent = 0;
  #scheduled = false;
  #retry: Timer | undefined;
  #closed = false;
  #warned = false;

  constructor(options: { transport: Transport; clock: Clock; logger: Logger; id: string; replyTo: string }) {
    this.#transport = options.transport;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#envelope = envelopeFactory(options.id, options.replyTo);
  }

  /** One item of a batch. */
  add<T>(queue: string, kind: Batched<T>, item: T): void {
    const box = this.#box(queue);
    const last = box.written.at(-1);
    if (last !== undefined && 'kind' in last && last.kind === kind) last.items.push(item);
    else box.written.push({ kind: kind as Batched<unknown>, items: [item] });
  }

  /** A frame of its own. */
  post(queue: string, type: string, body: () => Uint8Array, refused: (cause: unknown) => void = () => undefined): void {
    this.#box(queue).written.push({ type, body, refused });
  }

  /** Nobody reads this queue any more. Resolves when what was under way to it has been sent or refused; undefined: there was nothing. */
  drop(queue: string): Promise<void> | undefined {
    const box = this.#boxes.get(queue);
    this.#boxes.delete(queue);
    return box === undefined || box.underWay === 0 ? undefined : new Promise<void>((resolve) => (box.emptied = resolve));
  }

  /** Writes what waits; resolves when the transport has answered for everything under way, and nothing waits for room. */
  async flushed(): Promise<void> {
    do {
      this.#flush();
      await Promise.all(this.#pending.values());
    } while (!this.#closed && this.#retry === undefined && [...this.#boxes.values()].some((box) => box.written.length + box.frames.length + box.underWay > 0));
  }

  close(): void {
    this.#closed = true;
    this.#retry?.cancel();
    this.#boxes.clear();
  }

  #box(queue: string): Box {
    let box = this.#boxes.get(queue);
    if (box === undefined) this.#boxes.set(queue, (box = { written: [], frames: [], underWay: 0 }));
    if (!this.#scheduled && !this.#closed) {
      this.#scheduled = true;
      setImmediate(() => this.#flush());
    }
    return box;
  }

  #flush(): void {
    this.#scheduled = false;
    if (this.#closed) return;
    for (const [queue, box] of this.#boxes) {
      const written = box.written;
      box.written = [];
      for (const one of written) {
        if ('kind' in one) for (const items of splitBatch(one.items, one.kind.sizeOf)) box.frames.push(frameOf(queue, one.kind, items, box));
        else box.frames.push(one);
      }
      this.#fill(queue, box);
    }
  }

  #fill(queue: string, box: Box): void {
    while (box.underWay < WINDOW && box.frames.length > 0 && this.#retry === undefined) this.#send(queue, box, box.frames.shift() as Frame);
    if (box.underWay === 0 && box.frames.length === 0 && box.written.length === 0 && this.#boxes.get(queue) === box) this.#boxes.delete(queue);
  }

  #send(queue: string, box: Box, frame: Frame): void {
    let body: Uint8Array;
    try {
      body = frame.body();
    } catch (cause) {
      frame.refused(cause);
      return;
    }
    box.underWay++;
    const number = ++this.#sent;
    const sending = this.#transport.send(queue, this.#envelope(frame.type, body)).then(
      () => {
        this.#warned = false;
        this.#done(queue, box, number);
      },
      (cause: unknown) => {
        const code = SparkProxyError.is(cause) ? cause.code : '';
        if (code === 'SP_TRANSPORT_FRAME_TOO_LARGE') frame.refused(cause);
        else if (code === 'SP_TRANSPORT_CLOSED') this.close();
        else if (!this.#closed && this.#boxes.get(queue) === box) this.#again(queue, box, frame, cause);
        this.#done(queue, box, number);
      },
    );
    this.#pending.set(number, sending);
  }

  #done(queue: string, box: Box, number: number): void {
    box.underWay--;
    void this.#pending.delete(number);
    if (box.emptied !== undefined) {
      if (box.underWay === 0) box.emptied();
    } else if (!this.#closed) this.#fill(queue, box);
  }

  #again(queue: string, box: Box, frame: Frame, cause: unknown): void {
    box.frames.unshift(frame);
    // One line an outage, not one a frame.
    if (!this.#warned) this.#logger.warn('a frame could not be sent; it is kept', { queue, type: frame.type, error: (cause as Error).message });
    this.#warned = true;
    this.#retry ??= this.#clock.after(
      RETRY_MS,
      () => {
        this.#retry = undefined;
        this.#flush();
      },
      { background: true },
    );
  }
}

/** A frame that is refused as a whole is cut into its items: only the one at fault is refused. */
function frameOf(queue: string, kind: Batched<unknown>, items: readonly unknown[], box: Box): Frame {
  return {
    type: kind.type,
    body: () => kind.encode(items),
    refused(cause) {
      if (items.length === 1) kind.refused(queue, items[0], cause);
      else box.frames.unshift(...items.map((item) => frameOf(queue, kind, [item], box)));
    },
  };
}
