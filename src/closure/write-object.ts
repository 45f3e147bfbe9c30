import { EventEmitter } from 'node:events';
import { types } from 'node:util';
import { SparkProxyError } from '../core/errors.ts';
import { SERIALIZE } from './contract.ts';
import type { ByReviver } from './contract.ts';
import { WELL_KNOWN, builtinReference, importReference, isImportedThere, isUnique, symbolReference } from './references.ts';
import type { Reference } from './references.ts';
import { ENVIRONMENT, nameOf, nativeRefusal, privateRefusal, refusalOf } from './refuse.ts';
import { isNative, parseFunction, sourceOf } from './source.ts';
import { Integrity, Op, PropertyFlag, Tag } from './wire.ts';
import type { Value, WireNode } from './wire.ts';
import type { GraphWriter } from './writer.ts';

type AnyFunction = (...args: never[]) => unknown;

const HOLE: Value = [Op.hole];
const NO_KEYS: ReadonlySet<PropertyKey> = new Set();
const STACK: ReadonlySet<PropertyKey> = new Set(['stack']);
const LAST_INDEX: ReadonlySet<PropertyKey> = new Set(['lastIndex']);
/** Node of an object (no Proxy) or symbol. */
export function objectNode(writer: GraphWriter, value: object | symbol): WireNode {
  if (typeof value === 'symbol') return symbolNode(value);
  if (value === process.env) writer.refuse(ENVIRONMENT);
  const reference = builtinReference(value);
  if (reference !== undefined) return referenceNode(reference);
  if (typeof (value as Partial<ByReviver>)[SERIALIZE] === 'function') return revivedNode(writer, value as ByReviver);
  const prototype = Object.getPrototypeOf(value) as object | null;
  if (Array.isArray(value)) {
    if (prototype !== Array.prototype) refuseHiddenState(writer, value);
    return arrayNode(writer, value);
  }
  if (types.isModuleNamespaceObject(value)) {
    const module = importReference(value);
    if (module !== undefined) return referenceNode(module);
  }
  const prototypeOwner = ownerOfPrototype(value);
  if (prototypeOwner !== undefined) return [Tag.prototypeOf, writer.number(prototypeOwner, ` -> class ${prototypeOwner.name}`)];
  if (prototype !== Object.prototype) {
    const intl = intlNode(writer, value);
    if (intl !== undefined) return intl;
    const refusal = refusalOf(value);
    if (refusal !== undefined) writer.refuse(refusal);
  }
  // CommonJS: module.exports of a module that is loaded on the other side too.
  const module = importReference(value);
  if (module !== undefined) return referenceNode(module);
  if (prototype !== Object.prototype) refuseHiddenState(writer, value);
  return (prototype === Object.prototype && !types.isArgumentsObject(value) ? undefined : branded(writer, value)) ?? plainNode(writer, value);
}

export function referenceNode(reference: Reference): WireNode {
  return 'specifier' in reference ? [Tag.import, reference.specifier, reference.parent, reference.path] : [Tag.global, reference.path];
}

export function revivedNode(writer: GraphWriter, value: ByReviver): WireNode {
  const { reviver, data } = serialized(writer, value);
  return [Tag.revived, reviver, writer.encode(data, ` -> (data of ${reviver})`)];
}

/** What refuses to travel (a context, an RDD) says so with the path it was captured through. */
function serialized(writer: GraphWriter, value: ByReviver): ReturnType<ByReviver[typeof SERIALIZE]> {
  try {
    return value[SERIALIZE]();
  } catch (cause) {
    if (!SparkProxyError.is(cause)) throw cause;
    const [what = cause.message] = cause.message.split('\n  hint: ');
    return writer.refuse({ what, hint: `${cause.remedy}; for a field of the same object, copy it to a const first` }, '', cause);
  }
}

function symbolNode(value: symbol): WireNode {
  const key = Symbol.keyFor(value);
  if (key !== undefined) return [Tag.symbol, 0, key];
  const known = WELL_KNOWN.get(value);
  if (known !== undefined) return [Tag.symbol, 1, known];
  const exported = symbolReference(value);
  return exported === undefined ? [Tag.symbol, 2, value.description ?? null] : referenceNode(exported);
}

