import { errorFromWire, errorToWire, type WireError } from '../core/errors.ts';
import { BinaryReader, BinaryWriter } from './codec.ts';
import { protocolErrors } from './errors.ts';

/** Characters kept of a message or stack; causes deeper than this are dropped. */
const MAX_TEXT = 16_384;
const MAX_NAME = 256;
const MAX_CAUSES = 8;
const FAILURE_VERSION = 1;

const HAS_STACK = 1;
const HAS_CODE = 2;
const HAS_REMEDY = 4;
const HAS_CAUSE = 8;
const HAS_FIELDS = 16;
/** Characters of the fields of a coded error, as JSON. */
const MAX_FIELDS = 4096;

const writer = new BinaryWriter(4096);

/** An error (or anything thrown) as the data of a FAILED, KILLED or LOST update. Never throws; long texts are cut. */
export function encodeFailure(error: unknown): Uint8Array {
  let wire: WireError;
  try {
    wire = errorToWire(error);
  } catch {
    // Reading its fields threw: a hostile getter, or an object without toString.
    wire = { name: 'Thrown', message: 'a value that cannot be described' };
  }
  writer.reset();
  writer.u8(FAILURE_VERSION);
  write(wire);
  return writer.finish();
}

function write(wire: WireError): void {
  const { stack, code, remedy, cause } = wire;
  const fields = fieldsToText(wire.fields);
  writer.u8(
    (stack === undefined ? 0 : HAS_STACK) |
      (code === undefined ? 0 : HAS_CODE) |
      (remedy === undefined ? 0 : HAS_REMEDY) |
      (cause === undefined ? 0 : HAS_CAUSE) |
      (fields === undefined ? 0 : HAS_FIELDS),
  );
  writer.string(wire.name.slice(0, MAX_NAME));
  writer.string(wire.message.slice(0, MAX_TEXT));
  if (stack !== undefined) writer.string(stack.slice(0, MAX_TEXT));
  if (code !== undefined) writer.string(code.slice(0, MAX_NAME));
  if (remedy !== undefined) writer.string(remedy.slice(0, MAX_TEXT));
  if (fields !== undefined) writer.string(fields);
  if (cause !== undefined) write(cause);
}

function fieldsToText(fields: WireError['fields']): string | undefined {
  if (fields === undefined) return undefined;
  const text = JSON.stringify(fields);
  return text.length > MAX_FIELDS ? undefined : text;
}

/** Numbers, booleans and strings by name; anything else on the wire is dropped. */
function fieldsFromText(text: string): Readonly<Record<string, unknown>> {
  const fields: Record<string, unknown> = {};
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw protocolErrors.MALFORMED({ reason: 'the fields of a failure are not JSON' }, cause);
  }
  if (typeof parsed !== 'object' || parsed === null) return fields;
  for (const [name, value] of Object.entries(parsed)) {
    if (name !== '__proto__' && (typeof value === 'number' || typeof value === 'boolean' || typeof value === 'string')) fields[name] = value;
  }
  return fields;
}

/** The error of a FAILED, KILLED or LOST update. Never throws: data that is no failure gives an SP_PROTOCOL_* error instead. */
export function decodeFailure(bytes: Uint8Array): Error {
  try {
    const reader = new BinaryReader(bytes);
    const version = reader.u8();
    if (version !== FAILURE_VERSION) return protocolErrors.UNKNOWN_VERSION({ version, known: FAILURE_VERSION });
    const wire = read(reader, 0);
    reader.end();
    return errorFromWire(wire);
  } catch (error) {
    return error as Error;
  }
}

function read(reader: BinaryReader, depth: number): WireError {
  const flags = reader.u8();
  if (flags > 31 || depth > MAX_CAUSES + 1) throw protocolErrors.MALFORMED({ reason: `failure has flags ${flags} at depth ${depth}` });
  const name = reader.string();
  const message = reader.string();
  const stack = (flags & HAS_STACK) === 0 ? undefined : reader.string();
  const code = (flags & HAS_CODE) === 0 ? undefined : reader.string();
  const remedy = (flags & HAS_REMEDY) === 0 ? undefined : reader.string();
  const fields = (flags & HAS_FIELDS) === 0 ? undefined : fieldsFromText(reader.string());
  const cause = (flags & HAS_CAUSE) === 0 ? undefined : read(reader, depth + 1);
  return { name, message, stack, code, remedy, fields, cause };
}
