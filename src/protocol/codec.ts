import type { Envelope } from './envelope.ts';
import { EMPTY_BYTES } from './task.ts';
import { protocolErrors } from './errors.ts';

/**
 * The binary form of envelopes, and the writer and reader under all message bodies.
 *
 * Numbers are LEB128 varints (whole, 0 .. 2^53 - 1) unless said otherwise; strings are UTF-8 after their byte length;
 * fixed-width numbers are little-endian.
 */

const SLAB_BYTES = 65_536;
/** Below this many characters a loop over char codes beats the call into native code. */
const SHORT_STRING = 48;
/** Called so, since `value.charCodeAt` is looked up anew for each character once strings of many kinds have come by. */
const { charCodeAt } = String.prototype;

/**
 * Appends to a slab and hands out what was written as a view of it, without copying: `finish()` moves on in the slab, and
 * a full slab is left to the garbage collector. So finished messages stay valid for ever, and one writer serves a module.
 */
export class BinaryWriter {
  readonly #slabBytes: number;
  #slab: Buffer;
  #start = 0;
  #pos = 0;

  /** @param slabBytes size of the buffers it carves messages from. @defaultValue 65536 */
  constructor(slabBytes = SLAB_BYTES) {
    this.#slabBytes = slabBytes;
    this.#slab = Buffer.allocUnsafeSlow(slabBytes);
  }

  /** Bytes of the message being written. */
  get length(): number {
    return this.#pos - this.#start;
  }

  /** Forgets the message being written, or everything after its first `length` bytes. */
  reset(length = 0): void {
    this.#pos = this.#start + length;
  }

