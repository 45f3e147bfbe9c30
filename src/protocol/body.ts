import { BinaryReader, BinaryWriter } from './codec.ts';
import { protocolErrors } from './errors.ts';

/** What every message body begins with: a version and how many items follow; and strings that are spelled out once. */
const BODY_VERSION = 2;
/** In its place: a body behind a signature (src/security). */
export const SIGNED_BODY = 0xa1;
/** Most items in one message; the dispatcher sends far fewer (BATCH_LIMITS). */
export const MAX_ITEMS = 65_536;

const writer = new BinaryWriter();

/** @throws SP_PROTOCOL_BAD_VALUE */
export function checkItems(items: number): void {
  if (items > MAX_ITEMS) throw protocolErrors.BAD_VALUE({ field: 'a batch', reason: `${items} items, the limit is ${MAX_ITEMS}` });
}

/** Starts a body: `items` follow. Encoding is synchronous, so one writer serves all. */
export function begin(items: number): BinaryWriter {
  checkItems(items);
  writer.reset();
  writer.u8(BODY_VERSION);
  writer.varint(items);
  return writer;
}

export function open(bytes: Uint8Array): BinaryReader {
  const reader = new BinaryReader(bytes);
  const version = reader.u8();
  checkVersion(version, BODY_VERSION);
  return reader;
}

/** @throws SP_PROTOCOL_SIGNED, SP_PROTOCOL_UNKNOWN_VERSION */
export function checkVersion(version: number, known: number): void {
  if (version === SIGNED_BODY) throw protocolErrors.SIGNED();
  if (version !== known) throw protocolErrors.UNKNOWN_VERSION({ version, known });
}

/** Few different strings are found fastest one after the other. */
const FEW = 8;

/** Strings of one message: the first time spelled out (0, text), then by number (1 + index). */
export class InternWriter {
  readonly #few: string[] = [];
  #more: Map<string, number> | undefined;

  write(out: BinaryWriter, value: string): void {
    const few = this.#few;
    for (let index = 0; index < few.length; index++) if (few[index] === value) return out.varint(index + 1);
    if (few.length < FEW) {
      few.push(value);
    } else {
      const more = (this.#more ??= new Map<string, number>());
      const index = more.get(value);
      if (index !== undefined) return out.varint(index + 1);
      more.set(value, FEW + more.size);
    }
    out.u8(0);
    out.string(value);
  }

  writeAll(out: BinaryWriter, values: readonly string[]): void {
    out.varint(values.length);
    for (const value of values) this.write(out, value);
  }
}

export class InternReader {
  readonly #known: string[] = [];

  read(reader: BinaryReader): string {
    const index = reader.varint();
    if (index === 0) {
      const value = reader.name();
      this.#known.push(value);
      return value;
    }
    const value = this.#known[index - 1];
    if (value === undefined) throw protocolErrors.MALFORMED({ reason: `string ${index} of ${this.#known.length}` });
    return value;
  }

  readAll(reader: BinaryReader, what: string): readonly string[] {
    const count = reader.count(what);
    const values: string[] = [];
    for (let i = 0; i < count; i++) values.push(this.read(reader));
    return values;
  }
}
