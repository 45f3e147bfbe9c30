import type { Envelope } from './envelope.ts';
import { EMPTY_BYTES } from './task.ts';
import { protocolErrors } from './errors.ts';

/**
 * The binary form of envelopes, and the writer and reader under all message bodies.
 *
 * Numbers are LEB128 varints (whole, 0 .. 2^53 - 1) unless said otherwise; strings are UTF-8 after their byte length;
 * fixed-width numbers are little-endian.
 */

/** Half of it makes the garbage collector look at all of the heap ten times as often: what lies outside of it counts. */
const SLAB_BYTES = 131_072;
/** Below this many characters a loop over char codes beats the call into native code. */
const SHORT_STRING = 48;
/** Called so, since `value.charCodeAt` is looked up anew for each character once strings of many kinds have come by. */
const { charCodeAt } = String.prototype;
/** And for copies of so many bytes. */
const SHORT_BYTES = 32;

/**
 * Appends to a slab and hands out what was written as a view of it, without copying: `finish()` moves on in the slab, and
 * a full slab is left to the garbage collector. So finished messages stay valid for ever, and one writer serves a module.
 */
export class BinaryWriter {
  readonly #slabBytes: number;
  #slab: Buffer;
  #memory: ArrayBufferLike;
  #start = 0;
  #pos = 0;

  /** @param slabBytes size of the buffers it carves messages from. @defaultValue 131072 */
  constructor(slabBytes = SLAB_BYTES) {
    this.#slabBytes = slabBytes;
    this.#slab = Buffer.allocUnsafeSlow(slabBytes);
    this.#memory = this.#slab.buffer;
  }

  /** Bytes of the message being written. */
  get length(): number {
    return this.#pos - this.#start;
  }

  /** Forgets the message being written, or everything after its first `length` bytes. */
  reset(length = 0): void {
    this.#pos = this.#start + length;
  }