/** Own keys that Node gives an EventEmitter; it does without them. */
const OF_NODE: ReadonlySet<PropertyKey> = new Set(Reflect.ownKeys(new EventEmitter()));

/** A key that only the module of the object's class knows, which makes another one where it is imported. */
function isForeignKey(value: object, key: symbol): boolean {
  if (typeof value === 'function' || !isUnique(key) || OF_NODE.has(key) || symbolReference(key) !== undefined) return false;
  for (let at = Object.getPrototypeOf(value) as object | null; at !== null && at !== Object.prototype; at = Object.getPrototypeOf(at) as object | null) {
    const owner = ownerOfPrototype(at);
    if (owner !== undefined && isImportedThere(owner)) return true;
  }
  return false;
}

/** The function whose `prototype` this object is. */
function ownerOfPrototype(value: object): AnyFunction | undefined {
  const constructor: unknown = Object.getOwnPropertyDescriptor(value, 'constructor')?.value;
  return typeof constructor === 'function' && constructor.prototype === value ? (constructor as AnyFunction) : undefined;
}

/** Elements of longer arrays are taken for plain ones, unless the whole array is sealed: a descriptor for each would take longer than all the rest. */
const MAX_DESCRIBED = 1024;

function arrayNode(writer: GraphWriter, value: unknown[]): WireNode {
  const { length } = value;
  const values: Value[] = [];
  // A sparse array of a billion holes is written by its entries.
  const sparse = length > 64 && Object.keys(value).length * 4 < length;
  const frozen = Object.isFrozen(value);
  const sealed = Object.isSealed(value);
  const written = new Set<string>();
  const described = !frozen && (length <= MAX_DESCRIBED || sealed);
  let seen = 0;
  for (let at = 0; !sparse && at < length; at++) {
    if (!(at in value && Object.hasOwn(value, at))) values.push(HOLE);
    else if (described && !isPlain(Object.getOwnPropertyDescriptor(value, at) as PropertyDescriptor, sealed)) {
      values.push(HOLE);
      written.add(String(at));
    } else {
      seen++;
      values.push(writer.encode(value[at], at));
    }
  }
  const own = Reflect.ownKeys(value);
  const fixed = !frozen && Object.getOwnPropertyDescriptor(value, 'length')?.writable === false;
  const isRest = (key: PropertyKey): boolean => key !== 'length' && (sparse || !isIndex(key, length) || written.has(key as string));
  const rest = own.length === seen + 1 && !sparse ? [] : own.filter(isRest);
  if (fixed) rest.push('length');
  return [Tag.array, sparse ? [] : values, sparse ? length : null, ...tail(writer, value, Array.prototype, rest)];
}

/** A property as an assignment makes it; sealing is said once for all. */
function isPlain({ writable, enumerable, configurable, get, set }: PropertyDescriptor, sealed: boolean): boolean {
  return get === undefined && set === undefined && writable === true && enumerable === true && (sealed || configurable === true);
}

/** A key that is an element of an array or text of this length: '1', not '01'. */
function isIndex(key: PropertyKey, length: number): boolean {
  return typeof key === 'string' && Number(key) < length && /^(?:0|[1-9]\d*)$/.test(key);
}

function stackOf({ stack }: { stack?: unknown }): string | null {
  return typeof stack === 'string' ? stack : null;
}

const privatePrototypes = new WeakMap<object, boolean>();

/** Node puts a prototype of its own between an error with a code and its class; the code is on the error itself. */
function publicPrototype(error: object): object | null {
  let at = Object.getPrototypeOf(error) as object | null;
  for (; at !== null && builtinReference(at) === undefined; at = Object.getPrototypeOf(at) as object | null) {
    let known = privatePrototypes.get(at);
    if (known === undefined) {
      const { get, value } = Object.getOwnPropertyDescriptor(at, 'constructor') ?? {};
      const maker: unknown = get ?? value;
      privatePrototypes.set(at, (known = typeof maker === 'function' && sourceOf(maker)?.site.module.url.startsWith('node:') === true));
    }
    if (!known) break;
  }
  return at;
}

