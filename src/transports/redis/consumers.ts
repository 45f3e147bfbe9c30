import { createLogger } from '../../core/logger.ts';
import { decodeEnvelope } from '../../protocol/codec.ts';
import type { Envelope } from '../../protocol/envelope.ts';
import { Arrivals } from '../arrivals.ts';
import type { Delivery } from '../contract.ts';
import type { ParcelFrame } from './parcels.ts';

const logger = createLogger('redis');

/** What a consumer needs of the transport. */
export interface ConsumerHost {
  readonly maxFrameBytes: number;
  /** The consumer has acknowledgements to write, or what it took by itself. */
  dirty(consumer: RedisConsumer): void;
  nack(consumer: RedisConsumer, tag: string): void;
  /** The body of a large frame. Rejects when the connection is lost or the body is gone. */
  fetch(queue: string, tag: string, bytes: number): Promise<Uint8Array>;
}

class RedisDelivery implements Delivery {
  readonly envelope: Envelope;
  readonly redelivered: boolean;
  readonly tag: string;
  readonly #consumer: RedisConsumer;

  constructor(envelope: Envelope, redelivered: boolean, consumer: RedisConsumer, tag: string) {
    this.envelope = envelope;
    this.redelivered = redelivered;
    this.#consumer = consumer;
    this.tag = tag;
  }

  ack(): void {
    this.#consumer.answer(this.tag, 'ack');
  }

  nack(options?: { requeue?: boolean }): void {
    this.#consumer.answer(this.tag, (options?.requeue ?? true) ? 'nack' : 'ack');
  }
}

/**
 * One consumer of one queue, through any number of connections: what it holds unacknowledged stays its own when the
 * connection is made again in time, and acknowledgements that were not answered are made again.
 */
export class RedisConsumer {
  readonly queue: string;
  readonly number: number;
  readonly prefetch: number;
  /** Grows with every attach; what is published for an earlier one is ignored. */
  generation = 0;
  cancelled = false;
  /** What arrives now is not handed on: it goes to others with the goodbye of this client. */
  closed = false;
  /** What it reads by itself with. */
  reader: { wake(): void } | undefined;
  /** Frames it took by itself, and their bytes, that the script was not told of. */
  readonly taken = { frames: 0, bytes: 0 };
  /** Frames it gave back that come to it again, since there is no other. */
  #returning = 0;
  readonly #host: ConsumerHost;
  readonly #handle: (delivery: Delivery) => void;
  /** Tags given to the handler, or about to be. */
  readonly #held = new Set<string>();
  /** Acknowledged here, not known to be done there. */
  readonly acked = new Set<string>();
  /** Those of them that are being said. */
  readonly underWay = new Set<string>();
  /** Given back while there was no connection. */
  readonly nacked = new Set<string>();
  /** Tags that were given to it once more since it attached, while it had them. */
  readonly #again = new Set<string>();
  readonly #arrivals = new Arrivals<RedisDelivery>((delivery) => this.#deliver(delivery));

  constructor(queue: string, number: number, prefetch: number, host: ConsumerHost, handle: (delivery: Delivery) => void) {
    this.queue = queue;
    this.number = number;
    this.prefetch = prefetch;
    this.#host = host;
    this.#handle = handle;
  }

  /** The tags of what it holds, acknowledged or not, which is not to be delivered again. */
  attaching(): string[] {
    this.generation++;
    this.#again.clear();
    this.nacked.clear();
    this.taken.frames = this.taken.bytes = 0;
    this.#returning = 0;
    return [...this.#held, ...this.acked];
  }

  /** Frames it may be given. */
  get credit(): number {
    return this.prefetch - this.#held.size - this.#returning;
  }

  /** It is about to ask whether it may read by itself. */
  asking(): void {
    this.#returning = 0;
  }

  took(frames: number, bytes: number): void {
    this.taken.frames += frames;
    this.taken.bytes += bytes;
    this.#host.dirty(this);
  }

  get idle(): boolean {
    return this.#held.size === 0 && this.acked.size === 0;
  }

  /** What the broker no longer counts as its own: done, or given to another while this client was taken for dead. */
  disown(tags: readonly Buffer[]): void {
    for (const each of tags) {
      const tag = each.toString('latin1');
      if (this.#again.has(tag)) continue;
      this.#held.delete(tag);
      this.acked.delete(tag);
    }
  }

  /** A frame for it, or the head of one (its body beside the queue). */
  receive({ generation, redelivered, tag, envelope, body, length }: ParcelFrame): void {
    if (this.closed || generation !== this.generation) return;
    if (redelivered && this.#returning > 0) this.#returning--;
    if (this.#held.has(tag) || this.acked.has(tag)) return void this.#again.add(tag);
    this.#held.add(tag);
    if (this.cancelled) return this.answer(tag, 'nack');
    try {
      const beside = body?.length ?? length ?? 0;
      if (beside > this.#host.maxFrameBytes) throw new Error(`its body of ${beside} bytes is over the limit`);
      const head = decodeEnvelope(envelope, this.#host.maxFrameBytes + 16_384);
      const whole = length === undefined ? (body === undefined ? head : withBody(head, body)) : this.#fetch(head, tag, length);
      const made = (each: Envelope): RedisDelivery => new RedisDelivery(each, redelivered, this, tag);
      this.#arrivals.add(whole instanceof Promise ? whole.then(made) : made(whole), (error) => this.#refuse(tag, error, isGone(error) ? 'ack' : 'nack'));
    } catch (error) {
      this.#refuse(tag, error, 'ack');
    }
  }

  answer(tag: string, how: 'ack' | 'nack'): void {
    if (!this.#held.delete(tag)) return;
    if (how === 'nack') {
      this.#returning++;
      return this.#host.nack(this, tag);
    }
    this.acked.add(tag);
    this.#host.dirty(this);
    this.reader?.wake();
  }

  async #fetch(head: Envelope, tag: string, length: number): Promise<Envelope> {
    return withBody(head, await this.#host.fetch(this.queue, tag, length));
  }

  /** What can never be handled is dropped, or it would come back for ever; a body that cannot be fetched now (Redis is lost, or loads its data) goes back. */
  #refuse(tag: string, error: unknown, how: 'ack' | 'nack'): void {
    logger.warn('a frame was refused', { queue: this.queue, error: (error as Error).message });
    this.answer(tag, how);
  }

  #deliver(delivery: RedisDelivery): void {
    if (this.closed || !this.#held.has(delivery.tag)) return;
    if (this.cancelled) this.answer(delivery.tag, 'nack');
    else this.#handle(delivery);
  }
}

function isGone(error: unknown): boolean {
  return (error as { code?: string }).code === 'SP_TRANSPORT_BAD_FRAME';
}

/** The body came apart from its envelope; a signature stayed there. */
function withBody(head: Envelope, body: Uint8Array): Envelope {
  return { ...head, body: head.body.length === 0 ? body : Buffer.concat([head.body, body]) };
}
