import { newId } from '../../core/ids.ts';
import { BinaryWriter, inOnePiece, writeEnvelopeHeader } from '../../protocol/codec.ts';
import type { Envelope } from '../../protocol/envelope.ts';
import { EMPTY_BYTES } from '../../protocol/task.ts';
import { Deque } from '../deque.ts';
import { transportErrors } from '../errors.ts';
import type { Batch, BatchResult, Outgoing } from '../outbox.ts';
import type { BrokerClientSettings } from '../settings.ts';
import type { Names, RabbitSession } from './connection.ts';
import type { LargeBodies } from './large.ts';
import { PublicationWriter } from './publication.ts';

/** What is known of a queue that is sent to. */
interface Target {
  /** Frames and bytes that may still be published before it is looked at again. */
  frames: number;
  bytes: number;
  /** Sizes of what was published, as far as it may still be there, the latest last. */
  readonly sizes: Deque<number>;
  total: number;
  /** Number of the next frame. */
  expected: number;
  /** Batches that wait: they are published one after another, also where a look at the queue comes in between. */
  waiting: number;
  tail: Promise<unknown>;
  /** How a message to it begins. */
  readonly method: Buffer;
}

/** Of a batch. */
class Confirms {
  readonly ids: string[] = [];
  /** Undefined: not yet. */
  readonly outcomes: (Error | 'confirmed' | undefined)[] = [];
  #open = 0;
  #settled: (() => void) | undefined;

