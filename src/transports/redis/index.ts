import type { Timer } from '../../core/clock.ts';
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
import { Acknowledgements } from './acknowledgements.ts';
import { connectRedis, isLost, isStale, redisError, type RedisConnection } from './connection.ts';
import { RedisConsumer, type ConsumerHost } from './consumers.ts';
import { LargeBodies } from './large.ts';
import { ParcelReader } from './parcels.ts';
import { Pushes, REFRESHES_PER_TTL } from './pushes.ts';
import { Readers } from './readers.ts';

const logger = createLogger('redis');
/** A call a queue, while the next batch fills: what is behind one that is refused must not be taken. */
const MAX_CALLS = 1;
/** What Redis is given while the rest is still being made; a call costs as much as a frame or two. */
const PROMPT_FRAMES = 8;
const BATCH_BYTES = 524_288;
/** A goodbye may take this long. */
const GOODBYE_MS = 2000;
const GOODBYES = 3;
/** How often, and how many times, a consumer asks for a queue that another reads by itself. */
const ATTACH_AGAIN_MS = 10;
const ATTACHES = 100;

/**
 * Queues and topics in Redis; see script.ts for what is kept there.
 *
 * IDEMPOTENCY: pushes are numbered, acknowledgements name their frame: both are made again after a lost connection.
 * OWNERSHIP: frames in hand stay with this client while its beats arrive (`consumerTtlMs`), whatever becomes of its connection.
 */
class RedisTransport implements Transport {
  readonly url: string;
  readonly #address: BrokerAddress;
  readonly #settings: BrokerClientSettings;
  readonly #prefix: string;
  readonly #client = newId('client');
  readonly #keepAlive = createKeepAlive();
  readonly #reconnector: Reconnector<RedisConnection>;
  readonly #outbox: Outbox;
  readonly #topics: Topics;
  readonly #consumers = new Map<number, RedisConsumer>();
  readonly #host: ConsumerHost;
  /** Operations that wait for a connection: (re)done on the next one. */
  readonly #waiting = new Set<{ run: (connection: RedisConnection) => void; reject: (error: Error) => void }>();
  #nextNumber = 1;
  #incarnation = '';
  /** The latest connection, established or not. */
  #latest: RedisConnection | undefined;
  #beat: Timer | undefined;
  #silentBeats = 0;
  #connectedAt = 0;
  #refreshedAt = 0;
  readonly #large: LargeBodies;
  readonly #pushes: Pushes;
  readonly #readers: Readers;
  readonly #acknowledgements: Acknowledgements;
  #closing: Promise<void> | undefined;

