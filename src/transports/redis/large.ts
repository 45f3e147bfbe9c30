import { transportErrors } from '../errors.ts';
import { isLost, redisError, type RedisConnection } from './connection.ts';

/** Bodies beside the queue travel in pieces of this size, on a connection of their own, a few at a time. */
const PIECE_BYTES = 262_144;
const PIECES_UNDER_WAY = 4;
/** Pieces of an upload that nobody finishes. */
const UPLOAD_TTL_MS = 60_000;

async function pieces(length: number, each: (index: number, start: number, end: number) => Promise<void>): Promise<void> {
  const count = Math.ceil(length / PIECE_BYTES);
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) {
      const index = next++;
      await each(index, index * PIECE_BYTES, Math.min(length, (index + 1) * PIECE_BYTES));
    }
  };
  await Promise.all(Array.from({ length: Math.min(PIECES_UNDER_WAY, count) }, worker));
}

/** Writes a body under a key; writing it again is harmless. */
async function uploadBody(connection: RedisConnection, key: string, body: Uint8Array): Promise<void> {
  await pieces(body.length, async (index, start, end) => {
    const written = connection.command('hset', key, index, body.subarray(start, end));
    const kept = connection.command('pexpire', key, UPLOAD_TTL_MS);
    await Promise.all([written, kept]);
  });
}

/** @throws SP_TRANSPORT_BAD_FRAME when it is not there or not of this length */
async function downloadBody(connection: RedisConnection, key: string, length: number): Promise<Uint8Array> {
  // Grows with what arrives, not with what was promised.
  const parts: Buffer[] = [];
  await pieces(length, async (index, start, end) => {
    const piece = await connection.command('hget', key, index);
    if (!Buffer.isBuffer(piece) || piece.length !== end - start) throw transportErrors.BAD_FRAME({ reason: 'the body of a large frame is gone or cut short' });
    parts[index] = piece;
  });
  return Buffer.concat(parts, length);
}

export interface LargeBodiesOptions {
  connect(lost: () => void): Promise<RedisConnection>;
  readonly url: string;
  /** There is a broker to try it with again. */
  mayRetry(): boolean;
}

const TRIES = 4;

/** Large bodies have a connection of their own, made when the first of them travels. */
export class LargeBodies {
  /** Keys of bodies that are written and perhaps not yet taken. */
  readonly uploads = new Set<string>();
  readonly #options: LargeBodiesOptions;
  #bulk: Promise<RedisConnection> | undefined;

  constructor(options: LargeBodiesOptions) {
    this.#options = options;
  }

  upload(key: string, body: Uint8Array): Promise<void> {
    this.uploads.add(key);
    return this.#run((bulk) => uploadBody(bulk, key, body));
  }

  /** @throws SP_TRANSPORT_BAD_FRAME when it is gone, and when the connection is lost again and again */
  fetch(key: string, length: number): Promise<Uint8Array> {
    return this.#run((bulk) => downloadBody(bulk, key, length));
  }

  close(): void {
    this.#bulk?.then(
      (bulk) => bulk.destroy(),
      () => undefined,
    );
  }

  async #run<T>(operate: (bulk: RedisConnection) => Promise<T>): Promise<T> {
    const { connect, mayRetry, url } = this.#options;
    for (let tries = 1; ; tries++) {
      const bulk = (this.#bulk ??= connect(() => (this.#bulk = undefined)));
      try {
        return await operate(await bulk);
      } catch (error) {
        if (this.#bulk === bulk && !isLost(error) && (error as { code?: string }).code === 'SP_TRANSPORT_BAD_FRAME') throw error;
        if (this.#bulk === bulk) this.#bulk = undefined;
        if (!mayRetry() || tries >= TRIES) throw redisError(error as Error, url);
      }
    }
  }
}
