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
  if (ArrayBuffer.isView(value)) return `B${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex')}`;
  const record = value as Record<string, unknown>;
  return `{${Object.keys(record)
    .sort()
    .map((k) => `${JSON.stringify(k)}:${canonicalKey(record[k], next)}`)
    .join(',')}}`;
}

/** Natural order: numbers, strings (by code unit), bigints, booleans, dates; tuples element by element. */
export function compareKeys(a: unknown, b: unknown): number {
  if (Array.isArray(a) && Array.isArray(b)) {
    const n = Math.min(a.length, b.length);
    for (let i = 0; i < n; i++) {
      const c = compareKeys(a[i], b[i]);
      if (c !== 0) return c;
    }
    return a.length - b.length;
  }
  const x = a as number;
  const y = b as number;
  if (x < y) return -1;
  if (x > y) return 1;
  if (x === y) return 0;
  // NaN after everything else, as Spark orders it; then whatever has no order keeps its place.
  const nanA = typeof a === 'number' && Number.isNaN(a);
  const nanB = typeof b === 'number' && Number.isNaN(b);
  return nanA === nanB ? 0 : nanA ? 1 : -1;
}
