import { types } from 'node:util';
import { builtinReference } from './references.ts';

/** Why a value cannot travel. */
export interface Refusal {
  readonly what: string;
  readonly hint: string;
}

const OPEN_THERE = 'open it inside mapPartitions, once per partition';
const OWN_PROTOCOL = "capture the plain data it holds, or give its class a [Symbol.for('spark-proxy.serialize')]() method";

/** Classes of the language and of Node whose instances this package copies itself (or that hold plain state only). */
const COPIED = new Set(
  (
    'Object Function Array Map Set Date RegExp ArrayBuffer DataView Boolean Number String BigInt Symbol URL URLSearchParams TextEncoder TextDecoder Buffer ' +
    'Error AggregateError EvalError RangeError ReferenceError SyntaxError TypeError URIError SuppressedError DOMException AssertionError EventEmitter Console ' +
    'TypedArray Int8Array Uint8Array Uint8ClampedArray Int16Array Uint16Array Float16Array Int32Array Uint32Array Float32Array Float64Array BigInt64Array BigUint64Array'
  ).split(' '),
);

/** Every process has variables of its own: those meant are said. */
export const ENVIRONMENT: Refusal = {
  what: 'process.env',
  hint: "capture what it needs in a const, or a copy: { ...process.env }; process.env inside the function is the worker's",
};

/** Refusals that a value's own kind gives. */
export function refusalOf(value: object): Refusal | undefined {
  if (types.isProxy(value)) return { what: 'a Proxy', hint: 'capture the object behind it' };
  if (types.isPromise(value)) return { what: 'a Promise', hint: 'await it first and capture its result' };
  if (types.isWeakMap(value) || types.isWeakSet(value)) return { what: `a ${nameOf(value)}`, hint: 'its entries cannot be listed; use a Map or Set' };
  if (types.isGeneratorObject(value))
    return { what: 'a generator object', hint: 'capture the generator function and call it there, or an array of its values' };
  if (types.isMapIterator(value) || types.isSetIterator(value))
    return { what: `a ${nameOf(value)}`, hint: 'capture the collection, or an array of its values' };
  if (types.isSharedArrayBuffer(value))
    return { what: 'a SharedArrayBuffer', hint: 'memory cannot be shared with another machine; capture a copy: new Uint8Array(shared).slice()' };
  if (types.isModuleNamespaceObject(value))
    return { what: 'a module namespace object', hint: 'import the module at the top of the file that holds the function' };
  if (types.isExternal(value)) return { what: 'an external value (native handle)', hint: OPEN_THERE };
  return refusalOfPrototype(Object.getPrototypeOf(value) as object | null);
}

/** By prototype; the chain of a class is walked once. */
const verdicts = new WeakMap<object, Refusal | false>();

function refusalOfPrototype(prototype: object | null): Refusal | undefined {
  if (prototype === null || prototype === Object.prototype || prototype === Array.prototype) return undefined;
  let verdict = verdicts.get(prototype);
  if (verdict === undefined) {
    verdict = judge(prototype) ?? false;
    verdicts.set(prototype, verdict);
  }
  return verdict === false ? undefined : verdict;
}

function judge(prototype: object): Refusal | undefined {
  for (let at: object | null = prototype; at !== null; at = Object.getPrototypeOf(at) as object | null) {
    const name = constructorName(at);
    if (name === 'WeakRef' || name === 'FinalizationRegistry') return { what: `a ${name}`, hint: 'capture the object itself' };
    if (tagOf(at).endsWith(' Iterator')) return { what: `an iterator (${tagOf(at)})`, hint: 'capture the collection, or an array of its values' };
    const known = builtinReference(at);
    if (known === undefined || COPIED.has(name)) continue;
    const own = constructorName(prototype) || name;
    return { what: `instance of ${own} (native handle)`, hint: 'path' in known && !('specifier' in known) ? OWN_PROTOCOL : OPEN_THERE };
  }
  return undefined;
}

/** The refusal of a class that Node keeps to itself (Timeout, Immediate, handles). */
export function nativeRefusal(name: string): Refusal {
  return { what: `instance of ${name} (native handle)`, hint: OPEN_THERE };
}

export function privateRefusal(name: string): Refusal {
  return {
    what: `instance of ${name} with #private state`,
    hint: `private fields cannot be read from outside; give ${name} a [Symbol.for('spark-proxy.serialize')]() method, or use plain fields`,
  };
}

/** A symbol that a module keeps to itself is another one where that module is imported. */
export function foreignKeyRefusal(symbol: symbol): Refusal {
  return {
    what: `an object with the key ${String(symbol)}, which the module of its class keeps to itself`,
    hint: 'make the key with Symbol.for, or export the symbol and import it where the object is used',
  };
}

function constructorName(prototype: object): string {
  const constructor: unknown = Object.getOwnPropertyDescriptor(prototype, 'constructor')?.value;
  return typeof constructor === 'function' ? constructor.name : '';
}

function tagOf(prototype: object): string {
  const tag: unknown = Object.getOwnPropertyDescriptor(prototype, Symbol.toStringTag)?.value;
  return typeof tag === 'string' ? tag : '';
}

/** Class name of a value, for messages. */
export function nameOf(value: object): string {
  for (let at = Object.getPrototypeOf(value) as object | null; at !== null; at = Object.getPrototypeOf(at) as object | null) {
    const name = constructorName(at);
    if (name !== '') return name;
  }
  return 'Object';
}
