import type { Clock, Timer } from '../../core/clock.ts';
import { createLogger } from '../../core/logger.ts';
import type { BinaryReader, BinaryWriter } from '../../protocol/codec.ts';
import type { Envelope } from '../../protocol/envelope.ts';
import type { Delivery, Subscription } from '../contract.ts';
import type { KeepAlive } from '../keep-alive.ts';
import { guarded } from '../local.ts';
import { readError, type Link } from './link.ts';
import { OP } from './wire.ts';

const logger = createLogger('tcp-client');

/** Acknowledgements leave with the next frame; by themselves when they are so many, when the consumer could else be given nothing, or after so many milliseconds. */
const ACKS_TOGETHER = 32;
const ACK_DELAY_MS = 4;

/** A consumer (`deliver`) or a topic subscription (`publish`): set up on every connection until it is cancelled. */
interface Standing {
  readonly op: number;
  readonly cancelOp: number;
  readonly write: (out: BinaryWriter) => void;
  readonly deliver?: (delivery: Delivery) => void;
  readonly publish?: (envelope: Envelope) => void;
  /** Of a consumer: frames that the hub lets it have, and those it has as the hub knows it. */
  readonly prefetch: number;
  outstanding: number;
}

interface Request {
  readonly done: (error?: Error) => void;
}

/** A delivery out of one connection; when that has ended, the hub has taken the frame back and answers count for nothing. */
class RemoteDelivery implements Delivery {
  readonly envelope: Envelope;
  readonly redelivered: boolean;
  readonly #standings: Standings;
  readonly #link: Link;
  readonly #consumer: number;
  readonly #tag: number;
  #answered = false;

  constructor(envelope: Envelope, redelivered: boolean, standings: Standings, link: Link, consumer: number, tag: number) {
    this.envelope = envelope;
    this.redelivered = redelivered;
    this.#standings = standings;
    this.#link = link;
    this.#consumer = consumer;
    this.#tag = tag;
  }

  ack(): void {
    if (this.#answered) return;
    this.#answered = true;
    this.#standings.ack(this.#link, this.#consumer, this.#tag);
  }

  nack(options?: { requeue?: boolean }): void {
    if (this.#answered) return;
    this.#answered = true;
    this.#standings.nack(this.#link, this.#consumer, this.#tag, options?.requeue ?? true);
  }
}

function isFull({ outstanding, prefetch }: Standing): boolean {
  return outstanding >= prefetch;
}

/** What a client reads: its consumers and subscriptions, the requests that set them up, and the answers to deliveries. */
export class Standings {
  readonly #keepAlive: KeepAlive;
  readonly #all = new Map<number, Standing>();
  /** Waiting for the REPLY of this connection. */
  readonly #requests = new Map<number, Request>();
  /** Not set up even once: somebody waits. */
  readonly #fresh = new Map<number, Request>();
  #acks: number[] = [];
  #late: Timer | undefined;
  #nextId = 1;
  #link: Link | undefined;
  readonly #clock: Clock;

  constructor(keepAlive: KeepAlive, clock: Clock) {
    this.#keepAlive = keepAlive;
    this.#clock = clock;
  }

  /** Connected: sets everything up again. */
  open(link: Link): void {
    this.#link = link;
    this.#acks = [];
    for (const [id, standing] of this.#all) {
      standing.outstanding = 0;
      this.#setUp(link, id, standing);
    }
  }

  /** Disconnected: what was to be cancelled is gone with the connection; what stands waits for the next. */
  shut(): void {
    this.#link = undefined;
    this.#late?.cancel();
    this.#late = undefined;
    const requests = [...this.#requests.values()];
    this.#requests.clear();
    for (const request of requests) request.done();
  }

  /** Gives up what is not set up yet. */
  failAll(error: Error): void {
    for (const request of this.#fresh.values()) request.done(error);
  }

  consume(queue: string, prefetch: number, handler: (delivery: Delivery) => void): Promise<Subscription> {
    return this.#add({
      op: OP.CONSUME,
      cancelOp: OP.CANCEL,
      write(out) {
        out.string(queue);
        out.varint(prefetch);
      },
      deliver: guarded(`queue ${queue}`, handler),
      prefetch,
      outstanding: 0,
    });
  }

  subscribe(topic: string, handler: (envelope: Envelope) => void): Promise<Subscription> {
    return this.#add({
      op: OP.SUBSCRIBE,
      cancelOp: OP.UNSUBSCRIBE,
      write: (out) => out.string(topic),
      publish: guarded(`topic ${topic}`, handler),
      prefetch: 0,
      outstanding: 0,
    });
  }