  /** The message as it is now, until more is written. */
  view(): Uint8Array {
    return new Uint8Array(this.#memory, this.#start, this.#pos - this.#start);
  }

  /** Ends the message and returns it, without its first `skipped` bytes. */
  finish(skipped = 0): Uint8Array {
    const bytes = new Uint8Array(this.#memory, this.#start + skipped, this.#pos - this.#start - skipped);
    this.#start = this.#pos;
    return bytes;
  }

  /** Nobody needs what was finished so far any more: its room is used again. Nothing is being written. */
  rewind(): void {
    this.#start = this.#pos = 0;
  }

  /** As `finish`. */
  finishBuffer(): Buffer {
    const bytes = this.#slab.subarray(this.#start, this.#pos);
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
    // Small enough to be inlined; most numbers are.
    if ((value & 0x7f) === value && this.#pos < this.#slab.length) this.#slab[this.#pos++] = value;
    else this.#varint(value);
  }

  #varint(value: number): void {
    this.#reserve(8);
    let rest = value;
    if ((value & 0x7fff_ffff) !== value) {
      if (!Number.isSafeInteger(value) || value < 0)
        throw protocolErrors.BAD_VALUE({ field: 'a number', reason: `${value} is not a whole number from 0 to 2^53 - 1` });
      while (rest > 0x7fff_ffff) {
        this.#slab[this.#pos++] = (rest % 0x80) | 0x80;
        rest = Math.floor(rest / 0x80);
      }
    }
    const slab = this.#slab;
    while (rest >= 0x80) {
      slab[this.#pos++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    slab[this.#pos++] = rest;
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

  /** A text that is known to be ASCII, without its length. */
  ascii(value: string): void {
    this.#reserve(value.length);
    this.#pos += this.#slab.write(value, this.#pos, value.length, 'latin1');
  }

  /** Bytes after their length. */
  bytes(value: Uint8Array): void {
    this.varint(value.length);
    this.raw(value);
  }

  /** Bytes as they are: the first `length` of them. @defaultValue all */
  raw(value: Uint8Array, length: number = value.length): void {
    this.#reserve(length);
    if (length > SHORT_BYTES) {
      this.#slab.set(length === value.length ? value : value.subarray(0, length), this.#pos);
    } else {
      const slab = this.#slab;
      const at = this.#pos;
      for (let i = 0; i < length; i++) slab[at + i] = value[i]!;
    }
    this.#pos += length;
  }

  #reserve(bytes: number): void {
    if (this.#pos + bytes <= this.#slab.length) return;
    const used = this.#pos - this.#start;
    const needed = used + bytes;
    // Doubling only for messages that outgrow a slab keeps copying linear.
    const slab = Buffer.allocUnsafeSlow(needed <= this.#slabBytes >>> 1 ? this.#slabBytes : needed * 2);
    this.#slab.copy(slab, 0, this.#start, this.#pos);
    this.#slab = slab;
    this.#memory = slab.buffer;
    this.#start = 0;
    this.#pos = used;
  }
}

/** Names of up to so many bytes are looked for among those read lately, by a hash of the last few of them. */
const KEPT_NAME_BYTES = 20;
const KEPT_NAMES = 512;
const HASHED_BYTES = 8;
/** Names come again with nearly every frame, and comparing costs less than making a string. ASCII only: as long in characters as in bytes. */
const keptNames = Array.from<string>({ length: KEPT_NAMES }).fill('');

const eight = new Uint8Array(8);
const eightView = new DataView(eight.buffer);

/**
 * Reads what BinaryWriter wrote, out of bytes that nobody vouches for: every read is checked against the end, and nothing
 * is allocated on the word of a length field.
 */
export class BinaryReader {
  readonly #bytes: Uint8Array;
  readonly #from: number;
  readonly #end: number;
  #pos: number;
  /** The same bytes, made when text is read. */
  #text: Buffer | undefined;
  /** What they lie in, asked for when a view is made. */
  #memory: ArrayBufferLike | undefined;

  /** @param from where it begins in them. @defaultValue 0 */
  constructor(bytes: Uint8Array, from = 0) {
    this.#bytes = bytes;
    this.#from = from;
    this.#end = bytes.length;
    this.#pos = from;
  }

  /** Bytes read. */
  get offset(): number {
    return this.#pos - this.#from;
  }

  /** Bytes not yet read. */
  get remaining(): number {
    return this.#end - this.#pos;
  }

  u8(): number {
    if (this.#pos >= this.#end) throw this.#truncated('a byte', 1);
    return this.#bytes[this.#pos++] as number;
  }

  u32(): number {
    const pos = this.#pos;
    if (this.#end - pos < 4) throw this.#truncated('a u32', 4);
    const bytes = this.#bytes;
    this.#pos = pos + 4;
    return (bytes[pos]! | (bytes[pos + 1]! << 8) | (bytes[pos + 2]! << 16)) + bytes[pos + 3]! * 0x1000000;
  }

  f64(): number {
    if (this.#end - this.#pos < 8) throw this.#truncated('a double', 8);
    for (let i = 0; i < 8; i++) eight[i] = this.#bytes[this.#pos + i]!;
    this.#pos += 8;
    return eightView.getFloat64(0, true);
  }

  varint(): number {
    const pos = this.#pos;
    if (pos < this.#end) {
      const byte = this.#bytes[pos] as number;
      if (byte < 0x80) {
        this.#pos = pos + 1;
        return byte;
      }
    }
    return this.#varint();
  }

  #varint(): number {
    const bytes = this.#bytes;
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 8; i++) {
      if (this.#pos >= this.#end) throw this.#truncated('a number', 1);
      const byte = bytes[this.#pos++] as number;
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
    return this.#decode(this.varint());
  }

  /** A string of which few different ones are expected. */
  name(): string {
    const length = this.varint();
    const start = this.#pos;
    const end = start + length;
    if (length === 0 || length > KEPT_NAME_BYTES || end > this.#end) return this.#decode(length);
    const bytes = this.#bytes;
    let hash = length;
    for (let i = length > HASHED_BYTES ? end - HASHED_BYTES : start; i < end; i++) hash = (Math.imul(hash, 31) + bytes[i]!) | 0;
    const slot = (hash ^ (hash >>> 15)) & (KEPT_NAMES - 1);
    const kept = keptNames[slot]!;
    if (kept.length === length) {
      let i = 0;
      while (i < length && bytes[start + i]! < 0x80 && charCodeAt.call(kept, i) === bytes[start + i]) i++;
      if (i === length) {
        this.#pos = end;
        return kept;
      }
    }
    const name = this.#decode(length);
    if (name.length === length) keptNames[slot] = name;
    return name;
  }

  #decode(length: number): string {
    if (length === 0) return '';
    const start = this.#pos;
    const end = start + length;
    if (end > this.#end) throw this.#truncated('a string', length);
    this.#pos = end;
    return this.#asText().toString('utf8', start, end);
  }

  #asText(): Buffer {
    const bytes = this.#bytes;
    return (this.#text ??= Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength));
  }

  /** The next `length` bytes as a text: what `ascii` wrote. */
  ascii(length: number): string {
    if (length > this.remaining) throw this.#truncated('a text', length);
    const start = this.#pos;
    this.#pos += length;
    return length === 0 ? '' : this.#asText().toString('latin1', start, this.#pos);
  }

  /** Bytes after their length, as a view of the message (no copy). */
  bytes(): Uint8Array {
    return this.raw(this.varint());
  }

  /** The next `length` bytes, as a view of the message (no copy). */
  raw(length: number): Uint8Array {
    if (length === 0) return EMPTY_BYTES;
    if (length > this.remaining) throw this.#truncated('bytes', length);
    this.#memory ??= this.#bytes.buffer;
    const view = new Uint8Array(this.#memory, this.#bytes.byteOffset + this.#pos, length);
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
 * @param limit a content that may be larger is encoded to know
 * @throws SP_PROTOCOL_BAD_VALUE
 */
export function envelopeBytes(envelope: Envelope, limit: number = 0xffff_ffff): number {
  const { id, type, sender, replyTo } = envelope;
  if (id.length > MAX_NAME || type.length > MAX_NAME || sender.length > MAX_NAME || replyTo.length > MAX_NAME) {
    throw protocolErrors.BAD_VALUE({ field: 'an envelope', reason: `id, type, sender and replyTo must be shorter than ${MAX_NAME}` });
  }
  const header = FIXED_BYTES + 8 + 3 * (id.length + type.length + sender.length + replyTo.length);
  const { content } = envelope;
  const length = content === undefined || content.bytes > limit - header ? bodyBytes(envelope) : content.bytes;
  if (length > 0xffff_ffff) throw protocolErrors.BAD_VALUE({ field: 'an envelope', reason: `its body of ${length} bytes is too large` });
  return length + header;
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

/**
 * Reads an envelope that is the rest of what `reader` reads. Throws as decodeEnvelope.
 * @param own what becomes of the body, a view of what is read
 */
export function readEnvelope(reader: BinaryReader, own?: (body: Uint8Array) => Uint8Array): Envelope {
  if (reader.u8() !== MAGIC_0 || reader.u8() !== MAGIC_1) throw protocolErrors.MALFORMED({ reason: 'it is not an envelope' });
  const version = reader.u8();
  if (version !== ENVELOPE_VERSION) throw protocolErrors.UNKNOWN_VERSION({ version, known: ENVELOPE_VERSION });
  const flags = reader.u8();
  if (flags !== 0) throw protocolErrors.MALFORMED({ reason: `unknown envelope flags ${flags}` });
  const bodyLength = reader.u32();
  const before = reader.remaining;
  const id = reader.string();
  checkName(before, reader);
  const type = readName(reader);
  const sender = readName(reader);
  const replyTo = readName(reader);
  const body = reader.raw(bodyLength);
  reader.end();
  return { id, type, sender, replyTo, body: own === undefined ? body : own(body) };
}

function readName(reader: BinaryReader): string {
  const before = reader.remaining;
  const value = reader.name();
  checkName(before, reader);
  return value;
}

function checkName(before: number, reader: BinaryReader): void {
  if (before - reader.remaining > 3 * MAX_NAME + 2) throw protocolErrors.MALFORMED({ reason: `an envelope name is longer than ${3 * MAX_NAME} bytes` });
}
