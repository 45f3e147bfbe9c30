import { Packr, Unpackr } from 'msgpackr';
import { ClosureErrors } from './errors.ts';

/**
 * The wire format: the bytes `SPC`, a version, and one MessagePack value without extensions:
 * `[modules, templates, nodes, root]`. Nodes are flat and refer to each other by number, so cycles and shared objects
 * need nothing special and depth is bounded however deep the data is.
 */
const MAGIC = [0x53, 0x50, 0x43, 0x02] as const;

/** null, boolean, string or number as they are; anything else is a tuple. */
export type Value = null | boolean | string | number | readonly [op: number, arg?: unknown];

export const Op = { undefined: 0, ref: 1, bigint: 2, negativeZero: 3, hole: 4, utf16: 5 } as const;

/** First element of a node. */
export const Tag = {
  object: 0,
  array: 1,
  map: 2,
  set: 3,
  date: 4,
  regexp: 5,
  error: 6,
  arrayBuffer: 7,
  view: 8,
  domException: 9,
  boxed: 10,
  url: 11,
  searchParams: 12,
  symbol: 13,
  global: 14,
  import: 15,
  function: 16,
  prototypeOf: 17,
  method: 18,
  bound: 19,
  revived: 20,
  require: 21,
  textCoder: 22,
  intl: 23,
  cell: 24,
} as const;

/** Bits of a property descriptor that differs from that of an assignment. */
export const PropertyFlag = { notWritable: 1, notEnumerable: 2, notConfigurable: 4, accessor: 8 } as const;

/** Last element of a tail. Frozen and sealed objects keep their properties in the short form. */
export const Integrity = { extensible: 0, notExtensible: 1, frozen: 2, sealed: 3 } as const;

/** Instead of the tail of a function's prototype: the object that follows is its prototype. */
export const REPLACED = -1;

export type WireNode = readonly [tag: number, ...rest: unknown[]];

/** How a function is compiled; shared by all closures made from the same source. */
export interface Template {
  /** Index into `modules`. */
  readonly module: number;
  readonly line: number;
  readonly column: number;
  readonly code: string;
  /** expression, method (also accessors) or class. */
  readonly kind: number;
  readonly strict: boolean;
  /** Names of captured bindings, in the order of the values of a node; class definitions need the first `early` at once. */
  readonly names: readonly string[];
  readonly early: number;
  /** Names that were not initialised when the function was shipped. */
  readonly uninitialised: readonly string[];
  /** Uses `import.meta`; `super` of an object; `arguments` of the function around it. */
  readonly meta: boolean;
  readonly home: boolean;
  readonly args: boolean;
}

export interface Graph {
  readonly modules: readonly string[];
  readonly templates: readonly Template[];
  readonly nodes: readonly WireNode[];
  readonly root: Value;
}

/** Bounds on what is decoded, checked before anything is allocated for it. */
export interface DecodeLimits {
  /** @defaultValue 1 GiB */
  readonly maxBytes: number;
  /** Elements of all arrays and maps together. @defaultValue 50,000,000 */
  readonly maxElements: number;
}

export const DEFAULT_LIMITS: DecodeLimits = { maxBytes: 1024 ** 3, maxElements: 50_000_000 };

/** A valid graph nests this deep: graph, nodes, node, tail, values, value. */
const MAX_DEPTH = 12;

const packr = new Packr({ useRecords: false, variableMapSize: true });
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: false, copyBuffers: false, int64AsType: 'number' } as never);

export function packGraph(graph: Graph): Uint8Array {
  const templates = graph.templates.map((t) => [
    t.module,
    t.line,
    t.column,
    t.code,
    t.kind,
    (t.strict ? 1 : 0) | (t.meta ? 2 : 0) | (t.home ? 4 : 0) | (t.args ? 8 : 0),
    t.names,
    t.early,
    t.uninitialised,
  ]);
  const body = packr.pack([graph.modules, templates, graph.nodes, graph.root]);
  const bytes = new Uint8Array(MAGIC.length + body.length);
  bytes.set(MAGIC);
  bytes.set(body, MAGIC.length);
  return bytes;
}