/** Where Node keeps the state of text coders. */
const OF_CODERS: ReadonlySet<PropertyKey> = new Set(
  [new TextEncoder(), new TextDecoder(), new TextDecoder('utf-16le'), new TextDecoder('latin1')].flatMap(Reflect.ownKeys),
);

/** What has a brand of its own: made by its constructor on the other side, then given its prototype and own properties. */
function branded(writer: GraphWriter, value: object): WireNode | undefined {
  const withTail = (base: object | null, node: WireNode, skip = NO_KEYS, prototype?: object | null): WireNode => {
    const keys = Reflect.ownKeys(value);
    return [...node, ...tail(writer, value, base, keys.length === 0 ? keys : keys.filter((key) => !skip.has(key)), prototype)] as unknown as WireNode;
  };
  if (types.isMap(value)) {
    const entries: Value[] = [];
    let at = 0;
    for (const [key, entry] of Map.prototype.entries.call(value)) {
      const step = ` -> .get(${typeof key === 'object' ? `#${at}` : preview(key)})`;
      at++;
      entries.push(writer.encode(key, ` -> (key #${at - 1})`), writer.encode(entry, step));
    }
    return withTail(Map.prototype, [Tag.map, entries]);
  }
  if (types.isSet(value)) {
    const entries: Value[] = [];
    for (const entry of Set.prototype.values.call(value)) entries.push(writer.encode(entry, ` -> (entry #${entries.length})`));
    return withTail(Set.prototype, [Tag.set, entries]);
  }
  if (types.isDate(value)) return withTail(Date.prototype, [Tag.date, Date.prototype.getTime.call(value)]);
  if (types.isRegExp(value))
    return withTail(RegExp.prototype, [Tag.regexp, value.source, value.flags, writer.encode(value.lastIndex, '.lastIndex')], LAST_INDEX);
  if (value instanceof DOMException) return withTail(DOMException.prototype, [Tag.domException, stackOf(value), value.message, value.name], STACK);
  if (types.isNativeError(value)) return withTail(Error.prototype, [Tag.error, stackOf(value)], STACK, publicPrototype(value));
  if (types.isAnyArrayBuffer(value)) {
    refuseDetached(writer, value);
    const { maxByteLength, resizable, byteLength } = value as ArrayBuffer & { maxByteLength: number; resizable: boolean };
    return withTail(ArrayBuffer.prototype, [Tag.arrayBuffer, new Uint8Array(value as ArrayBuffer, 0, byteLength), resizable ? maxByteLength : null]);
  }
  if (ArrayBuffer.isView(value)) return viewNode(writer, value);
  if (types.isBoxedPrimitive(value)) {
    const primitive = (value as { valueOf(): unknown }).valueOf();
    return withTail(
      Object.getPrototypeOf(Object(primitive)) as object,
      [Tag.boxed, writer.encode(primitive, '')],
      typeof primitive === 'string' ? indexKeys(primitive) : NO_KEYS,
    );
  }
  if (value instanceof URL) return withTail(URL.prototype, [Tag.url, value.href]);
  if (value instanceof URLSearchParams) return withTail(URLSearchParams.prototype, [Tag.searchParams, value.toString()]);
  if (value instanceof TextEncoder) return withTail(TextEncoder.prototype, [Tag.textCoder, null, false, false], OF_CODERS);
  if (value instanceof TextDecoder) return withTail(TextDecoder.prototype, [Tag.textCoder, value.encoding, value.fatal, value.ignoreBOM], OF_CODERS);
  return undefined;
}

