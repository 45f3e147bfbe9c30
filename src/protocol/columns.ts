/**
 * Column codec: records as typed columns (int32, float64, strings, pairs of columns), msgpack for the rest.
 * Used for shuffle blocks, cached blocks, parallelized slices and results.
 *
 * Layout of a column: u8 tag, u32 count, then by tag:
 *   INT32 / FLOAT64: count little-endian values
 *   STRING: u8 encoding, u8 width of a length (1 or 4), u32 bytes, lengths in UTF-16 units, text
 *   PAIR: u32 bytes of the first column, first column, second column
 *   VALUES: msgpack of the array
 * A sequence is columns back to back.
 */
import { Packr, addExtension } from 'msgpackr';
import { defineErrors } from '../core/errors.ts';

export const COLUMN_ERRORS = defineErrors('COLUMN', {
  NOT_DATA: [
    'a record cannot be encoded: {reason}',
    'records must be data: numbers, strings, booleans, null, arrays, plain objects, Map, Set, Date, bigint, typed arrays; not functions, symbols or instances of classes (map them to plain objects first, or make them again inside the function)',
  ],
  CORRUPT: ['a block of records is corrupt: {reason}', 'the task is retried and the block computed again; if it happens again, check the disk'],
});

const INT32 = 1;
const FLOAT64 = 2;
const STRING = 3;
const PAIR = 4;
const VALUES = 5;
const HEADER = 5;

const ASCII = 0;
const UTF8 = 1;
const UTF16 = 2;

/** Fewer numbers than this are read one by one. */
const FEW = 16;
/** Larger columns are cut, so that no joined string comes near V8's limit. */
const MAX_CHARS = 1 << 27;
const MAX_RECORDS = 1 << 20;

const packr = new Packr({ structuredClone: true, moreTypes: true, useRecords: true, int64AsType: 'bigint', useBigIntExtension: true } as never);

// msgpackr would write a function as undefined; silence loses data.
addExtension({
  Class: Function,
  type: 0x46,
  pack() {
    throw new TypeError('a function is not data');
  },
} as never);

/** Built-in classes that msgpack carries; instances of any other class would silently lose their class. */
const CARRIED = new Set<unknown>(
  [Object, Array, Map, Set, Date, RegExp, ArrayBuffer, DataView, Buffer, Uint8Array, Uint8ClampedArray, Uint16Array, Uint32Array]
    .concat([Int8Array, Int16Array, Int32Array, Float32Array, Float64Array, BigInt64Array, BigUint64Array, SharedArrayBuffer] as never)
    .concat([Error, TypeError, RangeError, SyntaxError, ReferenceError, EvalError, URIError, AggregateError] as never)
    .map((constructor) => (constructor as { prototype: unknown }).prototype),
);
CARRIED.add(null);
/** Nesting looked into; deeper values are left to the encoder. */
const CHECKED_DEPTH = 16;

/** @throws SP_COLUMN_NOT_DATA naming the class of an instance that would arrive as a plain object */
export function requireData<T>(value: T, depth = 0): T {
  if (typeof value !== 'object' || value === null || depth > CHECKED_DEPTH) return value;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (!CARRIED.has(prototype)) {
    const name = (value as { constructor?: { name?: string } }).constructor?.name ?? 'an unnamed class';
    throw COLUMN_ERRORS.NOT_DATA({ reason: `an instance of ${name} would lose its class` });
  }
  if (Array.isArray(value)) for (const one of value) requireData(one, depth + 1);
  else if (prototype === Object.prototype) {
    for (const key in value) {
      // msgpackr gives it another name, so that it cannot set a prototype.
      if (key === '__proto__') throw COLUMN_ERRORS.NOT_DATA({ reason: 'a property named __proto__ would lose its name' });
      requireData((value as Record<string, unknown>)[key], depth + 1);
    }
  } else if (value instanceof Map) {
    for (const [k, v] of value) {
      requireData(k, depth + 1);
      requireData(v, depth + 1);
    }
  } else if (value instanceof Set) for (const one of value) requireData(one, depth + 1);
  return value;
}

