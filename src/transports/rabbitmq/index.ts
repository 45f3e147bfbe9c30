import { newId } from '../../core/ids.ts';
import { createLogger } from '../../core/logger.ts';
import { decodeEnvelope, encodeEnvelope, envelopeBytes } from '../../protocol/codec.ts';
import type { Envelope } from '../../protocol/envelope.ts';
import { checkName } from '../broker.ts';
import type { ConsumeOptions, Delivery, Subscription, Transport, TransportFactory } from '../contract.ts';
import { transportErrors } from '../errors.ts';
import { createKeepAlive } from '../keep-alive.ts';
import { DEFAULT_PREFETCH, guarded } from '../local.ts';
import { Outbox } from '../outbox.ts';
import { Reconnector, type ConnectionListener } from '../reconnector.ts';
import { brokerAddress, brokerClientSettings, type BrokerAddress, type BrokerClientOptions, type BrokerClientSettings } from '../settings.ts';
import { Topics } from '../topics.ts';
import { Names, rabbitError, RabbitSession } from './connection.ts';
import { RabbitConsumer } from './consumers.ts';
import { LargeBodies } from './large.ts';
import { Publisher, queueArguments } from './publisher.ts';

const logger = createLogger('rabbitmq');
/** Routing key on which clients tell each other of deleted queues; every client listens, which also keeps the exchange. */
const DROPPED = 'dropped';
/** Publishing is not waited for: the bounds of what is unconfirmed are those of frames and bytes. */
const MAX_CALLS = 256;
/** Broadcasts that wait in the broker for a client that does not read; older ones are dropped. */
const INBOX_FRAMES = 65_536;

/**
 * Queues and topics in RabbitMQ: a durable queue each (quorum, or classic), and one direct exchange for topics, to which every
 * client binds a queue of its own. Needs RabbitMQ 3.8 or newer.
 *
 * IDEMPOTENCY: frames carry ids; one that was published again after a lost confirm is recognised by its consumer.
 */
class RabbitTransport implements Transport {
  readonly url: string;
  readonly #settings: BrokerClientSettings;
  readonly #names: Names;
  readonly #client = newId('client');
  readonly #keepAlive = createKeepAlive();
  readonly #reconnector: Reconnector<RabbitSession>;
  readonly #outbox: Outbox;
  readonly #topics: Topics;
  /** Topics by their routing keys. */
  readonly #keys = new Map<string, string>();
  readonly #consumers = new Set<RabbitConsumer>();
  readonly #large: LargeBodies;
  readonly #waiting = new Set<{ run: (session: RabbitSession) => void; reject: (error: Error) => void }>();
  #publisher: Publisher | undefined;