  constructor(address: BrokerAddress, settings: BrokerClientSettings) {
    this.url = address.shown;
    this.#address = address;
    this.#settings = settings;
    this.#prefix = `spark-proxy:${address.cluster}:`;
    this.#outbox = new Outbox({
      push: (batch) => this.#pushes.push(batch),
      inlineBytes: settings.inlineBytes,
      stallMs: settings.connectTimeoutMs,
      maxCalls: MAX_CALLS,
      promptFrames: PROMPT_FRAMES,
      firstAtOnce: true,
      batchBytes: BATCH_BYTES,
      keepAlive: this.#keepAlive,
      clock: settings.clock,
      random: settings.random,
    });
    this.#topics = new Topics({
      subscribe: (topic) => this.#run((connection) => connection.subscribe(this.#topicChannel(topic))),
      unsubscribe: (topic) => this.#keepAlive.during(async () => this.#reconnector.session?.unsubscribe(this.#topicChannel(topic))),
    });
    this.#reconnector = new Reconnector<RedisConnection>({
      url: this.url,
      settings,
      keepAlive: this.#keepAlive,
      attempt: (lost) => connectRedis(address, settings, lost),
      connected: (connection) => this.#connected(connection),
      ready: (connection) => this.#ready(connection),
      disconnected: () => {
        this.#readers.endAll();
        this.#outbox.shut();
      },
      givenUp: (error) => {
        this.#outbox.failAll(error);
        for (const { reject } of this.#waiting) reject(error);
        this.#waiting.clear();
      },
    });
    this.#large = new LargeBodies({
      connect: (lost) => connectRedis(address, settings, lost),
      url: this.url,
      mayRetry: () => !this.#reconnector.closed && this.#reconnector.session !== undefined,
    });
    const session = (): RedisConnection | undefined => this.#reconnector.session;
    this.#pushes = new Pushes({
      url: this.url,
      client: this.#client,
      prefix: this.#prefix,
      settings,
      large: this.#large,
      session,
      disconnectedError: () => this.#reconnector.disconnectedError(),
      drop: (connection, reason) => this.#drop(connection, reason),
      tell: (state, reason) => this.#reconnector.tell(state, reason),
    });
    this.#readers = new Readers({
      client: this.#client,
      prefix: this.#prefix,
      settings,
      connect: (lost) => connectRedis(address, settings, lost),
      session,
      attach: (connection, consumer) => this.#attach(connection, consumer),
      guard: (connection, call) => this.#guard(connection, call),
    });
    this.#acknowledgements = new Acknowledgements({
      client: this.#client,
      clock: settings.clock,
      session,
      guard: (connection, call) => this.#guard(connection, call),
      done: (consumer) => this.#consumers.delete(consumer.number),
    });
    this.#host = {
      maxFrameBytes: settings.maxFrameBytes,
      dirty: (consumer) => this.#acknowledgements.mark(consumer),
      nack: (consumer, tag) => this.#nack(consumer, tag),
      fetch: (queue, tag, bytes) => this.#large.fetch(`${this.#prefix}l:${queue}:${tag}`, bytes),
    };
  }

  /** Connects for the first time. */
  async open(): Promise<void> {
    await this.#reconnector.open();
    this.#beat = this.#settings.clock.every(this.#settings.heartbeatMs, () => this.#onBeat());
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
    const consumer = new RedisConsumer(queue, this.#nextNumber++, prefetch, this.#host, guarded(`queue ${queue}`, handler));
    await this.#run((connection) => {
      this.#consumers.set(consumer.number, consumer);
      return this.#attach(connection, consumer);
    });
    this.#readers.offer(consumer);
    return { cancel: () => this.#keepAlive.during(() => this.#cancel(consumer)) };
  }

  async broadcast(topic: string, envelope: Envelope): Promise<void> {
    this.#reconnector.check();
    checkName(topic);
    this.#checkSize(envelope);
    const connection = this.#reconnector.session;
    if (connection === undefined) throw transportErrors.DISCONNECTED({ url: this.url, ms: 0 });
    await this.#keepAlive.during(() => connection.command('publish', this.#topicChannel(topic), encodeEnvelope(envelope)));
  }

  async subscribe(topic: string, handler: (envelope: Envelope) => void): Promise<Subscription> {
    this.#reconnector.check();
    checkName(topic);
    return this.#topics.add(topic, guarded(`topic ${topic}`, handler));
  }

  async deleteQueue(queue: string): Promise<void> {
    this.#reconnector.check();
    checkName(queue);
    await this.#run((connection) => connection.script('delete', queue));
  }

  onConnection(listener: ConnectionListener): () => void {
    return this.#reconnector.onConnection(listener);
  }

  setActive(active: boolean): void {
    this.#keepAlive.setActive(active);
  }

  close(): Promise<void> {
    this.#closing ??= this.#keepAlive.during(async () => {
      this.#beat?.cancel();
      this.#acknowledgements.close();
      for (const consumer of this.#consumers.values()) consumer.closed = true;
      this.#large.close();
      let said = false;
      await this.#reconnector.close(async (connection) => {
        said = await this.#sayGoodbye(connection);
      });
      if (!said && this.#incarnation !== '') await this.#leave();
    });
    return this.#closing;
  }

  async #sayGoodbye(connection: RedisConnection): Promise<boolean> {
    try {
      this.#readers.endAll();
      const bye = async (): Promise<void> => {
        const killed = this.#readers.killFormer(connection);
        await Promise.all([killed, ...[...this.#consumers.values()].map((consumer) => this.#acknowledgements.write(connection, consumer))]);
        await connection.script('bye', this.#client, ...this.#large.uploads);
      };
      await this.#within(bye());
      return true;
    } catch (error) {
      logger.debug('no goodbye', { error: (error as Error).message });
      return false;
    }
  }

  /** Closed while its connection was lost: on another, or others would wait for what it had in hand until it is taken for dead. */
  async #leave(): Promise<void> {
    const settings = { ...this.#settings, connectTimeoutMs: GOODBYE_MS };
    const began = settings.clock.now();
    for (let tries = 0, said = false; tries < GOODBYES && !said && settings.clock.now() - began < GOODBYE_MS; tries++) {
      try {
        const connection = await connectRedis(this.#address, settings, () => undefined);
        try {
          this.#readers.forget(this.#latest?.identity);
          await this.#within(this.#claim(connection));
          said = await this.#sayGoodbye(connection);
        } finally {
          connection.destroy();
        }
      } catch (error) {
        logger.debug('nobody to take leave of', { error: (error as Error).message });
      }
    }
  }

  /** Only who reads a queue may acknowledge what came from it. */
  async #claim(connection: RedisConnection): Promise<void> {
    connection.incarnation = this.#incarnation;
    await this.#readers.killFormer(connection);
    await connection.script('open', this.#client, this.#settings.consumerTtlMs);
    const owing = [...this.#consumers.values()].filter(({ acked }) => acked.size > 0);
    await Promise.all(owing.map((consumer) => this.#attach(connection, consumer)));
  }

  /** An operation that may be done twice: on the present connection, or the next. */
  #run<T>(operate: (connection: RedisConnection) => Promise<T>): Promise<T> {
    let result: T;
    return this.#keepAlive
      .hold((resolve, reject) => {
        const waiting = {
          run: (connection: RedisConnection) => {
            operate(connection).then(
              (value) => {
                this.#waiting.delete(waiting);
                result = value;
                resolve();
              },
              (error: Error) => {
                // Lost with its connection: stays for the next.
                if (isLost(error)) return;
                if (isStale(error)) return this.#drop(connection, error);
                this.#waiting.delete(waiting);
                reject(redisError(error, this.url));
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

  async #connected(connection: RedisConnection): Promise<void> {
    const { consumerTtlMs, clock } = this.#settings;
    this.#readers.forget(this.#latest?.identity);
    this.#latest = connection;
    await this.#readers.killFormer(connection);
    const parcels = new ParcelReader(
      (frame) => this.#consumers.get(frame.consumer)?.receive(frame),
      (number) => this.#stepBack(number),
    );
    connection.onMessage((channel, message) => this.#onMessage(channel, message, parcels));
    await Promise.all([connection.subscribe(`${this.#prefix}in:${this.#client}`), connection.subscribe(`${this.#prefix}room`)]);
    connection.incarnation = newId('incarnation');
    const incarnation = String(await connection.script('open', this.#client, consumerTtlMs));
    connection.incarnation = incarnation;
    const known = this.#incarnation;
    this.#incarnation = incarnation;
    if (known !== '' && known !== incarnation) this.#reconnector.tell('disconnected', transportErrors.DATA_LOST({ url: this.url }));
    await Promise.all(this.#topics.names.map((topic) => connection.subscribe(this.#topicChannel(topic))));
    this.#silentBeats = 0;
    this.#pushes.begin();
    this.#connectedAt = this.#refreshedAt = clock.now();
    await Promise.all([...this.#consumers.values()].map((consumer) => this.#attach(connection, consumer)));
  }

  #ready(connection: RedisConnection): void {
    for (const { run } of [...this.#waiting]) run(connection);
    this.#outbox.open();
    for (const consumer of this.#consumers.values()) {
      this.#acknowledgements.mark(consumer);
      for (const tag of consumer.nacked) this.#nack(consumer, tag);
      this.#readers.offer(consumer);
    }
  }

  async #attach(connection: RedisConnection, consumer: RedisConsumer): Promise<void> {
    for (let tries = 1; ; tries++) {
      const tags = consumer.attaching();
      const { queue, number, generation, prefetch, cancelled, closed } = consumer;
      const force = tries >= ATTACHES ? 1 : 0;
      const lost = await connection.script('attach', queue, this.#client, number, generation, cancelled || closed ? 0 : prefetch, force, ...tags);
      if (Array.isArray(lost)) return consumer.disown(lost as Buffer[]);
      // Its only consumer so far reads by itself, and was asked to stop.
      await new Promise<void>((resolve) => this.#settings.clock.after(ATTACH_AGAIN_MS, resolve, { background: true }));
    }
  }

  #stepBack(number: number): void {
    const consumer = this.#consumers.get(number);
    if (consumer !== undefined) this.#readers.stepBack(consumer);
  }

  async #cancel(consumer: RedisConsumer): Promise<void> {
    if (consumer.cancelled) return;
    consumer.cancelled = true;
    const connection = this.#reconnector.session;
    try {
      this.#readers.stepBack(consumer);
      await connection?.script('cancel', consumer.queue, `${this.#client}.${consumer.number}`);
    } catch (error) {
      logger.debug('a consumer is cancelled with its connection', { error: (error as Error).message });
    }
    if (consumer.idle) this.#consumers.delete(consumer.number);
  }

  #onMessage(channel: string, message: Buffer, parcels: ParcelReader): void {
    const name = channel.slice(this.#prefix.length);
    if (name.startsWith('in:')) return parcels.read(message);
    if (name.startsWith('t:')) return this.#topics.publish(name.slice(2), () => decodeEnvelope(message, this.#settings.maxFrameBytes + 16_384));
    const [what, queue] = [message.toString('latin1', 0, 1), message.toString('utf8', 1)];
    if (what === '-') this.#outbox.dropped(queue);
    if (what === '+') this.#outbox.room(queue);
    else this.#undirect(queue);
  }

  /** What was added by plain commands since its reader stopped is given out. */
  #undirect(queue: string): void {
    const connection = this.#reconnector.session;
    if (this.#pushes.undirect(queue) && connection !== undefined) this.#guard(connection, connection.script('pump', queue));
  }

  #nack(consumer: RedisConsumer, tag: string): void {
    const connection = this.#reconnector.session;
    // Said once there is one, if the broker was told meanwhile that it is held here. Lost: it is not among what the consumer holds when it attaches again.
    if (connection === undefined) return void consumer.nacked.add(tag);
    consumer.nacked.delete(tag);
    this.#guard(connection, connection.script('nack', consumer.queue, `${this.#client}.${consumer.number}`, consumer.generation, tag));
  }

  #onBeat(): void {
    const connection = this.#reconnector.session;
    if (connection === undefined) return;
    const { missedBeats, heartbeatMs, consumerTtlMs, idleQueueMs, clock } = this.#settings;
    // Beats are counted, not timed: an event loop that was blocked counts one, however long.
    if (this.#silentBeats++ > missedBeats) {
      return this.#drop(connection, transportErrors.LOST({ url: this.url, reason: `no answer for ${missedBeats} beats of ${heartbeatMs} ms` }));
    }
    const now = clock.now();
    const refresh = now - this.#refreshedAt > idleQueueMs / REFRESHES_PER_TTL;
    if (refresh) this.#refreshedAt = now;
    // Whoever was away itself, with everybody else, must not bury them all.
    const mayBury = now - this.#connectedAt > consumerTtlMs;
    this.#readers.onBeat(this.#consumers.values());
    const beat = connection.script('beat', this.#client, consumerTtlMs, mayBury ? 1 : 0, refresh ? 1 : 0);
    this.#guard(
      connection,
      beat.then(() => {
        this.#silentBeats = 0;
        for (const consumer of this.#consumers.values()) this.#acknowledgements.mark(consumer);
      }),
    );
  }

  /** Errors of what nobody waits for. */
  #guard(connection: RedisConnection, call: Promise<unknown>): void {
    call.catch((error: Error) => {
      if (isLost(error)) return;
      if (isStale(error)) return this.#drop(connection, error);
      this.#silentBeats = 0;
      logger.warn('Redis refused an operation; it is tried again', { url: this.url, error: error.message });
    });
  }

  #drop(connection: RedisConnection, reason: Error): void {
    if (this.#reconnector.session === connection) connection.abort(transportErrors.LOST({ url: this.url, reason: reason.message }, reason));
  }

  async #within(call: Promise<unknown>): Promise<void> {
    let timeout: Timer | undefined;
    const late = new Promise<never>((_, reject) => {
      timeout = this.#settings.clock.after(GOODBYE_MS, () => reject(new Error('no answer')));
    });
    try {
      await Promise.race([call, late]);
    } finally {
      timeout?.cancel();
    }
  }

  #topicChannel(topic: string): string {
    return `${this.#prefix}t:${topic}`;
  }

  #checkSize(envelope: Envelope): number {
    const bytes = envelopeBytes(envelope);
    if (bytes > this.#settings.maxFrameBytes) throw transportErrors.FRAME_TOO_LARGE({ bytes, limit: this.#settings.maxFrameBytes });
    return bytes;
  }
}

/** `redis://[user:password@]host[:6379][/db][?cluster=name]`, and `rediss:` over TLS. */
export const redisTransport: TransportFactory = {
  schemes: ['redis', 'rediss'],
  async connect(url: URL, options: BrokerClientOptions = {}) {
    const address = brokerAddress(url, 6379, options);
    if (!/^\d*$/.test(address.path)) throw transportErrors.BAD_URL({ url: address.shown, reason: 'its path is the number of a database' });
    const transport = new RedisTransport(address, brokerClientSettings(options));
    await transport.open();
    return transport;
  },
};