  /** What is called when the frame of this id is confirmed or refused. */
  add(id: string): (error: unknown) => void {
    const index = this.ids.push(id) - 1;
    this.outcomes.push(undefined);
    this.#open++;
    return (error) => {
      this.outcomes[index] = (error as Error | null) ?? 'confirmed';
      if (--this.#open === 0) this.#settled?.();
    };
  }

  /** All that were added have their outcomes, or `stop` was called. */
  settled(): Promise<void> {
    return new Promise((resolve) => {
      this.#settled = resolve;
      if (this.#open === 0) resolve();
    });
  }

  readonly stop = (): void => this.#settled?.();
}

interface Published {
  readonly confirms: Confirms;
  readonly full: boolean;
}

const writer = new BinaryWriter();

/** All of an envelope but its body. */
function headOf(envelope: Envelope): Uint8Array {
  writer.reset();
  writeEnvelopeHeader(writer, envelope);
  return writer.finish();
}

/** A sender looks at a queue again after a quarter of what it may hold, so that several overshoot by little. */
const SHARE = 4;

/** More often than any frame is given back: with a limit, quorum queues put it back at the head, without one at the tail. */
const DELIVERY_LIMIT = 1_000_000_000;

export function queueArguments({ queueType, idleQueueMs }: BrokerClientSettings): { durable: true; arguments: Record<string, unknown> } {
  const limit = queueType === 'quorum' ? { 'x-delivery-limit': DELIVERY_LIMIT } : {};
  return { durable: true, arguments: { 'x-queue-type': queueType, 'x-expires': idleQueueMs, ...limit } };
}

/**
 * Publishes batches with confirms, on one session.
 *
 * BOUNDS: AMQP has no way to say "only if there is room" that all kinds of queues share and that keeps the order, so the sender
 * looks how many frames wait, and knows the sizes of its own; several senders may overshoot by a quarter each.
 */
export class Publisher {
  readonly #session: RabbitSession;
  readonly #writer: PublicationWriter;
  readonly #names: Names;
  readonly #settings: BrokerClientSettings;
  readonly #large: LargeBodies;
  readonly #client: string;
  readonly #url: string;
  readonly #targets = new Map<string, Target>();
  /** Message ids that came back: there was no such queue. */
  readonly #returned = new Set<string>();
  /** Ends the waiting for confirms when the broker is blocked. */
  readonly #stalls = new Set<() => void>();

  constructor(session: RabbitSession, names: Names, settings: BrokerClientSettings, large: LargeBodies, client: string, url: string) {
    this.#session = session;
    this.#writer = new PublicationWriter(session.frames);
    this.#names = names;
    this.#settings = settings;
    this.#large = large;
    this.#client = client;
    this.#url = url;
    session.frames.on('return', (message: { properties: { messageId?: unknown } }) => this.#returned.add(String(message.properties.messageId)));
  }

  /** The broker is blocked: frames that wait for their confirms are sent again when it is not; receivers know them by their ids. */
  stall(): void {
    for (const stall of [...this.#stalls]) stall();
  }

  async push(batch: Batch): Promise<BatchResult> {
    let target = this.#targets.get(batch.queue);
    if (target === undefined) {
      const method = this.#writer.method(this.#names.queue(batch.queue));
      target = { frames: 0, bytes: 0, sizes: new Deque(), total: 0, expected: batch.first, waiting: 0, tail: Promise.resolve(), method };
      this.#targets.set(batch.queue, target);
    }
    const known = target;
    if (known.waiting === 0 && this.#hasRoom(known, batch)) {
      const confirms = new Confirms();
      for (const [i, frame] of batch.frames.entries()) this.#write(known, confirms, batch.first + i, frame.bytes, headOf(frame.envelope), frame.envelope.body);
      known.expected = batch.first + batch.frames.length;
      return this.#confirmed(known, batch.queue, { confirms, full: false });
    }
    known.waiting++;
    const published = known.tail.then(() => this.#publish(known, batch)).finally(() => known.waiting--);
    known.tail = published.catch(() => undefined);
    const result = await published;
    return 'confirms' in result ? this.#confirmed(known, batch.queue, result) : result;
  }

  /** A queue was deleted. */
  forget(queue: string): void {
    this.#targets.delete(queue);
  }

  /** All of it may be written at once. */
  #hasRoom(target: Target, { first, base, frames }: Batch): boolean {
    if ((first !== base && first !== target.expected) || this.#session.blocked !== undefined || target.frames < frames.length) return false;
    let bytes = 0;
    for (const { bytes: each, envelope } of frames) {
      if (envelope.body.length > this.#settings.inlineBytes) return false;
      bytes += each;
    }
    return bytes <= target.bytes;
  }

  /** Publishes what there is room for. */
  async #publish(target: Target, batch: Batch): Promise<Published | BatchResult> {
    const { frames, first, base, queue } = batch;
    if (first !== base && first !== target.expected) return { accepted: 0 };
    if (this.#session.blocked !== undefined) return { accepted: 0, stalled: this.#session.blocked };
    const confirms = new Confirms();
    let full = false;
    for (const [i, frame] of frames.entries()) {
      if ((target.frames <= 0 || target.bytes < frame.bytes) && !(await this.#look(target, queue, frame))) {
        full = true;
        break;
      }
      const { envelope, bytes } = frame;
      if (envelope.body.length <= this.#settings.inlineBytes) {
        this.#write(target, confirms, first + i, bytes, headOf(envelope), envelope.body);
        continue;
      }
      const whole = inOnePiece(envelope);
      const reference = newId('body');
      await this.#large.upload(reference, whole.body);
      const headers = { l: reference, n: whole.body.length };
      this.#write(target, confirms, first + i, bytes, headOf({ ...whole, body: EMPTY_BYTES }), EMPTY_BYTES, headers);
    }
    target.expected = first + confirms.ids.length;
    return { confirms, full };
  }

  #write(
    target: Target,
    confirms: Confirms,
    number: number,
    bytes: number,
    head: Uint8Array,
    body: Uint8Array,
    headers?: Readonly<Record<string, string | number>>,
  ): void {
    if (this.#session.ended) throw transportErrors.LOST({ url: this.#url, reason: 'its session has ended' });
    const messageId = `${this.#client}:${number}`;
    this.#writer.write(target.method, { messageId, headers, head, body }, confirms.add(messageId));
    target.frames--;
    target.bytes -= bytes;
    target.total += bytes;
    target.sizes.push(bytes);
  }

  async #confirmed(target: Target, queue: string, { confirms, full }: Published): Promise<BatchResult> {
    this.#stalls.add(confirms.stop);
    await confirms.settled();
    this.#stalls.delete(confirms.stop);
    const { ids, outcomes } = confirms;
    let stalled: Error | undefined;
    let accepted = 0;
    let gone = false;
    for (const outcome of outcomes) {
      if (this.#returned.delete(ids[accepted] as string)) gone = true;
      if (outcome !== 'confirmed' || gone) {
        if (outcome instanceof Error) stalled = transportErrors.BROKER_FULL({ url: this.#url, reason: 'it did not confirm a frame' }, outcome);
        break;
      }
      accepted++;
    }
    if (accepted < outcomes.length) {
      for (const id of ids) this.#returned.delete(id);
      // Looked at, and made if need be, before the next frame.
      target.frames = 0;
      target.expected = -1;
      if (gone) this.#targets.delete(queue);
      else stalled ??= this.#session.blocked;
      return stalled === undefined ? { accepted } : { accepted, stalled };
    }
    return { accepted, full };
  }

  /** Makes the queue if need be, and sees what room there is. True: enough for this frame. */
  async #look(target: Target, queue: string, frame: Outgoing): Promise<boolean> {
    const { maxQueueFrames, maxQueueBytes } = this.#settings;
    const { messageCount } = await this.#session.admin.assertQueue(this.#names.queue(queue), queueArguments(this.#settings));
    while (target.sizes.size > messageCount) target.total -= target.sizes.shift() ?? 0;
    const known = target.sizes.size;
    const bytes = known === 0 ? 0 : (target.total / known) * messageCount;
    target.frames = Math.min(maxQueueFrames - messageCount, Math.ceil(maxQueueFrames / SHARE));
    target.bytes = Math.min(maxQueueBytes - bytes, Math.max(frame.bytes, maxQueueBytes / SHARE));
    if (messageCount === 0) {
      target.frames = Math.max(target.frames, 1);
      target.bytes = Math.max(target.bytes, frame.bytes);
    }
    return target.frames > 0 && target.bytes >= frame.bytes;
  }
}
