import { Socket, type OnReadOpts } from 'node:net';
import { BinaryWriter } from '../protocol/codec.ts';

const FIRST_SLAB_BYTES = 16_384;
const MAX_SLAB_BYTES = 65_536;
/** Parts of chunks are kept where they are from this size on, smaller ones are copied. */
const KEPT_BYTES = 8192;
/** For these copies: whoever keeps one for long keeps so much alive. */
const copies = new BinaryWriter(16_384);

/**
 * Where a socket reads to (`onread`): a slab, the same place again unless the chunk is kept, while Node makes 64 KiB for each read
 * and cuts them to what came, which costs more than it seems: memory that was not touched lately. Slabs are small until a read
 * fills what it was given.
 * @param received true: parts of the chunk are still needed when this returns, so nothing is written over it
 */
export function slabReads(received: (chunk: Buffer) => boolean): OnReadOpts {
  let slab: Buffer = Buffer.alloc(0);
  let size = FIRST_SLAB_BYTES;
  let at = 0;
  let room = slab;
  return {
    buffer() {
      if (slab.length < size || slab.length - at < size / 2) {
        room = slab = Buffer.allocUnsafeSlow(size);
        at = 0;
      } else if (room.length !== slab.length - at) room = slab.subarray(at);
      return room;
    },
    callback(bytes) {
      if (bytes === room.length && size < MAX_SLAB_BYTES) size *= 2;
      if (received(room.subarray(0, bytes))) at += bytes;
      return true;
    },
  };
}

/**
 * A socket that a server accepted, reading as `reads` says: Node lets only sockets that connect do so, hence another takes over
 * its handle. Where that cannot be (TLS), the socket itself.
 */
export function adopt(accepted: Socket, reads: OnReadOpts): Socket {
  const holder = accepted as unknown as { _handle?: object | null };
  const handle = holder._handle;
  if (accepted.constructor !== Socket || handle === undefined || handle === null) return accepted;
  // No word of `onread` in the types of this constructor, nor of `handle`.
  const socket = new (Socket as new (options: object) => Socket)({ handle, onread: reads });
  holder._handle = null;
  // Its server counts those that it accepted.
  socket.once('close', () => accepted.destroy());
  return socket;
}

/** A part of a chunk, or a copy: what is small shall not keep a slab alive. */
export function unpinned(part: Uint8Array): Uint8Array {
  if (part.length >= KEPT_BYTES || part.length === 0) return part;
  copies.raw(part);
  return copies.finish();
}