/** A value of the program's as bytes. @throws SP_COLUMN_NOT_DATA */
export function packData(value: unknown): Uint8Array {
  requireData(value);
  return packValue(value);
}

/** Any data value as bytes (msgpack with Map, Set, Date, bigint, undefined, cycles). @throws SP_COLUMN_NOT_DATA */
export function packValue(value: unknown): Uint8Array {
  try {
    return packr.pack(value);
  } catch (cause) {
    throw COLUMN_ERRORS.NOT_DATA({ reason: (cause as Error).message }, cause);
  }
}

/** Inverse of packValue. @throws SP_COLUMN_CORRUPT */
export function unpackValue(bytes: Uint8Array): unknown {
  try {
    return packr.unpack(bytes);
  } catch (cause) {
    throw COLUMN_ERRORS.CORRUPT({ reason: (cause as Error).message }, cause);
  }
}

function kindOf(records: readonly unknown[]): number {
  const first = records[0];
  const n = records.length;
  if (typeof first === 'number') {
    let i = 0;
    while (i < n && isInt32(records[i])) i++;
    if (i === n) return INT32;
    while (i < n && typeof records[i] === 'number') i++;
    return i === n ? FLOAT64 : VALUES;
  }
  if (typeof first === 'string') {
    for (let i = 1; i < n; i++) if (typeof records[i] !== 'string') return VALUES;
    return STRING;
  }
  if (Array.isArray(first) && first.length === 2) {
    for (let i = 0; i < n; i++) {
      const r = records[i] as unknown[];
      if (!Array.isArray(r) || r.length !== 2) return VALUES;
    }
    return PAIR;
  }
  return VALUES;
}

function isInt32(value: unknown): boolean {
  return typeof value === 'number' && (value | 0) === value && !Object.is(value, -0);
}

function header(tag: number, count: number, extra: number): Buffer {
  const head = Buffer.allocUnsafe(HEADER + extra);
  head[0] = tag;
  head.writeUInt32LE(count, 1);
  return head;
}

function bytesOf(view: Int32Array | Float64Array | Uint8Array): Buffer {
  return Buffer.from(view.buffer, view.byteOffset, view.byteLength);
}

function pushColumn(out: Uint8Array[], records: readonly unknown[]): number {
  const n = records.length;
  switch (n === 0 ? VALUES : kindOf(records)) {
    case INT32:
      return add(out, header(INT32, n, 0), bytesOf(Int32Array.from(records as number[])));
    case FLOAT64:
      return add(out, header(FLOAT64, n, 0), bytesOf(Float64Array.from(records as number[])));
    case STRING:
      return pushStrings(out, records as string[]);
    case PAIR: {
      const firsts: unknown[] = new Array(n);
      const seconds: unknown[] = new Array(n);
      for (let i = 0; i < n; i++) {
        const pair = records[i] as [unknown, unknown];
        firsts[i] = pair[0];
        seconds[i] = pair[1];
      }
      return pushPair(out, firsts, seconds);
    }
    default: {
      const body = packData(records);
      const head = header(VALUES, n, 4);
      head.writeUInt32LE(body.byteLength, HEADER);
      return add(out, head, body);
    }
  }
}

function pushPair(out: Uint8Array[], firsts: readonly unknown[], seconds: readonly unknown[]): number {
  const head = header(PAIR, firsts.length, 4);
  out.push(head);
  const first = pushColumn(out, firsts);
  head.writeUInt32LE(first, HEADER);
  return head.byteLength + first + pushColumn(out, seconds);
}

