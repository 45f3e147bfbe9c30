import { createLogger } from '../core/logger.ts';
import { envelopeBytes } from '../protocol/codec.ts';
import type { Envelope } from '../protocol/envelope.ts';
import type { Broker, BrokerConsumer } from './broker.ts';
import type { ConsumeOptions, Delivery, Subscription, Transport } from './contract.ts';
import { transportErrors } from './errors.ts';
import { createKeepAlive } from './keep-alive.ts';

export const DEFAULT_PREFETCH = 16;
export const DEFAULT_MAX_FRAME_BYTES = 67_108_864;

const logger = createLogger('transport');
const DONE = Promise.resolve();

/** A delivery out of a broker in this process. */
class LocalDelivery implements Delivery {
  readonly envelope: Envelope;
  readonly redelivered: boolean;
  readonly #consumer: BrokerConsumer;
  readonly #tag: number;

  constructor(envelope: Envelope, redelivered: boolean, consumer: BrokerConsumer, tag: number) {
    this.envelope = envelope;
    this.redelivered = redelivered;
    this.#consumer = consumer;
    this.#tag = tag;
  }

  ack(): void {
    this.#consumer.ack(this.#tag);
  }

  nack(options?: { requeue?: boolean }): void {
    this.#consumer.nack(this.#tag, options?.requeue ?? true);
  }
}

/** Runs a user's handler: what it throws is logged; the frame then stays unacknowledged, as if it were still at work. */
export function guarded<T>(what: string, handler: (value: T) => void): (value: T) => void {
  return (value) => {
    try {
      handler(value);
    } catch (error) {
      logger.error(`the handler of ${what} threw`, { error: error instanceof Error ? (error.stack ?? error.message) : error });
    }
  };
}

export interface LocalTransportOptions {
  readonly url: string;
  readonly maxFrameBytes: number;
  /** Nobody else reads from the broker. @defaultValue false */
  readonly inProcess?: boolean;
  /** What else ends with it. */
  close(): Promise<void>;
}

/** A transport onto a broker of this process; envelopes pass by reference, so nobody may change a body after sending it. */
export function localTransport(broker: Broker, options: LocalTransportOptions): Transport {
  const { url, maxFrameBytes, inProcess = false } = options;
  const consumers = new Set<BrokerConsumer>();
  const unsubscribes = new Set<() => void>();
  const waiting = new Set<(error: Error) => void>();
  const keepAlive = createKeepAlive();
  let closing: Promise<void> | undefined;

  const check = (): void => {
    if (closing !== undefined) throw transportErrors.CLOSED({ url });
  };

  return {
    url,
    inProcess,
    send(queue, envelope) {
      try {
        check();
        const bytes = envelopeBytes(envelope, maxFrameBytes);
        if (bytes > maxFrameBytes) throw transportErrors.FRAME_TOO_LARGE({ bytes, limit: maxFrameBytes });
        const room = broker.put(queue, envelope);
        if (room === undefined) return DONE;
        return keepAlive.hold((resolve, reject) => {
          waiting.add(reject);
          room.then(resolve, reject).finally(() => waiting.delete(reject));
        });
      } catch (error) {
        return Promise.reject(error as Error);
      }
    },
    async consume(queue: string, { prefetch = DEFAULT_PREFETCH }: ConsumeOptions, handler: (delivery: Delivery) => void): Promise<Subscription> {
      check();
      const handle = guarded(`queue ${queue}`, handler);
      const consumer = broker.consume(queue, {
        prefetch,
        deliver: (envelope, tag, redelivered) => handle(new LocalDelivery(envelope, redelivered, consumer, tag)),
      });
      consumers.add(consumer);
      return {
        cancel: async () => {
          consumer.cancel();
          if (consumer.outstanding === 0) consumers.delete(consumer);
        },
      };
    },
    async broadcast(topic, envelope) {
      check();
      const bytes = envelopeBytes(envelope, maxFrameBytes);
      if (bytes > maxFrameBytes) throw transportErrors.FRAME_TOO_LARGE({ bytes, limit: maxFrameBytes });
      broker.broadcast(topic, envelope);
    },
    async subscribe(topic, handler) {
      check();
      const unsubscribe = broker.subscribe(topic, guarded(`topic ${topic}`, handler));
      unsubscribes.add(unsubscribe);
      return {
        cancel: async () => {
          unsubscribes.delete(unsubscribe);
          unsubscribe();
        },
      };
    },
    async deleteQueue(queue) {
      check();
      broker.deleteQueue(queue);
    },
    // A broker in the same process is always there.
    onConnection: () => () => undefined,
    setActive: (active) => keepAlive.setActive(active),
    close() {
      closing ??= (async () => {
        for (const consumer of consumers) consumer.end();
        for (const unsubscribe of unsubscribes) unsubscribe();
        for (const reject of waiting) reject(transportErrors.CLOSED({ url }));
        consumers.clear();
        unsubscribes.clear();
        keepAlive.begin();
        keepAlive.close();
        await options.close();
        keepAlive.end();
      })();
      return closing;
    },
  };
}