function viewNode(writer: GraphWriter, value: ArrayBufferView): WireNode {
  const buffer = value.buffer as ArrayBuffer;
  refuseDetached(writer, buffer, ' -> .buffer');
  const name = types.isDataView(value)
    ? 'DataView'
    : (Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), Symbol.toStringTag)?.get?.call(value) as string);
  const constructor = (globalThis as unknown as Record<string, { prototype: object }>)[name] as { prototype: object };
  const length = types.isDataView(value) ? value.byteLength : (value as Uint8Array).length;
  const rest = Reflect.ownKeys(value).length === length || name === 'DataView' ? [] : Reflect.ownKeys(value).slice(length);
  // A Buffer may lie in a slab of Node's, among bytes of others: its buffer does not travel as such.
  if (Buffer.isBuffer(value)) {
    const node = [Tag.view, 'Buffer', 0, value.byteOffset, length, ...tail(writer, value, Buffer.prototype, rest)] as const;
    writer.shareBytes(buffer, node);
    return node;
  }
  return [
    Tag.view,
    name,
    writer.number(buffer, ' -> .buffer'),
    value.byteOffset,
    tracksLength(value, buffer) ? null : length,
    ...tail(writer, value, constructor.prototype, rest),
  ];
}

function refuseDetached(writer: GraphWriter, buffer: object, step = ''): void {
  if ((buffer as { detached?: boolean }).detached === true)
    writer.refuse({ what: 'an ArrayBuffer that was transferred away', hint: 'capture a copy made before it was transferred' }, step);
}

/** Whether a view grows with its buffer: nothing says so, but it shows when the buffer is resized and back. */
function tracksLength(view: ArrayBufferView, whole: ArrayBuffer): boolean {
  const buffer = whole as ArrayBuffer & { resizable: boolean; maxByteLength: number; resize(size: number): void };
  const { byteLength, byteOffset } = view;
  const unit = (view as Uint8Array).BYTES_PER_ELEMENT ?? 1;
  const size = buffer.byteLength;
  if (!buffer.resizable || size - byteOffset - byteLength >= unit) return false;
  const other = size + unit <= buffer.maxByteLength ? size + unit : size - unit;
  if (other < byteOffset) return false;
  const content = new Uint8Array(buffer).slice(Math.min(size, other));
  buffer.resize(other);
  let tracks: boolean;
  try {
    tracks = view.byteLength !== byteLength && view.byteLength + byteOffset > other - unit;
  } catch {
    // a DataView that ends behind its buffer
    tracks = false;
  }
  buffer.resize(size);
  new Uint8Array(buffer).set(content, size - content.length);
  return tracks;
}

function indexKeys(value: string): ReadonlySet<PropertyKey> {
  return new Set([...Array.from({ length: value.length }, (_, at) => String(at)), 'length']);
}

function intlNode(writer: GraphWriter, value: object): WireNode | undefined {
  for (const name of ['Collator', 'NumberFormat', 'DateTimeFormat', 'PluralRules', 'ListFormat', 'RelativeTimeFormat', 'Segmenter'] as const) {
    const constructor = Intl[name] as unknown as { prototype: { resolvedOptions(): object } };
    if (Object.getPrototypeOf(value) !== constructor.prototype) continue;
    return [Tag.intl, name, writer.encode(constructor.prototype.resolvedOptions.call(value), '')];
  }
  return undefined;
}

function plainNode(writer: GraphWriter, value: object): WireNode {
  if (types.isArgumentsObject(value)) return arrayNode(writer, Array.from(value as ArrayLike<unknown>));
  return [Tag.object, ...tail(writer, value, Object.prototype, Reflect.ownKeys(value))];
}

/** Classes of Node with #private state that is copied through what they show. */
const READ_WHOLE = new Set<object>([DOMException.prototype, URL.prototype, URLSearchParams.prototype, TextEncoder.prototype, TextDecoder.prototype]);

/** Prototypes whose chain hides nothing. */
const openPrototypes = new WeakSet<object>();

/** Instances whose state cannot be seen: #private members, and classes inside Node. */
function refuseHiddenState(writer: GraphWriter, value: object): void {
  const prototype = Object.getPrototypeOf(value) as object | null;
  if (prototype === null || openPrototypes.has(prototype)) return;
  for (let at: object | null = prototype; at !== null && at !== Object.prototype; at = Object.getPrototypeOf(at) as object | null) {
    if (READ_WHOLE.has(at)) continue;
    const owner = ownerOfPrototype(at);
    const verdict = owner === undefined ? undefined : hiddenState(owner);
    if (verdict === 'private') writer.refuse(privateRefusal(owner?.name ?? nameOf(value)));
    if (verdict === 'native') writer.refuse(nativeRefusal(nameOf(value)));
  }
  openPrototypes.add(prototype);
}