/** @throws SP_CLOSURE_FORMAT, SP_CLOSURE_LIMIT */
export function unpackGraph(bytes: Uint8Array, limits: DecodeLimits = DEFAULT_LIMITS): Graph {
  if (bytes.length > limits.maxBytes) throw ClosureErrors.LIMIT({ limit: 'maxBytes', actual: bytes.length, allowed: limits.maxBytes });
  if (bytes.length < MAGIC.length || MAGIC.slice(0, 3).some((byte, at) => bytes[at] !== byte))
    throw ClosureErrors.FORMAT({ reason: 'they do not begin with SPC' });
  if (bytes[3] !== MAGIC[3]) throw ClosureErrors.FORMAT({ reason: `their version is ${String(bytes[3])}, ours is ${MAGIC[3]}` });
  const body = bytes.subarray(MAGIC.length);
  scan(body, limits.maxElements);
  let decoded: unknown;
  try {
    decoded = unpackr.unpack(body);
  } catch (error) {
    throw ClosureErrors.FORMAT({ reason: (error as Error).message }, error);
  }
  if (!Array.isArray(decoded) || decoded.length !== 4) throw ClosureErrors.FORMAT({ reason: 'not a graph of four parts' });
  const [modules, templates, nodes, root] = decoded as unknown[];
  if (!isList(modules, (m) => typeof m === 'string')) throw ClosureErrors.FORMAT({ reason: 'the list of modules is malformed' });
  if (!isList(templates, Array.isArray)) throw ClosureErrors.FORMAT({ reason: 'the list of templates is malformed' });
  if (!isList(nodes, (node) => Array.isArray(node) && Number.isInteger(node[0]))) throw ClosureErrors.FORMAT({ reason: 'the list of nodes is malformed' });
  return {
    modules: modules as string[],
    templates: (templates as unknown[][]).map((row) => template(row, (modules as string[]).length)),
    nodes: nodes as WireNode[],
    root: root as Value,
  };
}

function template(row: unknown[], modules: number): Template {
  const [module, line, column, code, kind, flags, names, early, uninitialised] = row;
  const numbers = [module, line, column, kind, flags, early].every((value) => Number.isInteger(value) && (value as number) >= 0);
  const identifiers = (list: unknown): boolean =>
    isList(list, (name) => typeof name === 'string' && /^[\p{ID_Start}$_][\p{ID_Continue}$\u200c\u200d]*$/u.test(name));
  if (!numbers || typeof code !== 'string' || (module as number) >= modules || !identifiers(names) || !identifiers(uninitialised)) {
    throw ClosureErrors.FORMAT({ reason: 'a function template is malformed' });
  }
  return {
    module: module as number,
    line: line as number,
    column: column as number,
    code,
    kind: kind as number,
    strict: ((flags as number) & 1) !== 0,
    meta: ((flags as number) & 2) !== 0,
    home: ((flags as number) & 4) !== 0,
    args: ((flags as number) & 8) !== 0,
    names: names as string[],
    early: early as number,
    uninitialised: uninitialised as string[],
  };
}

function isList(value: unknown, check: (element: unknown) => boolean): boolean {
  return Array.isArray(value) && value.every(check);
}

/**
 * Walks the bytes without building anything: counts must fit the bytes that are left, depth and totals are bounded, extension types are
 * refused. A hostile header can thus not make the decoder allocate.
 */
function scan(bytes: Uint8Array, maxElements: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { length } = bytes;
  const pending: number[] = [];
  let at = 0;
  let elements = 0;
  let left = 1;
  const need = (count: number): void => {
    if (count > length - at) throw ClosureErrors.FORMAT({ reason: 'they end too early' });
  };
  const size = (width: number): number => {
    need(width);
    const value = width === 1 ? view.getUint8(at) : width === 2 ? view.getUint16(at) : view.getUint32(at);
    at += width;
    return value;
  };
  const open = (count: number): void => {
    need(count);
    elements += count;
    if (elements > maxElements) throw ClosureErrors.LIMIT({ limit: 'maxElements', actual: elements, allowed: maxElements });
    if (pending.length >= MAX_DEPTH) throw ClosureErrors.LIMIT({ limit: 'depth', actual: pending.length + 1, allowed: MAX_DEPTH });
    pending.push(left);
    left = count;
  };
  const skip = (count: number): void => {
    need(count);
    at += count;
  };
  for (;;) {
    while (left === 0) {
      if (pending.length === 0) {
        if (at !== length) throw ClosureErrors.FORMAT({ reason: 'bytes follow the graph' });
        return;
      }
      left = pending.pop() as number;
    }
    left--;
    const byte = size(1);
    if (byte < 0x80 || byte >= 0xe0) continue;
    if (byte < 0x90) throw ClosureErrors.FORMAT({ reason: 'a map where none belongs' });
    if (byte < 0xa0) open(byte & 0x0f);
    else if (byte < 0xc0) skip(byte & 0x1f);
    else if (byte === 0xc0 || byte === 0xc2 || byte === 0xc3) continue;
    else if (byte >= 0xc4 && byte <= 0xc6) skip(size(1 << (byte - 0xc4)));
    else if (byte === 0xca || byte === 0xce || byte === 0xd2) skip(4);
    else if (byte === 0xcb || byte === 0xcf || byte === 0xd3) skip(8);
    else if (byte === 0xcc || byte === 0xd0) skip(1);
    else if (byte === 0xcd || byte === 0xd1) skip(2);
    else if (byte >= 0xd9 && byte <= 0xdb) skip(size(1 << (byte - 0xd9)));
    else if (byte === 0xdc || byte === 0xdd) open(size(byte === 0xdc ? 2 : 4));
    else throw ClosureErrors.FORMAT({ reason: `type byte 0x${byte.toString(16)}` });
  }
}
