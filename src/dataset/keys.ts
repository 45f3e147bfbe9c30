/**
 * Keys as bytes whose memory order is the order of the keys: a tag of the type, then a form that sorts.
 * Source: the tuple layer of FoundationDB, with strings of their own at the end of a key left unescaped.
 */
import { DATASET_ERRORS } from './errors.ts';
import type { KeyBytes, KeyValue } from './contract.ts';

const STRING = 1;
const NUMBER = 2;
const BIGINT = 3;
const BOOLEAN = 4;
const DATE = 5;
const BYTES = 6;
const ARRAY = 7;

/** Longest key, bytes: both stores index it. */
const MAX_KEY = 1024;
const MAX_DEPTH = 8;

function refuse(value: unknown): never {
  const got =
    typeof value === 'string' ? `a string of ${value.length} characters` : typeof value === 'number' ? String(value) : value === null ? 'null' : typeof value;
  throw DATASET_ERRORS.BAD_KEY({ got });
}

/** @throws SP_DATASET_BAD_KEY */
export function encodeKey(key: KeyValue): KeyBytes {
  let bytes: Buffer;
  if (typeof key === 'string') {
    if (!key.isWellFormed()) refuse(key);
    bytes = Buffer.from(`\u0001${key}`);
  } else bytes = key instanceof Uint8Array ? Buffer.concat([Buffer.of(BYTES), key]) : Buffer.concat(part(key, 0));
  if (bytes.length > MAX_KEY) refuse(key);
  return bytes;
}

function ordered(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeDoubleBE(value === 0 ? 0 : value);
  if ((bytes[0] as number) & 0x80) for (let i = 0; i < 8; i++) bytes[i] = ~(bytes[i] as number);
  else bytes[0] = (bytes[0] as number) | 0x80;
  return bytes;
}

function unordered(bytes: Uint8Array, at: number): number {
  const copy = Buffer.from(bytes.subarray(at, at + 8));
  if ((copy[0] as number) & 0x80) copy[0] = (copy[0] as number) & 0x7f;
  else for (let i = 0; i < 8; i++) copy[i] = ~(copy[i] as number);
  return copy.readDoubleBE();
}

/** Zero bytes become 00 FF; a single 00 ends it. */
function escaped(bytes: Uint8Array): Buffer {
  const out: number[] = [];
  for (const byte of bytes) {
    out.push(byte);
    if (byte === 0) out.push(0xff);
  }
  out.push(0);
  return Buffer.from(out);
}

function part(key: KeyValue, depth: number): Buffer[] {
  switch (typeof key) {
    case 'string':
      if (!key.isWellFormed()) refuse(key);
      return [Buffer.of(STRING), escaped(Buffer.from(key))];
    case 'number':
      if (!Number.isFinite(key)) refuse(key);
      return [Buffer.of(NUMBER), ordered(key)];
    case 'boolean':
      return [Buffer.of(BOOLEAN, key ? 1 : 0)];
    case 'bigint': {
      // Negative ones: complement of the magnitude, shorter ones later.
      const magnitude = (key < 0n ? -key : key).toString(16);
      const bytes = Buffer.from(magnitude.length % 2 === 0 ? magnitude : `0${magnitude}`, 'hex');
      if (bytes.length > 120) refuse(key);
      if (key < 0n) return [Buffer.of(BIGINT, 127 - bytes.length), Buffer.from(bytes.map((byte) => ~byte))];
      return [Buffer.of(BIGINT, 128 + bytes.length), bytes];
    }
    default:
      if (key instanceof Date) {
        if (Number.isNaN(key.getTime())) refuse(key);
        return [Buffer.of(DATE), ordered(key.getTime())];
      }
      if (key instanceof Uint8Array) return [Buffer.of(BYTES), escaped(key)];
      if (!Array.isArray(key) || depth >= MAX_DEPTH) refuse(key);
      return [Buffer.of(ARRAY), ...(key as KeyValue[]).flatMap((one) => part(one, depth + 1)), Buffer.of(0)];
  }
}

/** Inverse of encodeKey. @throws SP_DATASET_BAD_KEY for bytes that are no key */
export function decodeKey(bytes: KeyBytes): KeyValue {
  if (bytes[0] === STRING) return Buffer.from(bytes.buffer, bytes.byteOffset + 1, bytes.byteLength - 1).toString('utf8');
  if (bytes[0] === BYTES) return new Uint8Array(bytes.subarray(1));
  return new Reader(bytes).value();
}

class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  #take(length: number): Uint8Array {
    const taken = this.#bytes.subarray(this.#at, (this.#at += length));
    if (taken.length !== length) refuse(undefined);
    return taken;
  }

  #byte(): number {
    return this.#take(1)[0] as number;
  }

  #unescape(): Buffer {
    const out: number[] = [];
    for (let byte = this.#byte(); ; byte = this.#byte()) {
      if (byte === 0) {
        if (this.#bytes[this.#at] !== 0xff) return Buffer.from(out);
        this.#at += 1;
      }
      out.push(byte);
    }
  }

  value(): KeyValue {
    const tag = this.#byte();
    switch (tag) {
      case STRING:
        return this.#unescape().toString('utf8');
      case NUMBER:
        return unordered(this.#take(8), 0);
      case BOOLEAN:
        return this.#byte() === 1;
      case DATE:
        return new Date(unordered(this.#take(8), 0));
      case BYTES:
        return new Uint8Array(this.#unescape());
      case BIGINT: {
        const length = this.#byte();
        const negative = length < 128;
        const bytes = Buffer.from(this.#take(negative ? 127 - length : length - 128)).map((byte) => (negative ? ~byte : byte));
        const magnitude = BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
        return negative ? -magnitude : magnitude;
      }
      case ARRAY: {
        const items: KeyValue[] = [];
        while (this.#bytes[this.#at] !== 0) items.push(this.value());
        this.#at += 1;
        return items;
      }
      default:
        return refuse(undefined);
    }
  }
}
