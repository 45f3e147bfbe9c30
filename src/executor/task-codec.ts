/**
 * A task's payload and its result as bytes. Both are made and read once a task, so they have a layout of their own; what
 * is not bytes, a number, a text or a short list of those in them is msgpack. The last field is the data, and takes what is left.
 *
 * Payload: version, partition, route, inputs, properties, source. Result: version, metrics, accumulators, blocks, value.
 */
import { BinaryReader, BinaryWriter } from '../protocol/codec.ts';
import { COLUMN_ERRORS, packValue, unpackValue } from '../protocol/columns.ts';
import { TASK_ERRORS } from './errors.ts';
import type { TaskPayload, TaskResult } from './plan.ts';

const VERSION = 2;

/** How the last field is written. */
const UNDEFINED = 0;
const BYTES = 1;
const NUMBER = 2;
const PACKED = 3;
const ASCII = 4;
const LIST = 5;

/** Above this, bytes are joined to what goes before them in a buffer of just that size. */
const LARGE_BYTES = 16_384;
/** Longer lists are packed. */
const MAX_LIST = 8;

const NO_PROPERTIES: Readonly<Record<string, string>> = Object.freeze({});
const writer = new BinaryWriter();

function begin(): BinaryWriter {
  writer.reset();
  writer.u8(VERSION);
  return writer;
}

/** Ends the message with a value: encoded records are Buffers and go as they are. @throws SP_COLUMN_NOT_DATA */
function finish(value: unknown): Uint8Array {
  if (value === undefined || typeof value === 'number') {
    item(value);
    return writer.finish();
  }
  if (isShortAscii(value)) {
    writer.u8(ASCII);
    writer.ascii(value);
    return writer.finish();
  }
  if (isPlainList(value)) {
    writer.u8(LIST);
    writer.varint(value.length);
    for (const one of value) item(one);
    return writer.finish();
  }
  const isBuffer = Buffer.isBuffer(value);
  const bytes = isBuffer ? value : packValue(value);
  writer.u8(isBuffer ? BYTES : PACKED);
  if (bytes.length > LARGE_BYTES) return Buffer.concat([writer.finish(), bytes]);
  writer.raw(bytes);
  return writer.finish();
}

type Plain = undefined | number | string;

/** Texts beyond ASCII are left to msgpack, which keeps what is no well-formed Unicode where it can. */
function isShortAscii(value: unknown): value is string {
  return typeof value === 'string' && value.length <= LARGE_BYTES && Buffer.byteLength(value, 'utf8') === value.length;
}

/** Nothing in it is an object: what refers to one thing twice is packed. */
function isPlainList(value: unknown): value is readonly Plain[] {
  if (!Array.isArray(value) || value.length > MAX_LIST) return false;
  // By index: holes are undefined, as msgpack has them.
  for (let i = 0; i < value.length; i++) {
    const one: unknown = value[i];
    if (one !== undefined && typeof one !== 'number' && !isShortAscii(one)) return false;
  }
  return true;
}

function item(one: Plain): void {
  if (one === undefined) writer.u8(UNDEFINED);
  else if (typeof one === 'number') {
    writer.u8(NUMBER);
    writer.f64(one);
  } else {
    writer.u8(ASCII);
    writer.varint(one.length);
    writer.ascii(one);
  }
}

function readItem(reader: BinaryReader, how = reader.u8()): Plain {
  switch (how) {
    case UNDEFINED:
      return undefined;
    case NUMBER:
      return reader.f64();
    case ASCII:
      return reader.ascii(reader.varint());
    default:
      throw COLUMN_ERRORS.CORRUPT({ reason: `unknown form ${how} of an item` });
  }
}

function rest(reader: BinaryReader): unknown {
  const how = reader.u8();
  switch (how) {
    case UNDEFINED:
    case NUMBER:
      return readItem(reader, how);
    case BYTES: {
      const bytes = reader.raw(reader.remaining);
      return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    }
    case ASCII:
      return reader.ascii(reader.remaining);
    case LIST: {
      const list: Plain[] = [];
      for (let left = reader.count('items', 1, MAX_LIST); left > 0; left--) list.push(readItem(reader));
      reader.end();
      return list;
    }
    case PACKED:
      return unpackValue(reader.raw(reader.remaining));
    default:
      throw COLUMN_ERRORS.CORRUPT({ reason: `unknown form ${how} of a value` });
  }
}

