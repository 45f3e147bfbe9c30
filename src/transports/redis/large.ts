import { transportErrors } from '../errors.ts';
import type { RedisConnection } from './connection.ts';

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
export async function uploadBody(connection: RedisConnection, key: string, body: Uint8Array): Promise<void> {
  await pieces(body.length, async (index, start, end) => {
    const written = connection.command('hset', key, index, body.subarray(start, end));
    const kept = connection.command('pexpire', key, UPLOAD_TTL_MS);
    await Promise.all([written, kept]);
  });
}

/** @throws SP_TRANSPORT_BAD_FRAME when it is not there or not of this length */
export async function downloadBody(connection: RedisConnection, key: string, length: number): Promise<Uint8Array> {
  // Grows with what arrives, not with what was promised.
  const parts: Buffer[] = [];
  await pieces(length, async (index, start, end) => {
    const piece = await connection.command('hget', key, index);
    if (!Buffer.isBuffer(piece) || piece.length !== end - start) throw transportErrors.BAD_FRAME({ reason: 'the body of a large frame is gone or cut short' });
    parts[index] = piece;
  });
  return Buffer.concat(parts, length);
}
