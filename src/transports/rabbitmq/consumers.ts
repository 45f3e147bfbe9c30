import type { Channel, ConsumeMessage } from 'amqplib';
import type { Clock, Timer } from '../../core/clock.ts';
import { createLogger } from '../../core/logger.ts';
import type { Random } from '../../core/ids.ts';
import { decodeEnvelope } from '../../protocol/codec.ts';
import type { Envelope } from '../../protocol/envelope.ts';
import { Arrivals } from '../arrivals.ts';
import type { Delivery } from '../contract.ts';
import { backoffMs, isConnectionError } from '../reconnector.ts';
import type { FetchedBody, LargeBodies } from './large.ts';
import { Acknowledgements } from './acknowledgements.ts';
import { GOODBYE_MS, withinMs, type RabbitSession } from './connection.ts';

const logger = createLogger('rabbitmq');
/** Ids of frames that were acknowledged lately: a copy of one is not handled again. */
const REMEMBERED = 4096;

/** A frame in the hands of the handler. */
interface Held {
  /** The channel its tags belong to. */
  channel: Channel;
  /** What is to be acknowledged: more than one when the broker has copies of it. */
  tags: ConsumeMessage[];
  large: FetchedBody | undefined;
}

class RabbitDelivery implements Delivery {
  readonly envelope: Envelope;
  readonly redelivered: boolean;
  readonly id: string;
  readonly #consumer: RabbitConsumer;

  constructor(envelope: Envelope, redelivered: boolean, consumer: RabbitConsumer, id: string) {
    this.envelope = envelope;
    this.redelivered = redelivered;
    this.#consumer = consumer;
    this.id = id;
  }

  ack(): void {
    this.#consumer.answer(this.id, 'ack');
  }

  nack(options?: { requeue?: boolean }): void {
    this.#consumer.answer(this.id, (options?.requeue ?? true) ? 'nack' : 'drop');
  }
}

export interface RabbitConsumerOptions {
  readonly queue: string;
  readonly prefetch: number;
  readonly maxFrameBytes: number;
  readonly maxBackoffMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly large: LargeBodies;
  /** Makes the queue if need be. */
  declare(session: RabbitSession): Promise<void>;
  handle(delivery: Delivery): void;
}

/**
 * One consumer of one queue, on a channel of its own, through any number of channels and connections.
 *
 * The broker takes back what a channel held when it ends, also one it ended itself (a frame in hand for longer than its
 * `consumer_timeout`, 30 minutes): what comes again and is still in the hands of the handler is not handled a second time, but
 * acknowledged under its new tag.
 */
export class RabbitConsumer {
  readonly #options: RabbitConsumerOptions;
  readonly #held = new Map<string, Held>();
  readonly #done = new Set<string>();
  readonly #arrivals = new Arrivals<RabbitDelivery>((delivery) => this.#deliver(delivery));
  #session: RabbitSession | undefined;
  #channel: Channel | undefined;
  #acks: Acknowledgements | undefined;
  #tag = '';
  #attempt = 0;
  #retry: Timer | undefined;
  #unnamed = 1;
  #cancelled = false;

  constructor(options: RabbitConsumerOptions) {
    this.#options = options;
  }