  /** Ends the message and returns it. */
  finish(): Uint8Array {
    const bytes = new Uint8Array(this.#slab.buffer, this.#start, this.#pos - this.#start);
    this.#start = this.#pos;
    return bytes;
  }

  u8(value: number): void {
    this.#reserve(1);
    this.#slab[this.#pos++] = value;
  }

  u32(value: number): void {
    this.#reserve(4);
    this.#pos = this.#slab.writeUInt32LE(value, this.#pos);
  }

  f64(value: number): void {
    this.#reserve(8);
    this.#pos = this.#slab.writeDoubleLE(value, this.#pos);
  }

  /** Overwrites a u32 written earlier at `offset` of this message (a length that is known only now). */
  patchU32(offset: number, value: number): void {
    this.#slab.writeUInt32LE(value, this.#start + offset);
  }

  /** @throws SP_PROTOCOL_BAD_VALUE */
  varint(value: number): void {
    this.#reserve(8);
    if (value >= 0 && value < 0x80 && Number.isInteger(value)) {
      this.#slab[this.#pos++] = value;
      return;
    }
    if (!Number.isSafeInteger(value) || value < 0)
      throw protocolErrors.BAD_VALUE({ field: 'a number', reason: `${value} is not a whole number from 0 to 2^53 - 1` });
    let rest = value;
    while (rest > 0x7fffffff) {
      this.#slab[this.#pos++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    while (rest >= 0x80) {
      this.#slab[this.#pos++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.#slab[this.#pos++] = rest;
  }

  string(value: string): void {
    const { length } = value;
    if (length < SHORT_STRING) {
      this.#reserve(length + 1);
      const slab = this.#slab;
      const at = this.#pos;
      let i = 0;
      for (; i < length; i++) {
        const code: number = charCodeAt.call(value, i);
        if (code >= 0x80) break;
        slab[at + 1 + i] = code;
      }
      if (i === length) {
        slab[at] = length;
        this.#pos = at + 1 + length;
        return;
      }
    }
    const bytes = Buffer.byteLength(value, 'utf8');
    this.varint(bytes);
    this.#reserve(bytes);
    this.#pos += this.#slab.write(value, this.#pos, bytes, 'utf8');
  }

  /** Bytes after their length. */
  bytes(value: Uint8Array): void {
    this.varint(value.length);
    this.raw(value);
  }

  /** Bytes as they are. */
  raw(value: Uint8Array): void {
    this.#reserve(value.length);
    this.#slab.set(value, this.#pos);
    this.#pos += value.length;
  }

  #reserve(bytes: number): void {
    if (this.#pos + bytes <= this.#slab.length) return;
    const used = this.#pos - this.#start;
    const needed = used + bytes;
    // Doubling only for messages that outgrow a slab keeps copying linear.
    const slab = Buffer.allocUnsafeSlow(needed <= this.#slabBytes >>> 1 ? this.#slabBytes : needed * 2);
    this.#slab.copy(slab, 0, this.#start, this.#pos);
    this.#slab = slab;
    this.#start = 0;
    this.#pos = used;
  }
}

/**
 * Reads what BinaryWriter wrote, out of bytes that nobody vouches for: every read is checked against the end, and nothing
 * is allocated on the word of a length field.
 */
export class BinaryReader {
  readonly #buffer: Buffer;
  #pos = 0;

  constructor(bytes: Uint8Array) {
    this.#buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Bytes read. */
  get offset(): number {
    return this.#pos;
  }

  /** Bytes not yet read. */
  get remaining(): number {
    return this.#buffer.length - this.#pos;
  }

  u8(): number {
    if (this.#pos >= this.#buffer.length) throw this.#truncated('a byte', 1);
    return this.#buffer[this.#pos++] as number;
  }

  u32(): number {
    if (this.remaining < 4) throw this.#truncated('a u32', 4);
    const value = this.#buffer.readUInt32LE(this.#pos);
    this.#pos += 4;
    return value;
  }

  f64(): number {
    if (this.remaining < 8) throw this.#truncated('a double', 8);
    const value = this.#buffer.readDoubleLE(this.#pos);
    this.#pos += 8;
    return value;
  }

  varint(): number {
    const buffer = this.#buffer;
    if (this.#pos >= buffer.length) throw this.#truncated('a number', 1);
    let byte = buffer[this.#pos++] as number;
    if (byte < 0x80) return byte;
    let value = byte & 0x7f;
    let scale = 0x80;
    for (let i = 1; i < 8; i++) {
      if (this.#pos >= buffer.length) throw this.#truncated('a number', 1);
      byte = buffer[this.#pos++] as number;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (value > Number.MAX_SAFE_INTEGER) break;
        return value;
      }
      scale *= 0x80;
    }
    throw protocolErrors.MALFORMED({ reason: 'a number is longer than 53 bits' });
  }

  /** How many items follow; refused when not even `minBytes` for each are left. */
  count(what: string, minBytes = 1, limit = Number.MAX_SAFE_INTEGER): number {
    const count = this.varint();
    if (count > limit) throw protocolErrors.MALFORMED({ reason: `${count} ${what} in one message, the limit is ${limit}` });
    if (count * minBytes > this.remaining) throw this.#truncated(`${count} ${what}`, count * minBytes - this.remaining);
    return count;
  }

  string(): string {
    const length = this.varint();
    if (length === 0) return '';
    const start = this.#pos;
    const end = start + length;
    if (end > this.#buffer.length) throw this.#truncated('a string', length);
    this.#pos = end;
    return this.#buffer.toString('utf8', start, end);
  }

  /** Bytes after their length, as a view of the message (no copy). */
  bytes(): Uint8Array {
    return this.raw(this.varint());
  }

  /** The next `length` bytes, as a view of the message (no copy). */
  raw(length: number): Uint8Array {
    if (length === 0) return EMPTY_BYTES;
    if (length > this.remaining) throw this.#truncated('bytes', length);
    const view = new Uint8Array(this.#buffer.buffer, this.#buffer.byteOffset + this.#pos, length);
    this.#pos += length;
    return view;
  }

  /** @throws SP_PROTOCOL_MALFORMED when something is left. */
  end(): void {
    if (this.remaining > 0) throw protocolErrors.MALFORMED({ reason: `${this.remaining} bytes follow its end` });
  }

  #truncated(what: string, need: number): Error {
    return protocolErrors.TRUNCATED({ what, need, have: this.remaining });
  }
}

/** Magic `SP`, version, flags (none yet), body length, then id, type, sender, replyTo, body. */
const MAGIC_0 = 0x53;
const MAGIC_1 = 0x50;
export const ENVELOPE_VERSION = 1;
/** Longest id, type, sender or replyTo, in UTF-16 units; in UTF-8 each is at most three bytes. */
const MAX_NAME = 1024;
/** Fixed part of the header. */
const FIXED_BYTES = 8;

/**
 * Upper bound of the encoded size, and the check that an envelope can be encoded at all: for transports, before they take it.
 * @throws SP_PROTOCOL_BAD_VALUE
 */
export function envelopeBytes(envelope: Envelope): number {
  const { id, type, sender, replyTo } = envelope;
  if (id.length > MAX_NAME || type.length > MAX_NAME || sender.length > MAX_NAME || replyTo.length > MAX_NAME) {
    throw protocolErrors.BAD_VALUE({ field: 'an envelope', reason: `id, type, sender and replyTo must be shorter than ${MAX_NAME}` });
  }
  const length = bodyBytes(envelope);
  if (length > 0xffff_ffff) throw protocolErrors.BAD_VALUE({ field: 'an envelope', reason: `its body of ${length} bytes is too large` });
  return length + FIXED_BYTES + 8 + 3 * (id.length + type.length + sender.length + replyTo.length);
}

function bodyBytes({ seal, body }: Envelope): number {
  return seal === undefined ? body.length : seal.length + body.length;
}

/** An envelope whose body is in one piece. */
export function inOnePiece(envelope: Envelope): Envelope {
  const { id, type, sender, replyTo, seal, body } = envelope;
  return seal === undefined ? envelope : { id, type, sender, replyTo, body: Buffer.concat([seal, body]) };
}

/** Writes all of an envelope but its body, which must follow as it is. The envelope was checked by `envelopeBytes`. */
export function writeEnvelopeHeader(writer: BinaryWriter, envelope: Envelope): void {
  writer.u8(MAGIC_0);
  writer.u8(MAGIC_1);
  writer.u8(ENVELOPE_VERSION);
  writer.u8(0);
  writer.u32(bodyBytes(envelope));
  writer.string(envelope.id);
  writer.string(envelope.type);
  writer.string(envelope.sender);
  writer.string(envelope.replyTo);
  if (envelope.seal !== undefined) writer.raw(envelope.seal);
}

const shared = new BinaryWriter();

/**
 * Envelope to bytes.
 * @throws SP_PROTOCOL_BAD_VALUE
 */
export function encodeEnvelope(envelope: Envelope): Uint8Array {
  envelopeBytes(envelope);
  shared.reset();
  writeEnvelopeHeader(shared, envelope);
  shared.raw(envelope.body);
  return shared.finish();
}

/**
 * Bytes to envelope; the body is a view of `bytes`.
 * @throws SP_PROTOCOL_TOO_LARGE, SP_PROTOCOL_TRUNCATED, SP_PROTOCOL_MALFORMED, SP_PROTOCOL_UNKNOWN_VERSION
 */
export function decodeEnvelope(bytes: Uint8Array, maxBytes: number = Number.MAX_SAFE_INTEGER): Envelope {
  if (bytes.length > maxBytes) throw protocolErrors.TOO_LARGE({ bytes: bytes.length, limit: maxBytes });
  return readEnvelope(new BinaryReader(bytes));
}

/** Reads an envelope that is the rest of what `reader` reads. Throws as decodeEnvelope. */
export function readEnvelope(reader: BinaryReader): Envelope {
  if (reader.u8() !== MAGIC_0 || reader.u8() !== MAGIC_1) throw protocolErrors.MALFORMED({ reason: 'it is not an envelope' });
  const version = reader.u8();
  if (version !== ENVELOPE_VERSION) throw protocolErrors.UNKNOWN_VERSION({ version, known: ENVELOPE_VERSION });
  const flags = reader.u8();
  if (flags !== 0) throw protocolErrors.MALFORMED({ reason: `unknown envelope flags ${flags}` });
  const bodyLength = reader.u32();
  const id = readName(reader);
  const type = readName(reader);
  const sender = readName(reader);
  const replyTo = readName(reader);
  const body = reader.raw(bodyLength);
  reader.end();
  return { id, type, sender, replyTo, body };
}

function readName(reader: BinaryReader): string {
  const before = reader.remaining;
  const value = reader.string();
  if (before - reader.remaining > 3 * MAX_NAME + 2) throw protocolErrors.MALFORMED({ reason: `an envelope name is longer than ${3 * MAX_NAME} bytes` });
  return value;
}
