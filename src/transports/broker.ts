import { soon } from '../core/soon.ts';
import { IdMap } from '../core/id-map.ts';
import { envelopeBytes } from '../protocol/codec.ts';
import type { Envelope } from '../protocol/envelope.ts';
import { Deque } from './deque.ts';
import { transportErrors } from './errors.ts';

/** Bounds of a broker's memory. */
export interface BrokerOptions {
  /** A queue holding this many bytes makes senders wait (a single larger frame is still taken when it is empty). @defaultValue 67108864 */
  readonly maxQueueBytes?: number;
  /** A queue holding this many frames makes senders wait. @defaultValue 65536 */
  readonly maxQueueFrames?: number;
  /** @defaultValue 100000 */
  readonly maxQueues?: number;
}

/** How a consumer receives. */
export interface BrokerConsumerOptions {
  readonly prefetch: number;
  /** Takes one frame; must not throw. */
  deliver(envelope: Envelope, tag: number, redelivered: boolean): void;
  /** False while it cannot take more (its socket is full); it calls `resume()` when it can. */
  ready?(): boolean;
}

export interface BrokerConsumer {
  /** Frames delivered and not yet acknowledged. */
  readonly outstanding: number;
  ack(tag: number): void;
  /** Back to the head of the queue, or dropped. */
  nack(tag: number, requeue: boolean): void;
  resume(): void;
  /** No more deliveries; frames it has may still be acknowledged. */
  cancel(): void;
  /** Its connection ended: what it did not acknowledge goes back to the head of the queue, in order. */
  end(): void;
}

interface Entry {
  readonly envelope: Envelope;
  readonly bytes: number;
  redelivered: boolean;
}

interface WaitingSend {
  readonly entry: Entry;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

interface Queue {
  readonly name: string;
  readonly ready: Deque<Entry>;
  readonly waiting: Deque<WaitingSend>;
  readonly consumers: Consumer[];
  bytes: number;
  /** Whose turn it is. */
  turn: number;
  dirty: boolean;
}

interface TopicSubscriber {
  active: boolean;
  readonly receive: (envelope: Envelope) => void;
}

/** Frames handed out in microtasks before the event loop gets a turn, so that two parties in conversation starve no I/O. */
const BURST = 256;

/** Deliveries are made here, never inside `put`: a handler that sends does not find itself called again. */
class Consumer implements BrokerConsumer {
  readonly options: BrokerConsumerOptions;
  readonly #broker: Broker;
  readonly #queueName: string;
  readonly #unacked = new IdMap<Entry>();
  #nextTag = 1;
  #cancelled = false;
  #ended = false;

  constructor(broker: Broker, queueName: string, options: BrokerConsumerOptions) {
    this.#broker = broker;
    this.#queueName = queueName;
    this.options = options;
  }

  get outstanding(): number {
    return this.#unacked.size;
  }

  hasCredit(): boolean {
    return this.#unacked.size < this.options.prefetch && (this.options.ready === undefined || this.options.ready());
  }

  take(entry: Entry): void {
    const tag = this.#nextTag++;
    this.#unacked.set(tag, entry);
    this.options.deliver(entry.envelope, tag, entry.redelivered);
  }

