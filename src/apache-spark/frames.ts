/** Frames of the agent link, big-endian as Java writes them; docs/agent-link.md is the reference. */
import { createCipheriv, createDecipheriv, createHmac, type KeyObject } from 'node:crypto';
import { sparkErrors } from './errors.ts';

/** First byte of a frame. */
export const FRAME = {
  hello: 1,
  nonce: 2,
  tasks: 3,
  choose: 5,
  event: 6,
  status: 7,
  pong: 8,
  challenge: 32,
  welcome: 33,
  mode: 34,
  go: 35,
  choice: 36,
  fallback: 37,
  stop: 38,
  ping: 39,
  killTask: 40,
  run: 41,
  refused: 42,
  offer: 43,
  ahead: 44,
  lost: 45,
} as const;

export const LINK_MAGIC = 'SPXL';
export const LINK_VERSION = 2;
export const NONCE_BYTES = 16;
/** Of AES-GCM, at the end of each sealed frame. */
const TAG_BYTES = 16;
/** Longest frame: Spark's own limit of a task (spark.rpc.message.maxSize) is 128 MiB. */
export const MAX_FRAME_BYTES = 201_326_592;
/** Longest first frame of a peer that has not shown that it may speak. */
export const MAX_HELLO_BYTES = 262_144;

const bad = (reason: string) => sparkErrors.MALFORMED_FRAME({ reason });

/** A frame that is being written. */
export class FrameWriter {
  #buffer: Buffer;
  #length = 0;

  constructor(type: number, capacity = 256) {
    this.#buffer = Buffer.allocUnsafe(capacity);
    this.u8(type);
  }

  #room(bytes: number): number {
    const at = this.#length;
    this.#length += bytes;
    if (this.#length > this.#buffer.length) {
      const grown = Buffer.allocUnsafe(Math.max(this.#length, this.#buffer.length * 2));
      this.#buffer.copy(grown, 0, 0, at);
      this.#buffer = grown;
    }
    return at;
  }

  u8(value: number): this {
    const at = this.#room(1);
    this.#buffer.writeUInt8(value, at);
    return this;
  }

  u32(value: number): this {
    const at = this.#room(4);
    this.#buffer.writeInt32BE(value, at);
    return this;
  }

  u64(value: number): this {
    const at = this.#room(8);
    this.#buffer.writeBigInt64BE(BigInt(value), at);
    return this;
  }

  bytes(value: Uint8Array): this {
    this.u32(value.length);
    return this.raw(value);
  }

  raw(value: Uint8Array): this {
    const at = this.#room(value.length);
    this.#buffer.set(value, at);
    return this;
  }

  string(value: string): this {
    return this.bytes(Buffer.from(value, 'utf8'));
  }

  map(values: Readonly<Record<string, string>>): this {
    for (const [name, value] of Object.entries(values)) this.string(name).string(value);
    return this;
  }

  finish(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }
}

/** Reads a body nobody vouches for: every length is checked against what is there. @throws SP_SPARK_MALFORMED_FRAME */
export class FrameReader {
  readonly #buffer: Buffer;
  #at: number;

  constructor(buffer: Buffer, at = 0) {
    this.#buffer = buffer;
    this.#at = at;
  }

  #take(bytes: number): number {
    const at = this.#at;
    if (bytes < 0 || at + bytes > this.#buffer.length) throw bad(`${bytes} bytes are named where ${this.#buffer.length - at} are left`);
    this.#at = at + bytes;
    return at;
  }

  /** There is more to read. */
  get more(): boolean {
    return this.#at < this.#buffer.length;
  }

  /** All that is left. */
  rest(): Buffer {
    return this.raw(this.#buffer.length - this.#at);
  }

  u8(): number {
    return this.#buffer.readUInt8(this.#take(1));
  }

  i32(): number {
    return this.#buffer.readInt32BE(this.#take(4));
  }

  /** Ids and counts: within what a number holds exactly. */
  u64(): number {
    const value = Number(this.#buffer.readBigInt64BE(this.#take(8)));
    if (!Number.isSafeInteger(value) || value < 0) throw bad(`a number is ${value}`);
    return value;
  }

  /** How many items follow, each of at least `minBytes`. */
  count(minBytes: number): number {
    const count = this.i32();
    if (count < 0 || count * minBytes > this.#buffer.length - this.#at)
      throw bad(`${count} items are named where ${this.#buffer.length - this.#at} bytes are left`);
    return count;
  }

  /** A view of the frame. */
  bytes(): Buffer {
    const length = this.i32();
    const at = this.#take(length);
    return this.#buffer.subarray(at, at + length);
  }

  raw(length: number): Buffer {
    const at = this.#take(length);
    return this.#buffer.subarray(at, at + length);
  }

  string(): string {
    return this.bytes().toString('utf8');
  }

  /** To the end of the frame. */
  strings(): string[] {
    const values: string[] = [];
    while (this.more) values.push(this.string());
    return values;
  }

  /** To the end of the frame. */
  map(): Map<string, string> {
    const values = new Map<string, string>();
    while (this.more) values.set(this.string(), this.string());
    return values;
  }
}

/** A key that both ends hold. */
export type LinkKey = Uint8Array | KeyObject;

/**
 * AES-256-GCM under a key of this connection and direction (`c`: from the agent, `s`: to it), HMAC-SHA256 of both nonces under
 * the link's key; the nonce of a frame is its number. A frame that is repeated, left out or from another connection does not open.
 */
export class FrameSeal {
  readonly #key: Buffer;
  #frames = 0n;

  constructor(key: LinkKey, serverNonce: Uint8Array, clientNonce: Uint8Array, direction: 'c' | 's') {
    this.#key = createHmac('sha256', key).update(`spark-proxy agent link ${direction}`, 'ascii').update(serverNonce).update(clientNonce).digest();
  }

  #nonce(): Buffer {
    const nonce = Buffer.alloc(12);
    nonce.writeBigUInt64BE(this.#frames++, 4);
    return nonce;
  }

  seal(body: Uint8Array): Buffer {
    const cipher = createCipheriv('aes-256-gcm', this.#key, this.#nonce());
    return Buffer.concat([cipher.update(body), cipher.final(), cipher.getAuthTag()]);
  }

  /** Undefined: it was not sealed for here and now. */
  open(frame: Uint8Array): Buffer | undefined {
    const end = frame.length - TAG_BYTES;
    if (end < 1) return undefined;
    const decipher = createDecipheriv('aes-256-gcm', this.#key, this.#nonce(), { authTagLength: TAG_BYTES });
    decipher.setAuthTag(frame.subarray(end));
    const body = decipher.update(frame.subarray(0, end));
    try {
      decipher.final();
      return body;
    } catch {
      return undefined;
    }
  }
}
