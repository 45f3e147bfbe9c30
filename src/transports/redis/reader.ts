import type { ConnectionIdentity, RedisConnection } from './connection.ts';
import type { RedisConsumer } from './consumers.ts';

/** Entries asked for at a time. */
const READ_FRAMES = 64;

type Fields = readonly [name: Buffer, envelope: Buffer, kind?: Buffer, value?: Buffer];
type Entries = readonly (readonly [id: Buffer, fields: Fields])[];
type Reply = readonly (readonly [stream: Buffer, entries: Entries])[] | null;

const BODY = 0x62;

/** What is not a length is refused with the body that is not there. */
function lengthOf(value: Buffer | undefined): number {
  const length = Number(value);
  return Number.isSafeInteger(length) && length >= 0 ? length : 0;
}

export interface ReaderOptions {
  readonly connection: RedisConnection;
  readonly consumer: RedisConsumer;
  readonly stream: string;
  /** Of the consumer in the group of the stream. */
  readonly name: string;
  /** Longest wait in the server, milliseconds: whoever is gone without its connection being seen to end takes nothing after that. */
  readonly blockMs: number;
  /** It reads no more; not called after `stop`. */
  failed(error: Error): void;
}

/** Reads a queue for its only consumer, which waits in the very command that delivers, as much at a time as it may have. */
export class DirectReader {
  readonly #options: ReaderOptions;
  readonly #generation: number;
  #stopped = false;
  #wake: (() => void) | undefined;
  /** Beats without an answer. */
  silentBeats = 0;

  constructor(options: ReaderOptions) {
    this.#options = options;
    this.#generation = options.consumer.generation;
  }

  get identity(): ConnectionIdentity | undefined {
    return this.#options.connection.identity;
  }

  start(): void {
    this.#read().catch((error: Error) => {
      if (!this.#stopped) this.#options.failed(error);
    });
  }

  /** There may be credit again. */
  wake(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  /** What is on its way to it is given back when the consumer attaches again. */
  stop(): void {
    this.#stopped = true;
    this.#options.connection.destroy();
    this.wake();
  }

  async #read(): Promise<void> {
    const { connection, consumer, stream, name, blockMs } = this.#options;
    while (!this.#stopped) {
      const { credit } = consumer;
      if (credit <= 0) {
        this.silentBeats = 0;
        await new Promise<void>((resolve) => (this.#wake = resolve));
        continue;
      }
      const count = Math.min(credit, READ_FRAMES);
      const reply = await connection.command('xreadgroup', 'GROUP', 'g', name, 'COUNT', count, 'BLOCK', blockMs, 'STREAMS', stream, '>');
      this.silentBeats = 0;
      if (this.#stopped) return;
      const entries = (reply as Reply)?.[0]?.[1];
      if (entries === undefined) continue;
      this.#receive(entries);
      // What its frames are answered with goes first.
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
  }

  #receive(entries: Entries): void {
    const { consumer } = this.#options;
    let bytes = 0;
    for (const [id, [, envelope, kind, value]] of entries) {
      const body = kind?.[0] === BODY ? value : undefined;
      const length = kind === undefined || body !== undefined ? undefined : lengthOf(value);
      bytes += envelope.length + (body?.length ?? length ?? 0);
      const tag = id.toString('latin1');
      consumer.receive({ consumer: consumer.number, generation: this.#generation, redelivered: false, tag, envelope, body, length });
    }
    if (entries.length > 0) consumer.took(entries.length, bytes);
  }
}