function pushStrings(out: Uint8Array[], records: readonly string[]): number {
  const n = records.length;
  const joined = records.join('');
  const size = Buffer.byteLength(joined, 'utf8');
  const encoding = size === joined.length ? ASCII : joined.isWellFormed() ? UTF8 : UTF16;
  const text = Buffer.from(joined, encoding === ASCII ? 'latin1' : encoding === UTF8 ? 'utf8' : 'utf16le');
  let longest = 0;
  for (let i = 0; i < n; i++) longest = Math.max(longest, (records[i] as string).length);
  const lengths = longest < 256 ? new Uint8Array(n) : new Int32Array(n);
  for (let i = 0; i < n; i++) lengths[i] = (records[i] as string).length;
  const head = header(STRING, n, 6);
  head[HEADER] = encoding;
  head[HEADER + 1] = lengths.BYTES_PER_ELEMENT;
  head.writeUInt32LE(text.byteLength, HEADER + 2);
  return add(out, head, bytesOf(lengths), text);
}

function add(out: Uint8Array[], ...parts: Uint8Array[]): number {
  let total = 0;
  for (const part of parts) {
    out.push(part);
    total += part.byteLength;
  }
  return total;
}

function cuts(records: readonly unknown[]): number[] {
  const ends: number[] = [];
  let chars = 0;
  let count = 0;
  for (let i = 0; i < records.length; i++) {
    const r = records[i];
    const size = typeof r === 'string' ? r.length : 0;
    if (count > 0 && (chars + size > MAX_CHARS || count >= MAX_RECORDS)) {
      ends.push(i);
      chars = 0;
      count = 0;
    }
    chars += size;
    count += 1;
  }
  ends.push(records.length);
  return ends;
}

/** Appends records to `out` as one or more columns; returns the bytes added. @throws SP_COLUMN_NOT_DATA */
export function appendRecords(out: Uint8Array[], records: readonly unknown[]): number {
  if (records.length === 0) return 0;
  if (records.length < 4096 && typeof records[0] !== 'string') return pushColumn(out, records);
  let total = 0;
  let start = 0;
  for (const end of cuts(records)) {
    total += pushColumn(out, start === 0 && end === records.length ? records : records.slice(start, end));
    start = end;
  }
  return total;
}

/** Appends pairs given as two parallel arrays, without making pair objects. */
export function appendPairs(out: Uint8Array[], keys: readonly unknown[], values: readonly unknown[]): number {
  if (keys.length === 0) return 0;
  let total = 0;
  let start = 0;
  for (const end of cuts(keys)) {
    const whole = start === 0 && end === keys.length;
    total += pushPair(out, whole ? keys : keys.slice(start, end), whole ? values : values.slice(start, end));
    start = end;
  }
  return total;
}

/** Records as one buffer. */
export function encodeRecords(records: readonly unknown[]): Uint8Array {
  const out: Uint8Array[] = [];
  appendRecords(out, records);
  return out.length === 1 ? (out[0] as Uint8Array) : Buffer.concat(out);
}

/** One decoded column; a PAIR column keeps its halves apart. */
type Column = { readonly values: ArrayLike<unknown> } | { readonly keys: ArrayLike<unknown>; readonly values: ArrayLike<unknown> };

class Cursor {
  readonly bytes: Buffer;
  at = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Bounds are checked before anything is allocated. */
  take(size: number): number {
    const start = this.at;
    if (size < 0 || start + size > this.bytes.length) throw COLUMN_ERRORS.CORRUPT({ reason: `${size} bytes wanted at ${start} of ${this.bytes.length}` });
    this.at = start + size;
    return start;
  }

  copy(size: number): ArrayBuffer {
    const start = this.take(size);
    const from = this.bytes.byteOffset + start;
    return new Uint8Array(this.bytes.buffer, from, size).slice().buffer;
  }
}