  constructor(address: BrokerAddress, settings: BrokerClientSettings) {
    this.url = address.shown;
    this.#settings = settings;
    this.#names = new Names(address.cluster);
    this.#large = new LargeBodies(address, settings, this.#names);
    this.#outbox = new Outbox({
      push: (batch) => this.#publisher?.push(batch) ?? Promise.reject(this.#reconnector.disconnectedError()),
      inlineBytes: settings.inlineBytes,
      stallMs: settings.connectTimeoutMs,
      maxCalls: MAX_CALLS,
      keepAlive: this.#keepAlive,
      clock: settings.clock,
      random: settings.random,
    });
    this.#topics = new Topics({
      subscribe: (topic) => {
        this.#keys.set(this.#names.topic(topic), topic);
        return this.#run((session) => session.inbox.bindQueue(session.inboxQueue, this.#names.exchange, this.#names.topic(topic)));
      },
      unsubscribe: async (topic) => {
        this.#keys.delete(this.#names.topic(topic));
        const session = this.#reconnector.session;
        await this.#keepAlive.during(async () => session?.inbox.unbindQueue(session.inboxQueue, this.#names.exchange, this.#names.topic(topic)));
      },
    });
    this.#reconnector = new Reconnector<RabbitSession>({
      url: this.url,
      settings,
      keepAlive: this.#keepAlive,
      attempt: (lost) => RabbitSession.open(address, settings, lost),
      connected: (session) => this.#connected(session),
      ready: (session) => {
        this.#publisher = new Publisher(session, this.#names, settings, this.#large, this.#client, this.url);
        for (const { run } of [...this.#waiting]) run(session);
        this.#outbox.open();
      },
      disconnected: () => {
        this.#publisher = undefined;
        this.#outbox.shut();
        for (const consumer of this.#consumers) consumer.shut();
        this.#large.drop();
      },
      givenUp: (error) => {
        this.#outbox.failAll(error);
        for (const { reject } of this.#waiting) reject(error);
        this.#waiting.clear();
      },
    });
  }

  open(): Promise<void> {
    return this.#reconnector.open();
  }

  async send(queue: string, envelope: Envelope): Promise<void> {
    this.#reconnector.check();
    checkName(queue);
    return this.#outbox.add(queue, envelope, this.#checkSize(envelope));
  }

  async consume(queue: string, { prefetch = DEFAULT_PREFETCH }: ConsumeOptions, handler: (delivery: Delivery) => void): Promise<Subscription> {
    this.#reconnector.check();
    checkName(queue);
    if (!Number.isSafeInteger(prefetch) || prefetch < 1)
      throw transportErrors.BAD_OPTION({ option: 'prefetch', value: prefetch, reason: 'it must be at least 1' });
    const { maxFrameBytes, maxBackoffMs, clock, random } = this.#settings;
    const name = this.#names.queue(queue);
    const consumer = new RabbitConsumer({
      ...{ queue: name, prefetch, maxFrameBytes, maxBackoffMs, clock, random, large: this.#large },
      declare: async (session) => void (await session.admin.assertQueue(name, queueArguments(this.#settings))),
      handle: guarded(`queue ${queue}`, handler),
    });
    await this.#run(async (session) => {
      await consumer.open(session);
      this.#consumers.add(consumer);
    });
    return {
      cancel: async () => {
        await this.#keepAlive.during(() => consumer.cancel());
        if (consumer.idle) this.#consumers.delete(consumer);
      },
    };
  }

  async broadcast(topic: string, envelope: Envelope): Promise<void> {
    this.#reconnector.check();
    checkName(topic);
    this.#checkSize(envelope);
    const { session } = this.#reconnector;
    if (session === undefined) throw transportErrors.DISCONNECTED({ url: this.url, ms: 0 });
    this.#cast(session, this.#names.topic(topic), encodeEnvelope(envelope));
  }

  async subscribe(topic: string, handler: (envelope: Envelope) => void): Promise<Subscription> {
    this.#reconnector.check();
    checkName(topic);
    return this.#topics.add(topic, guarded(`topic ${topic}`, handler));
  }

  async deleteQueue(queue: string): Promise<void> {
    this.#reconnector.check();
    checkName(queue);
    await this.#run(async (session) => {
      await session.admin.deleteQueue(this.#names.queue(queue));
      this.#cast(session, DROPPED, new TextEncoder().encode(queue));
    });
  }

  onConnection(listener: ConnectionListener): () => void {
    return this.#reconnector.onConnection(listener);
  }

  setActive(active: boolean): void {
    this.#keepAlive.setActive(active);
  }

  close(): Promise<void> {
    return this.#reconnector.close(async () => {
      // Channels first: acknowledgements on them would be overtaken by the goodbye of their connection.
      await Promise.all([...this.#consumers].map((consumer) => consumer.close()));
      await this.#large.close();
    });
  }

  async #connected(session: RabbitSession): Promise<void> {
    const { inbox, publisher } = session;
    const exchange = await inbox.assertExchange(this.#names.exchange, 'direct', { durable: false, autoDelete: true });
    const own = { exclusive: true, autoDelete: true, durable: false, arguments: { 'x-max-length': INBOX_FRAMES } };
    session.inboxQueue = (await inbox.assertQueue('', own)).queue;
    for (const key of [DROPPED, ...this.#keys.keys()]) await inbox.bindQueue(session.inboxQueue, exchange.exchange, key);
    await inbox.consume(
      session.inboxQueue,
      (message) => {
        if (message === null) return;
        const { routingKey } = message.fields;
        if (routingKey === DROPPED) {
          const queue = message.content.toString();
          this.#publisher?.forget(queue);
          this.#outbox.dropped(queue);
          // The broker may not tell them: a quorum queue that is declared again at once gives its former readers nothing (3.10).
          for (const consumer of this.#consumers) if (consumer.queue === this.#names.queue(queue)) void consumer.reopen();
          return;
        }
        const topic = this.#keys.get(routingKey);
        if (topic !== undefined) this.#topics.publish(topic, () => decodeEnvelope(message.content, this.#settings.maxFrameBytes + 16_384));
      },
      { noAck: true },
    );
    publisher.on('blocked', (reason: string) => {
      session.blocked = transportErrors.BROKER_FULL({ url: this.url, reason });
      this.#reconnector.tell('disconnected', session.blocked);
      this.#publisher?.stall();
    });
    publisher.on('unblocked', () => {
      session.blocked = undefined;
      this.#reconnector.tell('connected');
    });
    await Promise.all([...this.#consumers].map((consumer) => consumer.open(session)));
  }

  /** Nothing is kept, and nobody confirms; while the broker is blocked it would pile up here. */
  #cast(session: RabbitSession, key: string, bytes: Uint8Array): void {
    if (session.blocked !== undefined) return;
    session.casts.publish(this.#names.exchange, key, Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), { persistent: false });
  }

  /** An operation that may be done twice: on the present session, or the next. */
  #run<T>(operate: (session: RabbitSession) => Promise<T>): Promise<T> {
    let result: T;
    return this.#keepAlive
      .hold((resolve, reject) => {
        const waiting = {
          run: (session: RabbitSession) => {
            operate(session).then(
              (value) => {
                this.#waiting.delete(waiting);
                result = value;
                resolve();
              },
              (error: Error) => {
                // Lost with its connection: stays for the next.
                if (session.ended || this.#reconnector.session !== session) return;
                this.#waiting.delete(waiting);
                reject(rabbitError(error, this.url));
              },
            );
          },
          reject,
        };
        this.#waiting.add(waiting);
        if (this.#reconnector.session !== undefined) waiting.run(this.#reconnector.session);
      })
      .then(() => result);
  }

  #checkSize(envelope: Envelope): number {
    const bytes = envelopeBytes(envelope);
    if (bytes > this.#settings.maxFrameBytes) throw transportErrors.FRAME_TOO_LARGE({ bytes, limit: this.#settings.maxFrameBytes });
    return bytes;
  }
}

/** `amqp://[user:password@]host[:5672][/vhost][?cluster=name]`, and `amqps:` over TLS. */
export const rabbitmqTransport: TransportFactory = {
  schemes: ['amqp', 'amqps'],
  async connect(url: URL, options: BrokerClientOptions = {}) {
    const address = brokerAddress(url, url.protocol === 'amqps:' ? 5671 : 5672, options);
    const transport = new RabbitTransport(address, brokerClientSettings(options));
    await transport.open();
    logger.debug('connected', { url: transport.url });
    return transport;
  },
};
