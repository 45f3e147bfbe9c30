import type { Clock, Timer } from '../../core/clock.ts';
import type { RedisConnection } from './connection.ts';
import type { RedisConsumer } from './consumers.ts';

/** Acknowledgements in one call. */
const MAX_ACKS = 1000;
/** They are written when they are as many, or half of what the consumer may have in hand, or after as many milliseconds. */
const ACKS_TOGETHER = 32;
const ACK_DELAY_MS = 4;

export interface AcknowledgementsHost {
  readonly client: string;
  readonly clock: Clock;
  session(): RedisConnection | undefined;
  /** Errors of what nobody waits for. */
  guard(connection: RedisConnection, call: Promise<unknown>): void;
  /** A consumer that was cancelled has nothing left to say. */
  done(consumer: RedisConsumer): void;
}

/** Acknowledgements wait for each other a little: one that is lost with its client has its frame delivered again, no more. */
export class Acknowledgements {
  readonly #host: AcknowledgementsHost;
  readonly #dirty = new Set<RedisConsumer>();
  #scheduled = false;
  #late: Timer | undefined;

  constructor(host: AcknowledgementsHost) {
    this.#host = host;
  }

  /** The consumer may have acknowledgements to write, or frames it took by itself. */
  mark(consumer: RedisConsumer): void {
    const owed = consumer.acked.size - consumer.underWay.size;
    if (owed <= 0 && consumer.taken.frames === 0) return;
    this.#dirty.add(consumer);
    if (owed >= ACKS_TOGETHER || owed * 2 >= consumer.prefetch || (consumer.cancelled && owed > 0)) this.#schedule();
    else this.#late ??= this.#host.clock.after(ACK_DELAY_MS, () => this.#flush(), { background: true });
  }

  close(): void {
    this.#late?.cancel();
  }

  async write(connection: RedisConnection, consumer: RedisConsumer): Promise<void> {
    const tags = [...consumer.acked].filter((tag) => !consumer.underWay.has(tag));
    for (let i = 0; i < tags.length || (i === 0 && consumer.taken.frames > 0); i += MAX_ACKS) {
      const some = tags.slice(i, i + MAX_ACKS);
      const { queue, generation, taken } = consumer;
      const name = `${this.#host.client}.${consumer.number}`;
      const { frames, bytes } = taken;
      taken.frames = taken.bytes = 0;
      for (const tag of some) consumer.underWay.add(tag);
      try {
        const done = consumer.reader !== undefined && (await connection.directAck(queue, name, generation, bytes, ...some));
        if (!done) await connection.script('ack', queue, name, generation, frames, bytes, ...some);
        for (const tag of some) consumer.acked.delete(tag);
      } catch (error) {
        if (generation === consumer.generation) {
          taken.frames += frames;
          taken.bytes += bytes;
        }
        throw error;
      } finally {
        for (const tag of some) consumer.underWay.delete(tag);
      }
    }
    if (consumer.cancelled && consumer.idle) this.#host.done(consumer);
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    this.#late?.cancel();
    this.#late = undefined;
    const connection = this.#host.session();
    if (connection === undefined) return;
    const dirty = [...this.#dirty];
    this.#dirty.clear();
    for (const consumer of dirty) this.#host.guard(connection, this.write(connection, consumer));
  }
}