function readColumn(cursor: Cursor): Column {
  const start = cursor.take(HEADER);
  const tag = cursor.bytes[start];
  const count = cursor.bytes.readUInt32LE(start + 1);
  switch (tag) {
    case INT32:
      return { values: count < FEW ? fewInts(cursor, count) : new Int32Array(cursor.copy(count * 4)) };
    case FLOAT64:
      return { values: new Float64Array(cursor.copy(count * 8)) };
    case STRING:
      return { values: readStrings(cursor, count) };
    case PAIR: {
      cursor.take(4);
      const keys = flat(readColumn(cursor));
      const values = flat(readColumn(cursor));
      if (keys.length !== count || values.length !== count) throw COLUMN_ERRORS.CORRUPT({ reason: 'halves of a pair column differ in length' });
      return { keys, values };
    }
    case VALUES: {
      const size = cursor.bytes.readUInt32LE(cursor.take(4));
      const at = cursor.take(size);
      const values = unpackValue(cursor.bytes.subarray(at, at + size));
      if (!Array.isArray(values) || values.length !== count) throw COLUMN_ERRORS.CORRUPT({ reason: 'a value column has the wrong length' });
      return { values };
    }
    default:
      throw COLUMN_ERRORS.CORRUPT({ reason: `unknown column tag ${tag}` });
  }
}

/** A typed array of its own costs more than these. */
function fewInts(cursor: Cursor, count: number): number[] {
  const start = cursor.take(count * 4);
  const values: number[] = [];
  for (let i = 0; i < count; i++) values.push(cursor.bytes.readInt32LE(start + i * 4));
  return values;
}

function readStrings(cursor: Cursor, count: number): string[] {
  const at = cursor.take(6);
  const encoding = cursor.bytes[at];
  const width = cursor.bytes[at + 1];
  const size = cursor.bytes.readUInt32LE(at + 2);
  if ((width !== 1 && width !== 4) || encoding === undefined || encoding > UTF16) throw COLUMN_ERRORS.CORRUPT({ reason: 'bad string column' });
  const lengths = width === 1 ? new Uint8Array(cursor.copy(count)) : new Int32Array(cursor.copy(count * 4));
  const start = cursor.take(size);
  const text = cursor.bytes.toString(encoding === ASCII ? 'latin1' : encoding === UTF8 ? 'utf8' : 'utf16le', start, start + size);
  const values: string[] = new Array(count);
  let from = 0;
  for (let i = 0; i < count; i++) {
    const to = from + (lengths[i] as number);
    values[i] = text.substring(from, to);
    from = to;
  }
  if (from !== text.length) throw COLUMN_ERRORS.CORRUPT({ reason: 'string lengths do not add up' });
  return values;
}

function flat(column: Column): ArrayLike<unknown> {
  if (!('keys' in column)) return column.values;
  const out: unknown[] = new Array(column.keys.length);
  for (let i = 0; i < out.length; i++) out[i] = [column.keys[i], column.values[i]];
  return out;
}

/** All records of a sequence of columns. @throws SP_COLUMN_CORRUPT */
export function decodeRecords(bytes: Uint8Array): unknown[] {
  const cursor = new Cursor(bytes);
  let out: unknown[] = [];
  while (cursor.at < cursor.bytes.length) {
    const values = flat(readColumn(cursor));
    const part = Array.isArray(values) ? (values as unknown[]) : Array.from(values);
    if (out.length === 0) out = part;
    else for (let i = 0; i < part.length; i++) out.push(part[i]);
  }
  return out;
}

/** Calls back for each pair column of a sequence with its keys and values, without making pair objects. @throws SP_COLUMN_CORRUPT */
export function forEachPairColumn(bytes: Uint8Array, callback: (keys: ArrayLike<unknown>, values: ArrayLike<unknown>) => void): void {
  const cursor = new Cursor(bytes);
  while (cursor.at < cursor.bytes.length) {
    const column = readColumn(cursor);
    if (!('keys' in column)) throw COLUMN_ERRORS.CORRUPT({ reason: 'a pair column was expected' });
    callback(column.keys, column.values);
  }
}