  /** Saved up, and written with what leaves next. */
  ack(link: Link, consumer: number, tag: number): void {
    if (link !== this.#link) return;
    this.#acks.push(consumer, tag);
    const owed = this.#acks.length / 2;
    const standing = this.#all.get(consumer);
    // A consumer that was cancelled has others wait for what it had.
    if (standing === undefined || owed >= ACKS_TOGETHER || owed * 2 >= standing.prefetch || isFull(standing)) link.scheduleFlush();
    else this.#late ??= this.#clock.after(ACK_DELAY_MS, this.#flushLate, { background: true });
  }

  /** Not cancelled when they left with a frame: it would be set again for the next of them. */
  readonly #flushLate = (): void => {
    this.#late = undefined;
    if (this.#acks.length > 0) this.#link?.scheduleFlush();
  };

  nack(link: Link, consumer: number, tag: number, requeue: boolean): void {
    if (link !== this.#link) return;
    const standing = this.#all.get(consumer);
    if (standing !== undefined) standing.outstanding--;
    const out = link.start(OP.NACK);
    out.varint(consumer);
    out.varint(tag);
    out.u8(requeue ? 1 : 0);
    link.finish();
  }

  /** Writes the acknowledgements saved up. */
  writeAcks(link: Link): void {
    if (this.#acks.length === 0) return;
    const acks = this.#acks;
    this.#acks = [];
    const out = link.start(OP.ACK);
    out.varint(acks.length / 2);
    for (let i = 0; i < acks.length; i += 2) {
      const consumer = acks[i] as number;
      out.varint(consumer);
      out.varint(acks[i + 1] as number);
      const standing = this.#all.get(consumer);
      if (standing !== undefined) standing.outstanding--;
    }
    link.finish();
  }

  onDeliver(link: Link, reader: BinaryReader): void {
    const consumer = reader.varint();
    const tag = reader.varint();
    const redelivered = reader.u8() !== 0;
    const delivery = new RemoteDelivery(link.envelope(reader), redelivered, this, link, consumer, tag);
    const standing = this.#all.get(consumer);
    // Cancelled while this was on its way: somebody else shall have it.
    if (standing?.deliver === undefined) return delivery.nack();
    standing.outstanding++;
    if (this.#acks.length > 0 && isFull(standing)) link.scheduleFlush();
    standing.deliver(delivery);
  }

  onPublish(link: Link, reader: BinaryReader): void {
    const subscription = this.#all.get(reader.varint());
    subscription?.publish?.(link.envelope(reader));
  }

  onReply(reader: BinaryReader): void {
    const number = reader.varint();
    const request = this.#requests.get(number);
    this.#requests.delete(number);
    const error = readError(reader);
    request?.done((error as { code?: string }).code === '' ? undefined : error);
  }

  async #add(standing: Standing): Promise<Subscription> {
    const id = this.#nextId++;
    this.#all.set(id, standing);
    try {
      await this.#keepAlive.hold((resolve, reject) => {
        this.#fresh.set(id, {
          done: (error) => {
            this.#fresh.delete(id);
            if (error === undefined) resolve();
            else reject(error);
          },
        });
        if (this.#link !== undefined) this.#setUp(this.#link, id, standing);
      });
    } catch (error) {
      this.#all.delete(id);
      throw error;
    }
    return { cancel: () => this.#cancel(id, standing) };
  }

  #setUp(link: Link, id: number, standing: Standing): void {
    const done = (error?: Error): void => {
      // The connection ended before the answer: still to be done on the next one.
      if (this.#link !== link) return;
      const fresh = this.#fresh.get(id);
      if (fresh !== undefined) fresh.done(error);
      else if (error !== undefined) logger.error('a consumer or subscription could not be set up again', { error: error.message });
    };
    this.#request(link, standing.op, id, { done }, standing.write);
  }

  async #cancel(id: number, standing: Standing): Promise<void> {
    const link = this.#link;
    if (!this.#all.delete(id) || link === undefined) return;
    await this.#keepAlive.hold((resolve) => this.#request(link, standing.cancelOp, id, { done: () => resolve() }));
  }

  #request(link: Link, op: number, id: number, request: Request, write?: (out: BinaryWriter) => void): void {
    const number = this.#nextId++;
    this.#requests.set(number, request);
    const out = link.start(op);
    out.varint(number);
    out.varint(id);
    write?.(out);
    link.finish();
  }
}