/** #private fields as esbuild and tsc write them for older targets, and beside decorators: in a WeakMap. */
const LOWERED_PRIVATE = /\b__privateAdd\(this\b|\b_\w+\.set\(this,/;

const hidden = new WeakMap<object, 'private' | 'native' | 'none'>();

function hiddenState(cls: AnyFunction): 'private' | 'native' | 'none' {
  let verdict = hidden.get(cls);
  if (verdict !== undefined) return verdict;
  const code = Function.prototype.toString.call(cls);
  if (builtinReference(cls) !== undefined || importReference(cls) !== undefined)
    verdict = code.startsWith('class') && parseFunction(code)?.shape.privateMembers === true ? 'private' : 'none';
  else if (isNative(code)) verdict = 'native';
  else {
    const source = sourceOf(cls);
    verdict = source?.site.module.url.startsWith('node:') === true ? 'native' : source?.site.privateMembers === true ? 'private' : 'none';
  }
  if (verdict === 'none' && LOWERED_PRIVATE.test(code)) verdict = 'private';
  hidden.set(cls, verdict);
  return verdict;
}

/**
 * Prototype (when it is not `base`), own properties, and whether the object can be extended:
 * `[prototype, keys, values, extras, integrity]`, shortened from the right where the rest says nothing.
 */
export function tail(
  writer: GraphWriter,
  value: object,
  base: object | null,
  keys: readonly PropertyKey[],
  prototype = Object.getPrototypeOf(value) as object | null,
): unknown[] {
  const names: string[] = [];
  const values: Value[] = [];
  const extras: unknown[] = [];
  const integrity = integrityOf(value);
  const frozen = integrity === Integrity.frozen;
  const sealed = integrity === Integrity.sealed;
  for (const key of keys) {
    const descriptor = Reflect.getOwnPropertyDescriptor(value, key);
    if (descriptor === undefined) continue;
    const step = typeof key === 'symbol' ? ` -> [${String(key)}]` : `.${String(key)}`;
    const plain =
      'value' in descriptor && (frozen || (descriptor.writable === true && (sealed || descriptor.configurable === true))) && descriptor.enumerable === true;
    // Once one property needs its descriptor, those after it follow it, so that the order stays.
    if (plain && extras.length === 0 && typeof key === 'string' && key !== '__proto__') {
      names.push(key);
      values.push(writer.encode(descriptor.value, step));
      continue;
    }
    const flags =
      (descriptor.enumerable === true ? 0 : PropertyFlag.notEnumerable) |
      (descriptor.configurable === true ? 0 : PropertyFlag.notConfigurable) |
      ('value' in descriptor ? (descriptor.writable === true ? 0 : PropertyFlag.notWritable) : PropertyFlag.accessor);
    const wireKey = typeof key === 'symbol' ? writer.key(key, step, isForeignKey(value, key)) : String(key);
    if ('value' in descriptor) extras.push([wireKey, flags, writer.encode(descriptor.value, step)]);
    else extras.push([wireKey, flags, writer.encode(descriptor.get, step), writer.encode(descriptor.set, step)]);
  }
  const parts: unknown[] = [prototype === base ? 0 : writer.encode(prototype, ''), names, values, extras, integrity];
  if (integrity === Integrity.extensible) {
    parts.pop();
    if (extras.length === 0) {
      parts.pop();
      if (names.length === 0) {
        parts.length = 1;
        if (parts[0] === 0) parts.pop();
      }
    }
  }
  return parts;
}

function integrityOf(value: object): number {
  if (Object.isExtensible(value)) return Integrity.extensible;
  return Object.isFrozen(value) ? Integrity.frozen : Object.isSealed(value) ? Integrity.sealed : Integrity.notExtensible;
}

function preview(key: unknown): string {
  return typeof key === 'string' ? JSON.stringify(key.length > 40 ? `${key.slice(0, 40)}...` : key) : String(key);
}