function open(bytes: Uint8Array): BinaryReader {
  const reader = new BinaryReader(bytes);
  const version = reader.u8();
  if (version !== VERSION) throw COLUMN_ERRORS.CORRUPT({ reason: `version ${version} where ${VERSION} is known` });
  return reader;
}

/** @throws SP_COLUMN_NOT_DATA */
export function encodeTaskPayload({ partition, route, inputs, properties, source }: TaskPayload): Uint8Array {
  const out = begin();
  out.varint(partition);
  out.varint(route.length);
  for (const [parent, ofParent] of route) {
    out.varint(parent);
    out.varint(ofParent);
  }
  out.varint(inputs.length);
  for (const hash of inputs) out.string(hash);
  if (properties === NO_PROPERTIES) out.varint(0);
  else {
    const pairs = Object.entries(properties);
    out.varint(pairs.length);
    for (const [key, value] of pairs) {
      out.string(key);
      out.string(value);
    }
  }
  return finish(source);
}

/** @throws SP_TASK_BAD_PAYLOAD */
export function decodeTaskPayload(taskId: number, bytes: Uint8Array): TaskPayload {
  try {
    const reader = open(bytes);
    const partition = reader.varint();
    const route: [number, number][] = [];
    for (let left = reader.count('turns of a route', 2); left > 0; left--) route.push([reader.varint(), reader.varint()]);
    const inputs: string[] = [];
    for (let left = reader.count('inputs'); left > 0; left--) inputs.push(reader.string());
    const count = reader.count('properties', 2);
    const properties = count === 0 ? NO_PROPERTIES : Object.fromEntries(Array.from({ length: count }, () => [reader.string(), reader.string()]));
    return { partition, route, inputs, properties, source: rest(reader) };
  } catch (cause) {
    throw TASK_ERRORS.BAD_PAYLOAD({ taskId, reason: (cause as Error).message }, cause);
  }
}

/** @throws SP_COLUMN_NOT_DATA */
export function encodeTaskResult({ value, accumulators, blocks, metrics }: TaskResult): Uint8Array {
  const out = begin();
  out.f64(metrics.runMs);
  out.varint(metrics.bytesRead);
  out.varint(metrics.shuffleBytesWritten);
  out.varint(metrics.shuffleRecordsWritten);
  out.varint(metrics.remoteBytesRead);
  if (accumulators.length === 0) out.varint(0);
  else out.bytes(packValue(accumulators));
  out.varint(blocks.length);
  for (const id of blocks) out.string(id);
  return finish(value);
}

/** @throws SP_COLUMN_CORRUPT, SP_PROTOCOL_TRUNCATED, SP_PROTOCOL_MALFORMED */
export function decodeTaskResult(bytes: Uint8Array): TaskResult {
  const reader = open(bytes);
  const runMs = reader.f64();
  const bytesRead = reader.varint();
  const shuffleBytesWritten = reader.varint();
  const shuffleRecordsWritten = reader.varint();
  const remoteBytesRead = reader.varint();
  const updates = reader.bytes();
  const accumulators = updates.length === 0 ? NO_UPDATES : (unpackValue(updates) as [number, unknown][]);
  if (!Array.isArray(accumulators)) throw COLUMN_ERRORS.CORRUPT({ reason: 'accumulator updates are no list' });
  const blocks: string[] = [];
  for (let left = reader.count('blocks'); left > 0; left--) blocks.push(reader.string());
  const value = rest(reader);
  return { value, accumulators, blocks, metrics: { runMs, bytesRead, shuffleBytesWritten, shuffleRecordsWritten, remoteBytesRead } };
}

const NO_UPDATES: readonly [number, unknown][] = Object.freeze([]) as never;
