import { transportErrors } from '../errors.ts';

/**
 * The wire protocol between a tcp hub and its clients. A frame is a u32 length (little-endian, of what follows), an
 * operation byte, and fields as BinaryWriter writes them. The client begins with HELLO and waits for WELCOME.
 *
 * `seq` numbers what a client's session must have done exactly once (SEND, DELETE): it grows by one, survives reconnects,
 * and lets the hub recognise what is sent again after a lost connection.
 */
export const WIRE_VERSION = 1;
/** `SPRX`, little-endian. */
export const WIRE_MAGIC = 0x5852_5053;

export const OP = {
  /** magic u32, version, session, largest frame accepted */
  HELLO: 1,
  /** version, hub id, largest frame accepted, window frames, window bytes */
  WELCOME: 2,
  /** code, message; the connection ends */
  ERROR: 3,
  /** Nothing: a sign of life when there is nothing else to say. */
  PING: 4,
  /** seq, queue, envelope */
  SEND: 5,
  /** seq, queue */
  DELETE: 6,
  /** count, seq... : done */
  CONFIRM: 7,
  /** seq, code, message: will not be done */
  REJECT: 8,
  /** request, consumer, queue, prefetch */
  CONSUME: 9,
  /** request, consumer */
  CANCEL: 10,
  /** request, subscription, topic */
  SUBSCRIBE: 11,
  /** request, subscription */
  UNSUBSCRIBE: 12,
  /** request, code (empty when done), message */
  REPLY: 13,
  /** consumer, tag, redelivered, envelope */
  DELIVER: 14,
  /** count, (consumer, tag)... */
  ACK: 15,
  /** consumer, tag, requeue */
  NACK: 16,
  /** topic, envelope */
  BROADCAST: 17,
  /** subscription, envelope */
  PUBLISH: 18,
} as const;

/** Room for a frame's own fields beside the envelope it carries. */
export const FRAME_OVERHEAD = 1024;
/** Largest frame before the handshake is over. */
export const HANDSHAKE_BYTES = 4096;

const FIRST_ASSEMBLY_BYTES = 65_536;

/**
 * Cuts a byte stream into frames. A frame that lies within one chunk is handed on as a view of it; one that spans chunks
 * is assembled in a buffer that grows with what has arrived, never with what a length field promises.
 */
export class FrameParser {
  readonly #frame: (bytes: Buffer) => void;
  #maxBytes = HANDSHAKE_BYTES;
  #assembly: Buffer | undefined;
  #have = 0;

  constructor(frame: (bytes: Buffer) => void) {
    this.#frame = frame;
  }

  set maxBytes(bytes: number) {
    this.#maxBytes = bytes;
  }

  /** @throws SP_TRANSPORT_BAD_FRAME, SP_TRANSPORT_FRAME_TOO_LARGE, and what the frame handler throws */
  push(chunk: Buffer): void {
    let pos = 0;
    while (this.#assembly !== undefined) {
      // First the four bytes of the length, then the frame itself.
      const need = this.#have < 4 ? 4 : 4 + this.#length(this.#assembly, 0);
      if (this.#have === need) {
        const frame = this.#assembly.subarray(4, need);
        this.#assembly = undefined;
        this.#have = 0;
        this.#frame(frame);
        continue;
      }
      if (pos === chunk.length) return;
      pos += this.#append(chunk, pos, need);
    }
    while (chunk.length - pos >= 4) {
      const end = pos + 4 + this.#length(chunk, pos);
      if (end > chunk.length) break;
      const frame = chunk.subarray(pos + 4, end);
      pos = end;
      this.#frame(frame);
    }
    if (pos < chunk.length) {
      const need = chunk.length - pos < 4 ? 4 : 4 + this.#length(chunk, pos);
      this.#append(chunk, pos, need);
    }
  }

  #length(buffer: Buffer, at: number): number {
    const length = buffer.readUInt32LE(at);
    if (length === 0) throw transportErrors.BAD_FRAME({ reason: 'an empty frame' });
    if (length > this.#maxBytes) throw transportErrors.FRAME_TOO_LARGE({ bytes: length, limit: this.#maxBytes });
    return length;
  }

  /** Takes from the chunk towards `need` bytes; returns how many it took. */
  #append(chunk: Buffer, pos: number, need: number): number {
    const take = Math.min(need - this.#have, chunk.length - pos);
    const total = this.#have + take;
    if (this.#assembly === undefined || this.#assembly.length < total) {
      const grown = Buffer.allocUnsafeSlow(Math.max(total, Math.min(need, Math.max(2 * total, FIRST_ASSEMBLY_BYTES))));
      this.#assembly?.copy(grown, 0, 0, this.#have);
      this.#assembly = grown;
    }
    chunk.copy(this.#assembly, this.#have, pos, pos + take);
    this.#have = total;
    return take;
  }
}
