import { encodeEnvelope } from '../../protocol/codec.ts';
import { EMPTY_BYTES } from '../../protocol/task.ts';
import type { Batch, BatchResult, Outgoing } from '../outbox.ts';
import type { BrokerClientSettings } from '../settings.ts';
import { isLost, redisError, type RedisConnection, type ScriptArgument } from './connection.ts';
import type { LargeBodies } from './large.ts';
import { pushFrame } from './parcels.ts';
import { xaddPrefix } from './transaction.ts';

/** How often the time to live of keys in use is set again; it is an hour, unless told otherwise. */
export const REFRESHES_PER_TTL = 4;

/** What pushes need of the transport. */
export interface PushHost {
  readonly url: string;
  readonly client: string;
  /** Of all keys. */
  readonly prefix: string;
  readonly settings: BrokerClientSettings;
  readonly large: LargeBodies;
  session(): RedisConnection | undefined;
  /** Why there is none. */
  disconnectedError(): Error;
  /** Everything begins anew on another connection. */
  drop(connection: RedisConnection, reason: Error): void;
  tell(state: 'connected' | 'disconnected', reason?: Error): void;
}

/** A queue whose consumer reads by itself. */
interface DirectQueue {
  readonly connection: RedisConnection;
  readonly xadd: Buffer;
  /** What may be added before the script is to be asked again. */
  frames: number;
  bytes: number;
  /** What was added since the script was told. */
  untoldFrames: number;
  untoldBytes: number;
}

/** Hands batches to Redis: to the script, or by plain commands while the script says that the consumer of the queue reads by itself. */
export class Pushes {
  readonly #host: PushHost;
  readonly #direct = new Map<string, DirectQueue>();
  /** Queues whose keys got their time to live from here lately. */
  readonly #touched = new Set<string>();
  #touchedAt = 0;
  #full = false;

  constructor(host: PushHost) {
    this.#host = host;
  }

  /** There is a connection, whose script knows of no plain addition. */
  begin(): void {
    this.#full = false;
    this.#direct.clear();
    this.#touched.clear();
    this.#touchedAt = this.#host.settings.clock.now();
  }

  /** True: frames were added that nobody may be reading. */
  undirect(queue: string): boolean {
    return this.#direct.delete(queue);
  }

  async push(batch: Batch): Promise<BatchResult> {
    const connection = this.#host.session();
    if (connection === undefined) throw this.#host.disconnectedError();
    try {
      return (await this.#add(connection, batch)) ?? (await this.#pushByScript(connection, batch));
    } catch (error) {
      this.#direct.delete(batch.queue);
      return this.#failed(connection, error as Error);
    }
  }

  #add(connection: RedisConnection, { queue, first, frames }: Batch): Promise<BatchResult> | undefined {
    const direct = this.#direct.get(queue);
    if (direct === undefined || direct.connection !== connection || direct.frames < frames.length || this.#isDue(queue)) return undefined;
    let bytes = 0;
    for (const frame of frames) bytes += frame.bytes;
    if (direct.bytes < bytes || (frames[0] as Outgoing).envelope.body.length > this.#host.settings.inlineBytes) return undefined;
    direct.frames -= frames.length;
    direct.bytes -= bytes;
    direct.untoldFrames += frames.length;
    direct.untoldBytes += bytes;
    const { prefix, client } = this.#host;
    const envelopes = frames.map(({ envelope }) => envelope);
    return connection
      .add({ xadd: direct.xadd, envelopes, key: `${prefix}s:${client}`, field: queue, value: first + frames.length - 1 })
      .then(() => ({ accepted: frames.length }));
  }

  async #pushByScript(connection: RedisConnection, { queue, base, first, frames }: Batch): Promise<BatchResult> {
    const { client, prefix, settings, large } = this.#host;
    const { inlineBytes, maxQueueFrames, maxQueueBytes } = settings;
    const args: ScriptArgument[] = [queue, client, base, first, maxQueueFrames, maxQueueBytes, this.#touch(queue) ? 1 : 0];
    const { envelope } = frames[0] as Outgoing;
    const { body } = envelope;
    const direct = this.#direct.get(queue);
    const { untoldFrames = 0, untoldBytes = 0 } = direct ?? {};
    let upload = '';
    if (body.length > inlineBytes) {
      // It travels alone.
      upload = `${prefix}up:${client}:${first}`;
      await large.upload(upload, body);
      args.push(body.length, upload, untoldFrames, untoldBytes, encodeEnvelope({ ...envelope, body: EMPTY_BYTES }), '');
    } else {
      args.push(0, '', untoldFrames, untoldBytes);
      for (const frame of frames) pushFrame(args, frame.envelope);
    }
    const [accepted, full, mayFrames, mayBytes] = (await connection.script('push', ...args)) as [number, number, number, number];
    this.#restored();
    if (upload !== '' && accepted === 1) large.uploads.delete(upload);
    if (mayFrames > 0 && accepted === frames.length && connection.identity !== undefined) {
      const xadd = direct?.xadd ?? xaddPrefix(`${prefix}q:${queue}`);
      this.#direct.set(queue, { connection, xadd, frames: mayFrames, bytes: mayBytes, untoldFrames: 0, untoldBytes: 0 });
    } else this.#direct.delete(queue);
    return { accepted, full: full === 1 };
  }

  /** The time to live of the keys of a queue is to be set again. */
  #isDue(queue: string): boolean {
    const { clock, idleQueueMs } = this.#host.settings;
    const now = clock.now();
    if (now - this.#touchedAt > idleQueueMs / REFRESHES_PER_TTL) {
      this.#touched.clear();
      this.#touchedAt = now;
    }
    return !this.#touched.has(queue);
  }

  #touch(queue: string): boolean {
    const due = this.#isDue(queue);
    if (due) this.#touched.add(queue);
    return due;
  }

  #failed(connection: RedisConnection, error: Error): BatchResult {
    if (isLost(error)) throw error;
    const { url } = this.#host;
    const told = redisError(error, url);
    if ((told as { code?: string }).code === 'SP_TRANSPORT_BROKER_FULL') {
      if (!this.#full) this.#host.tell('disconnected', told);
      this.#full = true;
      return { accepted: 0, stalled: told };
    }
    if (error.message.startsWith('SPUPLOAD')) return { accepted: 0, stalled: told };
    // Flushed, a script that is not there any more, and the like: begin anew on a connection of its own.
    if (/^(SPFLUSHED|SPEXPIRED|NOSCRIPT|LOADING|UNKILLABLE|BUSY)/.test(error.message)) {
      this.#host.drop(connection, error);
      throw error;
    }
    return { accepted: 0, refused: told };
  }

  #restored(): void {
    if (!this.#full) return;
    this.#full = false;
    this.#host.tell('connected');
  }
}
