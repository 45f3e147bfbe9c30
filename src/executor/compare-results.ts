/** When do two results of one task say the same? For workers that are not trusted; where they ran and how long it took make no difference. */
import { isAbsolute, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { decodeRecords, packValue } from '../protocol/columns.ts';
import type { MapStatus } from '../shuffle/map-output.ts';
import { TASK_ERRORS } from './errors.ts';
import { decodeTaskResult } from './task-codec.ts';

/** True when both say the same. Never throws: what cannot be read differs. */
export type CompareResults = (a: Uint8Array, b: Uint8Array) => boolean;
/** What a module of a user's exports as default: compares values of tasks, decoded. */
export type CompareValues = (a: unknown, b: unknown) => boolean;

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;
const samePacked: CompareValues = (a, b) => sameBytes(packValue(a), packValue(b));

/**
 * Compares results as `encodeTaskResult` writes them: values by `compare`, shuffle output and files by their digests,
 * accumulator updates as packed. Results of another kind (a JVM's) are the same when their bytes are.
 */
function comparing(compare: CompareValues, decode: boolean): CompareResults {
  return (a, b) => {
    if (sameBytes(a, b)) return true;
    try {
      const [x, y] = [decodeTaskResult(a), decodeTaskResult(b)];
      return samePacked(x.accumulators, y.accumulators) && sameValue(x.value, y.value, compare, decode);
    } catch {
      return false;
    }
  };
}

function sameValue(a: unknown, b: unknown, compare: CompareValues, decode: boolean): boolean {
  if (isMapStatus(a) && isMapStatus(b)) {
    const what = ({ offsets, checksums, digests }: MapStatus): unknown => [offsets, digests ?? checksums];
    return samePacked(what(a), what(b));
  }
  if (isPartFile(a) && isPartFile(b)) return samePacked([a.name, a.records, a.digest], [b.name, b.records, b.digest]);
  if (a instanceof Uint8Array && b instanceof Uint8Array) return decode ? compare(decodeRecords(a), decodeRecords(b)) : sameBytes(a, b);
  return compare(a, b);
}

function isMapStatus(value: unknown): value is MapStatus {
  return typeof value === 'object' && value !== null && 'executorId' in value && 'path' in value && 'offsets' in value && 'checksums' in value;
}

function isPartFile(value: unknown): value is { name: string; records: number; digest?: string } {
  return typeof value === 'object' && value !== null && 'path' in value && 'name' in value && 'records' in value;
}

/** Numbers within a relative error, everything else alike; without recursion beyond `MAX_DEPTH`. */
function within(error: number): CompareValues {
  const same = (a: unknown, b: unknown, depth: number): boolean => {
    if (typeof a === 'number' && typeof b === 'number') {
      return Object.is(a, b) || a === b || Math.abs(a - b) <= error * Math.max(Math.abs(a), Math.abs(b));
    }
    if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return Object.is(a, b);
    if (depth > MAX_DEPTH) return samePacked(a, b);
    if (Array.isArray(a) !== Array.isArray(b)) return false;
    if (a instanceof Map || a instanceof Set || b instanceof Map || b instanceof Set) return samePacked(a, b);
    if (ArrayBuffer.isView(a) !== ArrayBuffer.isView(b)) return false;
    const keys = Object.keys(a);
    if (keys.length !== Object.keys(b).length) return false;
    return keys.every((key) => Object.hasOwn(b, key) && same((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key], depth + 1));
  };
  return (a, b) => same(a, b, 0);
}

const MAX_DEPTH = 64;
const FLOAT = /^float:(\d+(?:\.\d+)?(?:e-?\d+)?)$/i;

/** `bytes` or `float:<relative error>`; undefined for any other name. */
export function compareResults(name: string): CompareResults | undefined {
  if (name === 'bytes') return comparing(samePacked, false);
  const float = FLOAT.exec(name);
  return float === null ? undefined : comparing(within(Number(float[1])), true);
}

/**
 * As `compareResults`, and modules of the operator's own, by path.
 * @throws SP_TASK_BAD_COMPARATOR
 */
export async function loadCompareResults(name: string, from = process.cwd()): Promise<CompareResults> {
  const known = compareResults(name);
  if (known !== undefined) return known;
  if (!name.startsWith('.') && !isAbsolute(name)) {
    throw TASK_ERRORS.BAD_COMPARATOR({ name, reason: 'it is neither bytes, nor float:<error>, nor a path' });
  }
  let exported: { default?: unknown };
  try {
    exported = (await import(pathToFileURL(resolve(from, name)).href)) as { default?: unknown };
  } catch (cause) {
    throw TASK_ERRORS.BAD_COMPARATOR({ name, reason: (cause as Error).message }, cause);
  }
  if (typeof exported.default !== 'function') throw TASK_ERRORS.BAD_COMPARATOR({ name, reason: 'its default export is no function' });
  return comparing(exported.default as CompareValues, true);
}
