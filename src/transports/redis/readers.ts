import { createLogger } from '../../core/logger.ts';
import type { BrokerClientSettings } from '../settings.ts';
import type { ConnectionIdentity, RedisConnection } from './connection.ts';
import type { RedisConsumer } from './consumers.ts';
import { DirectReader } from './reader.ts';

const logger = createLogger('redis');

/** Consumers of a client that read by themselves: each has a connection. */
const MAX_READERS = 4;
/** Longest wait in the server, and the part of what a silent client lives: it must be over when others take what it had. */
const MAX_BLOCK_MS = 2000;
const BLOCKS_PER_LIFE = 4;
/** Who stepped back waits for so many beats before it asks again. */
const PATIENCE_BEATS = 3;

export interface ReadersHost {
  readonly client: string;
  /** Of all keys. */
  readonly prefix: string;
  readonly settings: BrokerClientSettings;
  connect(lost: () => void): Promise<RedisConnection>;
  session(): RedisConnection | undefined;
  attach(connection: RedisConnection, consumer: RedisConsumer): Promise<void>;
  /** Errors of what nobody waits for. */
  guard(connection: RedisConnection, call: Promise<unknown>): void;
}

/**
 * Consumers that read by themselves, since they are the only ones of their queues.
 *
 * STATES of one: asked (the script may say no), granted, reading; `stepBack` from either of the last two: its connection is killed,
 * so that no entry goes to it any more, and it attaches again, which gives back what it was sent and did not see.
 */
export class Readers {
  readonly #host: ReadersHost;
  readonly #blockMs: number;
  readonly #asked = new Set<RedisConsumer>();
  readonly #granted = new Map<RedisConsumer, DirectReader | undefined>();
  readonly #patience = new Map<RedisConsumer, number>();
  /** Connections to be killed before another takes their place: they may have written what the server has not read yet. */
  #former: ConnectionIdentity[] = [];

  constructor(host: ReadersHost) {
    this.#host = host;
    this.#blockMs = Math.max(1, Math.min(MAX_BLOCK_MS, Math.floor(host.settings.consumerTtlMs / BLOCKS_PER_LIFE)));
  }

  /** Asks whether a consumer may read by itself; not to be waited for. */
  offer(consumer: RedisConsumer): void {
    const session = this.#host.session();
    if (session?.identity === undefined || this.#asked.size + this.#granted.size >= MAX_READERS) return;
    if (this.#asked.has(consumer) || this.#granted.has(consumer) || consumer.cancelled || consumer.closed || this.#patience.has(consumer)) return;
    this.#asked.add(consumer);
    consumer.asking();
    const { generation } = consumer;
    const { client } = this.#host;
    const asking = session.script('direct', consumer.queue, `${client}.${consumer.number}`, generation).then(
      (answer) => {
        // Nothing else may come between: it is granted on this connection, to this generation.
        if (!this.#asked.delete(consumer) || answer !== 1) return;
        // What it said then has ended this, too.
        if (consumer.cancelled || consumer.closed) return;
        this.#granted.set(consumer, undefined);
        return consumer.generation === generation ? this.#open(consumer) : this.stepBack(consumer);
      },
      (error: Error) => {
        this.#asked.delete(consumer);
        throw error;
      },
    );
    this.#host.guard(session, asking);
  }

  async #open(consumer: RedisConsumer): Promise<void> {
    const { host, generation } = { host: this.#host, generation: consumer.generation };
    let reader: DirectReader | undefined;
    const current = (): boolean => this.#granted.has(consumer) && this.#granted.get(consumer) === reader && consumer.generation === generation;
    const failed = (error: Error): void => {
      if (!current()) return;
      logger.debug('a reader ended', { queue: consumer.queue, error: error.message });
      this.stepBack(consumer);
    };
    try {
      const connection = await host.connect(() => failed(new Error('its connection was lost')));
      if (!current()) return connection.destroy();
      const stream = `${host.prefix}q:${consumer.queue}`;
      reader = new DirectReader({ connection, consumer, stream, name: `${host.client}.${consumer.number}`, blockMs: this.#blockMs, failed });
      this.#granted.set(consumer, reader);
      consumer.reader = reader;
      reader.start();
    } catch (error) {
      failed(error as Error);
    }
  }

  /** It reads by itself no longer, and attaches again, if there is a connection. */
  stepBack(consumer: RedisConsumer): void {
    const session = this.#host.session();
    if (!this.#end(consumer) || session === undefined) return;
    this.#patience.set(consumer, PATIENCE_BEATS);
    this.#host.guard(session, this.killFormer(session));
    this.#host.guard(session, this.#host.attach(session, consumer));
  }

  /** The connection of all is lost, or to be left: nobody reads by itself. */
  endAll(): void {
    this.#asked.clear();
    for (const consumer of [...this.#granted.keys()]) this.#end(consumer);
  }

  /** A connection that takes the place of others: what these have still to say is not heard. */
  async killFormer(session: RedisConnection): Promise<void> {
    const former = this.#former;
    this.#former = [];
    if (session.identity === undefined) return;
    await Promise.all(former.map((each) => session.kill(each)));
  }

  forget(identity: ConnectionIdentity | undefined): void {
    if (identity !== undefined) this.#former.push(identity);
  }

  onBeat(consumers: Iterable<RedisConsumer>): void {
    const { missedBeats, heartbeatMs } = this.#host.settings;
    const patience = missedBeats + Math.ceil(this.#blockMs / heartbeatMs);
    for (const [consumer, reader] of [...this.#granted]) if (reader !== undefined && reader.silentBeats++ > patience) this.stepBack(consumer);
    for (const [consumer, beats] of [...this.#patience]) {
      if (beats > 1) this.#patience.set(consumer, beats - 1);
      else this.#patience.delete(consumer);
    }
    if (this.#asked.size + this.#granted.size < MAX_READERS) for (const consumer of consumers) this.offer(consumer);
  }

  #end(consumer: RedisConsumer): boolean {
    const reader = this.#granted.get(consumer);
    if (!this.#granted.delete(consumer)) return false;
    consumer.reader = undefined;
    reader?.stop();
    this.forget(reader?.identity);
    return true;
  }
}
