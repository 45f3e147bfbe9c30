import { newId } from '../../core/ids.ts';
import { encodeEnvelope, inOnePiece } from '../../protocol/codec.ts';
import type { Envelope } from '../../protocol/envelope.ts';
import { EMPTY_BYTES } from '../../protocol/task.ts';
import { Deque } from '../deque.ts';
import { transportErrors } from '../errors.ts';
import type { Batch, BatchResult, Outgoing } from '../outbox.ts';
import type { BrokerClientSettings } from '../settings.ts';
import type { Names, RabbitSession } from './connection.ts';
import type { LargeBodies } from './large.ts';

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
  /** Batches are published one after another, also where a look at the queue comes in between. */
  tail: Promise<unknown>;
}

interface Message {
  readonly headers: Readonly<Record<string, string | number>>;
  readonly content: Buffer;
}

const NO_HEADERS = {};

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
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

  push(batch: Batch): Promise<BatchResult> {
    let target = this.#targets.get(batch.queue);
    if (target === undefined) {
      target = { frames: 0, bytes: 0, sizes: new Deque(), total: 0, expected: batch.first, tail: Promise.resolve() };
      this.#targets.set(batch.queue, target);
    }
    const known = target;
    const published = known.tail.then(() => this.#publish(known, batch));
    known.tail = published.catch(() => undefined);
    return published.then((confirmed) => confirmed());
  }

  /** A queue was deleted. */
  forget(queue: string): void {
    this.#targets.delete(queue);
  }

  /** Publishes what there is room for; what is returned waits for the confirms. */
  async #publish(target: Target, batch: Batch): Promise<() => Promise<BatchResult>> {
    const { frames, first, base, queue } = batch;
    if (first !== base && first !== target.expected) return async () => ({ accepted: 0 });
    if (this.#session.blocked !== undefined) {
      const stalled = this.#session.blocked;
      return async () => ({ accepted: 0, stalled });
    }
    const confirms: Promise<Error | undefined>[] = [];
    const ids: string[] = [];
    let full = false;
    for (const [i, frame] of frames.entries()) {
      if ((target.frames <= 0 || target.bytes < frame.bytes) && !(await this.#look(target, queue, frame))) {
        full = true;
        break;
      }
      const messageId = `${this.#client}:${first + i}`;
      ids.push(messageId);
      const { envelope } = frame;
      const isLarge = envelope.body.length > this.#settings.inlineBytes;
      const message = isLarge ? await this.#largeMessage(envelope) : { headers: NO_HEADERS, content: bufferOf(encodeEnvelope(envelope)) };
      confirms.push(this.#publishOne(queue, messageId, message));
      target.frames--;
      target.bytes -= frame.bytes;
      target.total += frame.bytes;
      target.sizes.push(frame.bytes);
    }
    target.expected = first + confirms.length;
    return () => this.#confirmed(target, queue, ids, confirms, full);
  }

  async #confirmed(
    target: Target,
    queue: string,
    ids: readonly string[],
    confirms: readonly Promise<Error | undefined>[],
    full: boolean,
  ): Promise<BatchResult> {
    let stalled: Error | undefined;
    let stall = (): void => undefined;
    const stalling = new Promise<void>((resolve) => (stall = resolve));
    this.#stalls.add(stall);
    const outcomes = Array.from<Error | 'confirmed' | undefined>({ length: confirms.length });
    const all = Promise.all(confirms.map(async (confirm, i) => (outcomes[i] = (await confirm) ?? 'confirmed')));
    await Promise.race([all, stalling]);
    this.#stalls.delete(stall);
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

  #publishOne(queue: string, messageId: string, { headers, content }: Message): Promise<Error | undefined> {
    const options = { persistent: true, mandatory: true, messageId, headers };
    return new Promise((resolve) => {
      this.#session.frames.publish('', this.#names.queue(queue), content, options, (error: unknown) => resolve((error as Error | null) ?? undefined));
    });
  }

  async #largeMessage(given: Envelope): Promise<Message> {
    const envelope = inOnePiece(given);
    const reference = newId('body');
    await this.#large.upload(reference, envelope.body);
    return { headers: { l: reference, n: envelope.body.length }, content: bufferOf(encodeEnvelope({ ...envelope, body: EMPTY_BYTES })) };
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