  /** Reads on this session from now on. */
  async open(session: RabbitSession): Promise<void> {
    this.#session = session;
    if (this.#cancelled) return;
    const { prefetch, clock } = this.#options;
    await this.#options.declare(session);
    const channel = await session.consumer.createChannel();
    channel.on('error', (error: Error) => logger.info('the broker closed the channel of a consumer', { queue: this.#options.queue, error: error.message }));
    channel.on('close', () => {
      if (this.#channel === channel) this.#again();
    });
    // AMQP counts to 65535; beyond that there is no limit, so that this is one.
    await channel.prefetch(Math.min(prefetch, 65_535));
    this.#channel = channel;
    this.#acks?.stop();
    this.#acks = new Acknowledgements(channel, prefetch, clock);
    await this.#consume(channel);
    this.#attempt = 0;
  }

  /** The connection is gone, and with it the claim to what is held. */
  shut(): void {
    this.#retry?.cancel();
    this.#acks?.stop();
    this.#session = this.#channel = this.#acks = undefined;
  }

  get queue(): string {
    return this.#options.queue;
  }

  /** Its queue was deleted: reads the one that is made in its place. Nothing to do while it is being set up. */
  async reopen(): Promise<void> {
    if (this.#channel === undefined || this.#cancelled) return;
    await this.#closeChannel();
    await this.#tryOpen();
  }

  /** Nothing is in hand: no channel is needed for answers. */
  get idle(): boolean {
    return this.#held.size === 0;
  }

  /** What is in hand goes back; what was acknowledged does not. */
  async close(): Promise<void> {
    this.#cancelled = true;
    this.#retry?.cancel();
    for (const { large } of this.#held.values()) large?.release();
    await withinMs(GOODBYE_MS, this.#closeChannel());
  }

  async cancel(): Promise<void> {
    if (this.#cancelled) return;
    this.#cancelled = true;
    this.#retry?.cancel();
    const channel = this.#channel;
    if (channel === undefined) return;
    try {
      await channel.cancel(this.#tag);
      if (this.#held.size === 0) await this.#closeChannel();
    } catch (error) {
      logger.debug('a consumer ended with its channel', { error: (error as Error).message });
    }
  }

  answer(id: string, how: 'ack' | 'nack' | 'drop'): void {
    const held = this.#held.get(id);
    if (held === undefined) return;
    this.#held.delete(id);
    if (how !== 'nack') this.#remember(id);
    if (how === 'nack') held.large?.release();
    else held.large?.done();
    if (held.channel !== this.#channel) return;
    try {
      for (const message of held.tags) {
        if (how === 'nack') this.#acks?.giveBack(message);
        else this.#acks?.add(message);
      }
      if (this.#cancelled && this.#held.size === 0) void this.#closeChannel();
    } catch (error) {
      // The channel is closing: the frame comes again, and is known.
      logger.debug('an answer was lost with its channel', { error: (error as Error).message });
    }
  }

  async #closeChannel(): Promise<void> {
    const channel = this.#channel;
    this.#channel = undefined;
    this.#acks?.flush();
    await channel?.close().catch(() => undefined);
  }

  async #consume(channel: Channel): Promise<void> {
    const receive = (message: ConsumeMessage | null): void => {
      if (this.#channel !== channel) return;
      // Cancelled by the broker: the queue was deleted, or its node went away.
      if (message === null) return void this.reopen();
      this.#receive(channel, message);
    };
    const { consumerTag } = await channel.consume(this.#options.queue, receive, { noAck: false });
    this.#tag = consumerTag;
  }

  #again(): void {
    this.#channel = undefined;
    const { clock, random, maxBackoffMs } = this.#options;
    if (this.#session === undefined || this.#session.ended || this.#cancelled) return;
    this.#retry = clock.after(backoffMs(this.#attempt++, maxBackoffMs, random), () => void this.#tryOpen(), { background: true });
  }

  async #tryOpen(): Promise<void> {
    const session = this.#session;
    if (session === undefined || session.ended) return;
    try {
      await this.open(session);
    } catch (error) {
      logger.info('a consumer could not be set up again yet', { queue: this.#options.queue, error: (error as Error).message });
      if (this.#session === session) this.#again();
    }
  }

  #receive(channel: Channel, message: ConsumeMessage): void {
    const { messageId, headers } = message.properties as { messageId?: unknown; headers?: Record<string, unknown> };
    const id = typeof messageId === 'string' && messageId !== '' ? messageId : `unnamed:${this.#unnamed++}`;
    if (this.#cancelled) return this.#acks?.giveBack(message);
    if (this.#done.has(id)) return this.#acks?.add(message);
    const known = this.#held.get(id);
    if (known !== undefined) {
      if (known.channel === channel) known.tags.push(message);
      else Object.assign(known, { channel, tags: [message] });
      return;
    }
    const held: Held = { channel, tags: [message], large: undefined };
    this.#held.set(id, held);
    try {
      const { maxFrameBytes } = this.#options;
      const envelope = decodeEnvelope(message.content, maxFrameBytes + 16_384);
      const reference = headers?.['l'];
      const length = headers?.['n'];
      const { redelivered } = message.fields;
      if (reference === undefined) return this.#arrivals.add(new RabbitDelivery(envelope, redelivered, this, id), () => undefined);
      if (typeof reference !== 'string' || !/^body-[0-9a-f]{12}$/.test(reference)) throw new Error('its body has no name');
      if (typeof length !== 'number' || !(length >= 0 && length <= maxFrameBytes)) throw new Error(`its body of ${String(length)} bytes is over the limit`);
      const whole = this.#options.large.fetch(reference, length).then((large) => {
        held.large = large;
        if (this.#held.get(id) !== held) large.release();
        return new RabbitDelivery({ ...envelope, body: large.body }, redelivered, this, id);
      });
      this.#arrivals.add(whole, (error) => this.#refuse(id, error));
    } catch (error) {
      this.#refuse(id, error);
    }
  }

  /** What can never be handled is dropped, or it would come back for ever; a body that cannot be fetched now goes back. */
  #refuse(id: string, error: unknown): void {
    logger.warn('a frame was refused', { queue: this.#options.queue, error: (error as Error).message });
    this.answer(id, isConnectionError(error) ? 'nack' : 'drop');
  }

  #deliver(delivery: RabbitDelivery): void {
    if (!this.#held.has(delivery.id)) return;
    if (this.#cancelled) this.answer(delivery.id, 'nack');
    else this.#options.handle(delivery);
  }

  #remember(id: string): void {
    this.#done.add(id);
    if (this.#done.size > REMEMBERED) this.#done.delete(this.#done.keys().next().value as string);
  }
}
