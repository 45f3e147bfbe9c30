import type { Channel, ChannelModel, ConfirmChannel } from 'amqplib';
import { transportErrors } from '../errors.ts';
import type { BrokerAddress, BrokerClientSettings } from '../settings.ts';
import { destroyModel, endModel, openModel, type Names } from './connection.ts';

const PIECE_BYTES = 262_144;
/** Pieces that another reader held are back in their queue only when the broker has seen its end. */
const FETCH_TRIES = 20;
const FETCH_PAUSE_MS = 100;

/** A body that was fetched; its pieces are this reader's until it says what becomes of them. */
export interface FetchedBody {
  readonly body: Uint8Array;
  /** Deletes the pieces. */
  done(): void;
  /** Gives them back. */
  release(): void;
}

/**
 * Bodies too large for their queue: each is a queue of pieces of its own, on a connection of its own, so that small frames pass
 * between the pieces. Pieces stay unacknowledged while their frame is, and so go with it to another reader.
 */
export class LargeBodies {
  readonly #address: BrokerAddress;
  readonly #settings: BrokerClientSettings;
  readonly #names: Names;
  #model: Promise<ChannelModel> | undefined;
  #uploads: Promise<ConfirmChannel> | undefined;

  constructor(address: BrokerAddress, settings: BrokerClientSettings, names: Names) {
    this.#address = address;
    this.#settings = settings;
    this.#names = names;
  }

  async upload(reference: string, body: Uint8Array): Promise<void> {
    try {
      const model = await this.#connection();
      this.#uploads ??= model.createConfirmChannel();
      const channel = await this.#uploads;
      channel.on('error', () => undefined);
      const queue = this.#names.large(reference);
      await channel.assertQueue(queue, { durable: true, arguments: { 'x-expires': this.#settings.idleQueueMs } });
      for (let start = 0; start < body.length; start += PIECE_BYTES) {
        const piece = body.subarray(start, start + PIECE_BYTES);
        await new Promise<void>((resolve, reject) => {
          const content = Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength);
          channel.once('close', reject);
          channel.sendToQueue(queue, content, { persistent: true }, (error: unknown) => {
            channel.removeListener('close', reject);
            if (error === null || error === undefined) resolve();
            else reject(error as Error);
          });
        });
      }
    } catch (error) {
      this.#forget();
      throw transportErrors.LOST({ url: this.#address.shown, reason: (error as Error | undefined)?.message ?? 'it was closed' }, error);
    }
  }

  /** @throws SP_TRANSPORT_BAD_FRAME when the pieces are gone, SP_TRANSPORT_LOST */
  async fetch(reference: string, length: number): Promise<FetchedBody> {
    let channel: Channel | undefined;
    try {
      const model = await this.#connection();
      channel = await model.createChannel();
      const mine = channel;
      mine.on('error', () => undefined);
      const queue = this.#names.large(reference);
      const parts: Buffer[] = [];
      let have = 0;
      for (let tries = 0; have < length;) {
        const piece = await mine.get(queue, { noAck: false });
        if (piece !== false) {
          parts.push(piece.content);
          have += piece.content.length;
          continue;
        }
        if (++tries > FETCH_TRIES) throw transportErrors.BAD_FRAME({ reason: 'the body of a large frame is gone or cut short' });
        // Somebody who died holds the first pieces: all of them again, in order.
        mine.nackAll(true);
        parts.length = have = 0;
        await new Promise((resolve) => setTimeout(resolve, FETCH_PAUSE_MS));
      }
      if (have !== length) throw transportErrors.BAD_FRAME({ reason: 'the body of a large frame has another length than was told' });
      return {
        body: Buffer.concat(parts, length),
        done: () =>
          void mine
            .deleteQueue(queue)
            .then(() => mine.close())
            .catch(() => undefined),
        release: () => void mine.close().catch(() => undefined),
      };
    } catch (error) {
      const isGone = /NOT.FOUND/.test((error as Error).message);
      if (isGone) throw transportErrors.BAD_FRAME({ reason: 'the body of a large frame is gone' }, error);
      channel?.close().catch(() => undefined);
      if ((error as { code?: string }).code === 'SP_TRANSPORT_BAD_FRAME') throw error;
      throw transportErrors.LOST({ url: this.#address.shown, reason: (error as Error).message }, error);
    }
  }

  async close(): Promise<void> {
    const model = await this.#model?.catch(() => undefined);
    if (model !== undefined) await endModel(model);
  }

  /** At once: what was held goes back. */
  drop(): void {
    void this.#model?.then(destroyModel, () => undefined);
    this.#forget();
  }

  #connection(): Promise<ChannelModel> {
    if (this.#model === undefined) {
      const opening = openModel(this.#address, this.#settings, 'large bodies').then((model) => {
        model.on('close', () => {
          if (this.#model === opening) this.#forget();
        });
        return model;
      });
      this.#model = opening;
    }
    return this.#model;
  }

  #forget(): void {
    this.#model = this.#uploads = undefined;
  }
}
