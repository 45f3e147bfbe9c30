import { BinaryReader, BinaryWriter } from '../protocol/codec.ts';
import { checkVersion } from '../protocol/body.ts';
import { protocolErrors } from '../protocol/errors.ts';
import type { Load, Registration } from './contract.ts';

/** Bodies of the register center. Decoders take bytes nobody vouches for and throw SP_PROTOCOL_* only. */
export const REGISTRY_MESSAGE = { announce: 'announce', beat: 'beat', leave: 'leave', gone: 'gone', who: 'who' } as const;

const VERSION = 1;
const KINDS: readonly Registration['kind'][] = ['worker', 'dispatcher', 'application'];
/** Most labels or runner kinds of one entry. */
const MAX_LIST = 1000;

const writer = new BinaryWriter(16_384);

function begin(): BinaryWriter {
  writer.reset();
  writer.u8(VERSION);
  return writer;
}

function open(bytes: Uint8Array): BinaryReader {
  const reader = new BinaryReader(bytes);
  checkVersion(reader.u8(), VERSION);
  return reader;
}

function writeLoad(out: BinaryWriter, load: Load): void {
  out.varint(load.running);
  out.varint(load.queued);
  out.u8(load.draining ? 1 : 0);
}

function readLoad(reader: BinaryReader): Load {
  return { running: reader.varint(), queued: reader.varint(), draining: reader.u8() !== 0 };
}

/** @throws SP_PROTOCOL_BAD_VALUE */
export function encodeAnnounce(entry: Registration, load: Load): Uint8Array {
  const out = begin();
  const labels = Object.entries(entry.labels);
  if (entry.kinds.length > MAX_LIST || labels.length > MAX_LIST)
    throw protocolErrors.BAD_VALUE({ field: 'a registration', reason: `more than ${MAX_LIST} kinds or labels` });
  if (!KINDS.includes(entry.kind)) throw protocolErrors.BAD_VALUE({ field: 'a registration', reason: `kind ${entry.kind} is unknown` });
  out.u8(KINDS.indexOf(entry.kind));
  out.string(entry.id);
  out.string(entry.host);
  out.varint(entry.pid);
  out.string(entry.version);
  out.varint(entry.slots);
  out.varint(entry.kinds.length);
  for (const kind of entry.kinds) out.string(kind);
  out.varint(labels.length);
  for (const [name, value] of labels) {
    out.string(name);
    out.string(value);
  }
  out.string(entry.queue);
  writeLoad(out, load);
  return out.finish();
}

export function decodeAnnounce(bytes: Uint8Array): { readonly entry: Registration; readonly load: Load } {
  const reader = open(bytes);
  const kind = KINDS[reader.u8()];
  if (kind === undefined) throw protocolErrors.MALFORMED({ reason: 'a registration is of no known kind' });
  const id = reader.string();
  const host = reader.string();
  const pid = reader.varint();
  const version = reader.string();
  const slots = reader.varint();
  const kinds: string[] = [];
  for (let left = reader.count('kinds', 1, MAX_LIST); left > 0; left--) kinds.push(reader.string());
  const pairs: [string, string][] = [];
  for (let left = reader.count('labels', 2, MAX_LIST); left > 0; left--) pairs.push([reader.string(), reader.string()]);
  const queue = reader.string();
  const load = readLoad(reader);
  reader.end();
  // fromEntries defines own properties: a label named __proto__ is just a label.
  return { entry: { kind, id, host, pid, version, slots, kinds, labels: Object.fromEntries(pairs), queue }, load };
}

/** @throws SP_PROTOCOL_BAD_VALUE */
export function encodeBeat(id: string, load: Load): Uint8Array {
  const out = begin();
  out.string(id);
  writeLoad(out, load);
  return out.finish();
}

export function decodeBeat(bytes: Uint8Array): { readonly id: string; readonly load: Load } {
  const reader = open(bytes);
  const beat = { id: reader.string(), load: readLoad(reader) };
  reader.end();
  return beat;
}

export function encodeLeave(id: string): Uint8Array {
  const out = begin();
  out.string(id);
  return out.finish();
}

/** The id. */
export function decodeLeave(bytes: Uint8Array): string {
  const reader = open(bytes);
  const id = reader.string();
  reader.end();
  return id;
}