  ack(tag: number): void {
    if (this.#unacked.delete(tag) !== undefined) this.resume();
  }

  nack(tag: number, requeue: boolean): void {
    const entry = this.#unacked.delete(tag);
    if (entry === undefined) return;
    if (requeue) this.#broker.putBack(this.#queueName, [entry]);
    this.resume();
  }

  resume(): void {
    if (!this.#cancelled) this.#broker.wake(this.#queueName);
  }

  cancel(): void {
    if (this.#cancelled) return;
    this.#cancelled = true;
    this.#broker.detach(this.#queueName, this);
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.cancel();
    const entries = this.#unacked.values();
    this.#unacked.clear();
    if (entries.length > 0) this.#broker.putBack(this.#queueName, entries);
  }

  forget(): void {
    this.#unacked.clear();
  }
}

/**
 * Queues and topics in memory: what the memory transport shares and a tcp hub serves.
 *
 * ORDERING: first in, first out per queue; redeliveries go to the head. FAIRNESS: consumers of a queue take turns.
 * BOUNDS: `put` on a full queue resolves when there is room.
 */
export class Broker {
  readonly #maxQueueBytes: number;
  readonly #maxQueueFrames: number;
  readonly #maxQueues: number;
  readonly #queues = new Map<string, Queue>();
  readonly #topics = new Map<string, Set<TopicSubscriber>>();
  readonly #broadcasts = new Deque<{ subscriber: TopicSubscriber; envelope: Envelope }>();
  #dirty: Queue[] = [];
  #scheduled: 'no' | 'microtask' | 'immediate' = 'no';
  #burst = 0;
  #closed: Error | undefined;

  constructor(options: BrokerOptions = {}) {
    this.#maxQueueBytes = options.maxQueueBytes ?? 67_108_864;
    this.#maxQueueFrames = options.maxQueueFrames ?? 65_536;
    this.#maxQueues = options.maxQueues ?? 100_000;
    for (const [option, value] of [
      ['maxQueueBytes', this.#maxQueueBytes],
      ['maxQueueFrames', this.#maxQueueFrames],
      ['maxQueues', this.#maxQueues],
    ] as const) {
      if (!(value >= 1)) throw transportErrors.BAD_OPTION({ option, value, reason: 'it must be at least 1' });
    }
  }

  /**
   * Queues a frame. Undefined: it is in. A promise: the queue is full, it resolves when the frame is in.
   * @throws SP_TRANSPORT_BAD_NAME, SP_TRANSPORT_OVERLOADED (too many queues), SP_TRANSPORT_CLOSED
   */
  put(queueName: string, envelope: Envelope): Promise<void> | undefined {
    const queue = this.#queue(queueName);
    const entry: Entry = { envelope, bytes: envelopeBytes(envelope), redelivered: false };
    if (queue.waiting.size === 0 && this.#fits(queue, entry)) {
      this.#add(queue, entry);
      return undefined;
    }
    return new Promise((resolve, reject) => queue.waiting.push({ entry, resolve, reject }));
  }

  consume(queueName: string, options: BrokerConsumerOptions): BrokerConsumer {
    if (!(options.prefetch >= 1)) throw transportErrors.BAD_OPTION({ option: 'prefetch', value: options.prefetch, reason: 'it must be at least 1' });
    const queue = this.#queue(queueName);
    const consumer = new Consumer(this, queueName, options);
    queue.consumers.push(consumer);
    this.#markDirty(queue);
    return consumer;
  }

  broadcast(topic: string, envelope: Envelope): void {
    checkName(topic);
    const subscribers = this.#topics.get(topic);
    if (subscribers === undefined) return;
    for (const subscriber of subscribers) this.#broadcasts.push({ subscriber, envelope });
    this.#schedule();
  }

  /** Returns the unsubscribe function. `receive` must not throw. */
  subscribe(topic: string, receive: (envelope: Envelope) => void): () => void {
    checkName(topic);
    if (this.#closed !== undefined) throw this.#closed;
    const subscriber: TopicSubscriber = { active: true, receive };
    const subscribers = this.#topics.get(topic) ?? new Set();
    subscribers.add(subscriber);
    this.#topics.set(topic, subscribers);
    return () => {
      subscriber.active = false;
      subscribers.delete(subscriber);
      if (subscribers.size === 0 && this.#topics.get(topic) === subscribers) this.#topics.delete(topic);
    };
  }

  /** Drops the frames of a queue, delivered ones included; sends that waited for room count as done. Consumers stay. */
  deleteQueue(queueName: string): void {
    const queue = this.#queues.get(queueName);
    if (queue === undefined) return;
    queue.ready.clear();
    queue.bytes = 0;
    for (const consumer of queue.consumers) consumer.forget();
    for (let waiting = queue.waiting.shift(); waiting !== undefined; waiting = queue.waiting.shift()) waiting.resolve();
    this.#dropIfIdle(queue);
  }

  /** What is kept, for tests and gauges. */
  stats(): { readonly queues: number; readonly frames: number; readonly bytes: number; readonly topics: number } {
    let frames = 0;
    let bytes = 0;
    for (const queue of this.#queues.values()) {
      frames += queue.ready.size;
      bytes += queue.bytes;
    }
    return { queues: this.#queues.size, frames, bytes, topics: this.#topics.size };
  }

  /** Drops everything; sends that wait, and all that follow, fail with `reason`. */
  close(reason: Error): void {
    this.#closed = reason;
    for (const queue of this.#queues.values()) {
      for (let waiting = queue.waiting.shift(); waiting !== undefined; waiting = queue.waiting.shift()) waiting.reject(reason);
      queue.ready.clear();
      queue.consumers.length = 0;
    }
    this.#queues.clear();
    this.#topics.clear();
    this.#broadcasts.clear();
    this.#dirty = [];
  }

  /** For consumers: frames that were delivered in vain. */
  putBack(queueName: string, entries: readonly Entry[]): void {
    if (this.#closed !== undefined) return;
    const queue = this.#queue(queueName);
    for (let i = entries.length - 1; i >= 0; i--) {
      const entry = entries[i] as Entry;
      entry.redelivered = true;
      queue.ready.unshift(entry);
      queue.bytes += entry.bytes;
    }
    this.#markDirty(queue);
  }

  /** For consumers: one may take more. */
  wake(queueName: string): void {
    const queue = this.#queues.get(queueName);
    if (queue !== undefined && queue.ready.size > 0) this.#markDirty(queue);
  }

  /** For consumers. */
  detach(queueName: string, consumer: Consumer): void {
    const queue = this.#queues.get(queueName);
    const index = queue?.consumers.indexOf(consumer) ?? -1;
    if (queue === undefined || index < 0) return;
    queue.consumers.splice(index, 1);
    if (queue.turn > index) queue.turn--;
    this.#dropIfIdle(queue);
  }

  #queue(name: string): Queue {
    const known = this.#queues.get(name);
    if (known !== undefined) return known;
    if (this.#closed !== undefined) throw this.#closed;
    checkName(name);
    if (this.#queues.size >= this.#maxQueues) throw transportErrors.OVERLOADED({ what: 'the number of queues', limit: this.#maxQueues });
    const queue: Queue = { name, ready: new Deque(), waiting: new Deque(), consumers: [], bytes: 0, turn: 0, dirty: false };
    this.#queues.set(name, queue);
    return queue;
  }

  /** A queue nobody reads and nothing is in costs nothing. */
  #dropIfIdle(queue: Queue): void {
    if (queue.ready.size === 0 && queue.waiting.size === 0 && queue.consumers.length === 0) this.#queues.delete(queue.name);
  }

  #fits(queue: Queue, entry: Entry): boolean {
    if (queue.ready.size === 0) return true;
    return queue.ready.size < this.#maxQueueFrames && queue.bytes + entry.bytes <= this.#maxQueueBytes;
  }

  #add(queue: Queue, entry: Entry): void {
    queue.ready.push(entry);
    queue.bytes += entry.bytes;
    if (queue.consumers.length > 0) this.#markDirty(queue);
  }

  #markDirty(queue: Queue): void {
    if (queue.dirty) return;
    queue.dirty = true;
    this.#dirty.push(queue);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled !== 'no') return;
    if (this.#burst < BURST) {
      this.#scheduled = 'microtask';
      soon(this.#run);
    } else {
      this.#scheduled = 'immediate';
      setImmediate(this.#run);
    }
  }

  readonly #run = (): void => {
    if (this.#scheduled === 'immediate') this.#burst = 0;
    // Stays set while running, so that handlers only mark.
    for (let item = this.#broadcasts.peek(); item !== undefined && this.#burst < BURST; item = this.#broadcasts.peek()) {
      this.#broadcasts.shift();
      this.#burst++;
      if (item.subscriber.active) item.subscriber.receive(item.envelope);
    }
    while (this.#dirty.length > 0 && this.#burst < BURST) {
      const dirty = this.#dirty;
      this.#dirty = [];
      for (const queue of dirty) {
        queue.dirty = false;
        this.#drain(queue);
      }
    }
    this.#scheduled = 'no';
    if (this.#dirty.length > 0 || this.#broadcasts.size > 0) this.#schedule();
  };

  #drain(queue: Queue): void {
    while (queue.ready.size > 0) {
      if (this.#burst >= BURST) return this.#markDirty(queue);
      const consumer = this.#next(queue);
      if (consumer === undefined) break;
      const entry = queue.ready.shift() as Entry;
      queue.bytes -= entry.bytes;
      this.#burst++;
      this.#admit(queue);
      consumer.take(entry);
    }
    this.#admit(queue);
  }

  /** The next consumer in turn that can take a frame. */
  #next(queue: Queue): Consumer | undefined {
    const { consumers } = queue;
    for (let i = 0; i < consumers.length; i++) {
      if (queue.turn >= consumers.length) queue.turn = 0;
      const consumer = consumers[queue.turn++] as Consumer;
      if (consumer.hasCredit()) return consumer;
    }
    return undefined;
  }

  /** Lets waiting sends in while there is room. */
  #admit(queue: Queue): void {
    for (let waiting = queue.waiting.peek(); waiting !== undefined && this.#fits(queue, waiting.entry); waiting = queue.waiting.peek()) {
      queue.waiting.shift();
      queue.ready.push(waiting.entry);
      queue.bytes += waiting.entry.bytes;
      waiting.resolve();
    }
  }
}

/** @throws SP_TRANSPORT_BAD_NAME */
export function checkName(name: string): void {
  if (typeof name !== 'string' || name.length === 0 || name.length > 255) throw transportErrors.BAD_NAME({ name, reason: 'its length must be 1 to 255' });
}
