/**
 * Deterministic hashing and value equality of keys. The same key gives the same hash in every process and on every run,
 * so that map tasks on different machines agree on the partition of a key.
 */

/** Finalizer of MurmurHash3 (Austin Appleby), 32 bit. */
function mix(h: number): number {
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

function hashString(text: string): number {
  let h = 0x811c9dc5 ^ text.length;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return mix(h);
}

const float = new Float64Array(1);
const words = new Int32Array(float.buffer);

function hashNumber(value: number): number {
  if ((value | 0) === value) return mix(value | 0);
  float[0] = value === 0 ? 0 : value;
  return mix((words[0] as number) ^ Math.imul(words[1] as number, 0x9e3779b1));
}

/** 32-bit unsigned hash of a key; equal keys (`keyIdentity`) have equal hashes. */
export function hashKey(key: unknown): number {
  switch (typeof key) {
    case 'string':
      return hashString(key);
    case 'number':
      return hashNumber(key);
    case 'boolean':
      return key ? 0x9747b28c : 0x3c6ef372;
    case 'undefined':
      return 0;
    case 'bigint':
      return hashString(`n${key}`);
    case 'object':
      return key === null ? 1 : hashString(canonicalKey(key));
    default:
      return hashString(String(key));
  }
}

/** What a Map may use to find a key by value: primitives are themselves, objects their canonical text. */
export function keyIdentity(key: unknown): unknown {
  return typeof key === 'object' && key !== null ? canonicalKey(key) : key;
}

/** Text that is equal for objects that are equal by value: tuples, plain objects (any property order), Date, Map, Set, bytes. */
export function canonicalKey(value: unknown, depth = 0): string {
  if (depth > 64) throw new RangeError('a key is nested deeper than 64 levels');
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value);
    case 'number':
      return value === 0 ? '0' : String(value);
    case 'bigint':
      return `${value}n`;
    case 'object':
      break;
    default:
      return String(value);
  }
  if (value === null) return 'null';
  const next = depth + 1;
  if (Array.isArray(value)) return `[${value.map((v) => canonicalKey(v, next)).join(',')}]`;
  if (value instanceof Date) return `D${value.getTime()}`;
  if (value instanceof Map)
    return `M{${[...value]
      .map(([k, v]) => `${canonicalKey(k, next)}:${canonicalKey(v, next)}`)
      .sort()
      .join(',')}}`;
  if (value instanceof Set)
    return `S{${[...value]
      .map((v) => canonicalKey(v, next))
      .sort()
      .join(',')}}`;
  if (ArrayBuffer.isView(value))
    return `B${(value as Uint8Array)[Symbol.toStringTag]} ${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex')}`;
  const record = value as Record<string, unknown>;
  return `{${Object.keys(record)
    .sort()
    .map((k) => `${JSON.stringify(k)}:${canonicalKey(record[k], next)}`)
    .join(',')}}`;
}

/** Kinds of keys, in order: nothing first, as Spark's nulls; numbers and bigints are of one kind. */
const RANKS: Readonly<Record<string, number>> = { undefined: 0, boolean: 2, number: 3, bigint: 3, string: 4 };

function rankOf(key: unknown): number {
  if (key === null) return 1;
  const rank = RANKS[typeof key];
  if (rank !== undefined) return rank;
  return key instanceof Date ? 5 : Array.isArray(key) ? 6 : 7;
}

/**
 * Total order of keys: undefined, null, booleans, numbers and bigints, strings (by code unit), dates, tuples (element by element), then other
 * objects by their canonical text. NaN stands behind all numbers, as Spark orders it, and a date without a time behind all dates.
 */
export function compareKeys(a: unknown, b: unknown): number {
  if (typeof a === 'string' && typeof b === 'string') return a < b ? -1 : a > b ? 1 : 0;
  if (typeof a === 'number' && typeof b === 'number') return compareNumbers(a, b);
  const rankA = rankOf(a);
  const rankB = rankOf(b);
  if (rankA !== rankB) return rankA - rankB;
  switch (rankA) {
    case 5:
      return compareNumbers((a as Date).getTime(), (b as Date).getTime());
    case 6:
      return compareTuples(a as unknown[], b as unknown[]);
    case 7:
      return compareKeys(canonicalKey(a), canonicalKey(b));
    default:
      return compareNumbers(a as number, b as number);
  }
}

function compareTuples(a: readonly unknown[], b: readonly unknown[]): number {
  const n = Math.min(a.length, b.length);
  for (let i = 0; i < n; i++) {
    const c = compareKeys(a[i], b[i]);
    if (c !== 0) return c;
  }
  return a.length - b.length;
}

/** Also of bigints and booleans. */
function compareNumbers(a: number, b: number): number {
  if (a < b) return -1;
  if (a > b) return 1;
  if (a === b) return 0;
  // NaN, which differs from itself; or a number and a bigint that are equal.
  const nanA = Number.isNaN(a);
  const nanB = Number.isNaN(b);
  return nanA === nanB ? 0 : nanA ? 1 : -1;
}
