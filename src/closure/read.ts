import type { Revivers } from './contract.ts';
import { close, compileTemplate, importMeta, importsLater, requireOf } from './compile.ts';
import type { ModuleMap } from './modules.ts';
import { ClosureErrors } from './errors.ts';
import { bigintOf, bytes, callable, index, list, malformed, strings, symbol, text, utf16 } from './wire-checks.ts';
import { Integrity, Op, PropertyFlag, REPLACED, Tag } from './wire.ts';
import type { Graph, WireNode } from './wire.ts';

const State = { making: 1, made: 2, complete: 3 } as const;

type Made = unknown;

/** Where the tail of a node begins, and the prototype its absence stands for. */
const TAILS: Partial<Record<number, [at: number, base: () => object | null]>> = {
  [Tag.object]: [1, () => Object.prototype],
  [Tag.array]: [3, () => Array.prototype],
  [Tag.map]: [2, () => Map.prototype],
  [Tag.set]: [2, () => Set.prototype],
  [Tag.date]: [2, () => Date.prototype],
  [Tag.regexp]: [4, () => RegExp.prototype],
  [Tag.error]: [2, () => Error.prototype],
  [Tag.domException]: [4, () => DOMException.prototype],
  [Tag.arrayBuffer]: [3, () => ArrayBuffer.prototype],
  [Tag.view]: [5, () => null],
  [Tag.boxed]: [2, () => null],
  [Tag.url]: [2, () => URL.prototype],
  [Tag.searchParams]: [2, () => URLSearchParams.prototype],
  [Tag.textCoder]: [4, () => null],
  [Tag.bound]: [4, () => null],
  [Tag.function]: [9, () => null],
};

/**
 * Rebuilds a graph in two steps: every object is made (classes after what they extend), then filled, so that cycles close.
 * What a node says is checked as it is read; a wrong shape is SP_CLOSURE_FORMAT.
 */
export class Reader {
  readonly #graph: Graph;
  readonly #modules: ReadonlyMap<string, Record<string, unknown>>;
  readonly #revivers: Revivers;
  readonly #here: ModuleMap;
  readonly #made: Made[];
  readonly #state: Uint8Array;
  /** Setters of captured bindings, by node. */
  readonly #binders = new Map<number, (values: readonly unknown[]) => void>();

  constructor(graph: Graph, modules: ReadonlyMap<string, Record<string, unknown>>, revivers: Revivers, here: ModuleMap) {
    this.#graph = graph;
    this.#modules = modules;
    this.#revivers = revivers;
    this.#here = here;
    this.#made = new Array(graph.nodes.length);
    this.#state = new Uint8Array(graph.nodes.length);
  }

  read(): unknown {
    for (let id = 0; id < this.#graph.nodes.length; id++) this.#make(id);
    for (let id = 0; id < this.#graph.nodes.length; id++) this.#complete(id);
    return this.#value(this.#graph.root);
  }

  #value(value: unknown): unknown {
    if (!Array.isArray(value)) return value;
    const [op, arg] = value as [unknown, unknown];
    switch (op) {
      case Op.undefined:
        return undefined;
      case Op.ref:
        return this.#make(arg);
      case Op.bigint:
        return bigintOf(text(arg));
      case Op.negativeZero:
        return -0;
      case Op.utf16:
        return utf16(bytes(arg));
      default:
        throw malformed('a value');
    }
  }

  #make(at: unknown): Made {
    const id = at as number;
    const node = this.#graph.nodes[id];
    if (!Number.isInteger(at) || node === undefined) throw malformed('a reference');
    const state = this.#state[id] as number;
    if (state >= State.made) return this.#made[id];
    if (state === State.making) throw ClosureErrors.CYCLE({ what: whatIs(node) });
    this.#state[id] = State.making;
    const made = this.#create(node, id);
    this.#made[id] = made;
    this.#state[id] = State.made;
    return made;
  }

  #create(node: WireNode, id: number): Made {
    const [tag, a, b, c] = node;
    switch (tag) {
      case Tag.object:
        return Object.create(this.#prototype(node) ?? null) as object;
      case Tag.symbol:
        return symbolOf(a, b);
      case Tag.global:
        return walk(globalThis, strings(a), 'globalThis');
      case Tag.import:
        return walk(this.#modules.get(`${text(a)}\0${text(b)}`), strings(c), text(a));
      case Tag.function:
        return this.#function(node, id);
      case Tag.prototypeOf:
        return (callable(this.#make(a)) as { prototype: unknown }).prototype;
      case Tag.method:
        return this.#method(node);
      case Tag.bound: {
        const target = callable(this.#value(a));
        return Function.prototype.bind.call(target, this.#value(b), ...list(c).map((value) => this.#value(value))) as unknown;
      }
      case Tag.revived:
        return this.#revive(text(a), b);
      case Tag.cell:
        return { v: undefined };
      case Tag.require:
        return requireOf(this.#here(text(a)));
      case Tag.intl: {
        const options = this.#deep(b, new Set()) as { locale?: string };
        const constructor = walk(Intl, [text(a)], 'Intl') as new (locale: string | undefined, options: object) => object;
        return new constructor(options.locale, options);
      }
      default: {
        const made = this.#branded(node);
        const wanted = this.#prototype(node);
        if (wanted !== undefined && Object.getPrototypeOf(made) !== wanted) Object.setPrototypeOf(made, wanted);
        return made;
      }
    }
  }

  #branded(node: WireNode): object {
    const [tag, a, b, c, d] = node;
    switch (tag) {
      case Tag.array:
        return [];
      case Tag.map:
        return new Map();
      case Tag.set:
        return new Set();
      case Tag.date:
        return new Date(typeof a === 'number' ? a : Number.NaN);
      case Tag.regexp:
        return new RegExp(text(a), text(b));
      case Tag.error:
      case Tag.domException: {
        const made = tag === Tag.error ? new Error() : new DOMException(text(b), text(c));
        if (typeof a === 'string') Object.defineProperty(made, 'stack', { value: a, writable: true, configurable: true });
        else delete made.stack;
        return made;
      }
      case Tag.arrayBuffer: {
        const content = bytes(a);
        const made =
          typeof b === 'number' ? new ArrayBuffer(content.length, { maxByteLength: Math.max(index(b), content.length) }) : new ArrayBuffer(content.length);
        new Uint8Array(made).set(content);
        return made;
      }
      case Tag.view: {
        const buffer = this.#make(b);
        const constructor = VIEWS.get(text(a));
        if (!(buffer instanceof ArrayBuffer)) throw malformed('a view');
        if (a === 'Buffer') return Buffer.from(buffer, index(c), index(d));
        if (constructor === undefined) throw malformed('a view');
        return d === null ? new constructor(buffer, index(c)) : new constructor(buffer, index(c), index(d));
      }
      case Tag.url:
        return new URL(text(a));
      case Tag.searchParams:
        return new URLSearchParams(text(a));
      case Tag.textCoder:
        return a === null ? new TextEncoder() : new TextDecoder(text(a), { fatal: b === true, ignoreBOM: c === true });
      case Tag.boxed:
        return Object(this.#value(a)) as object;
      default:
        throw malformed(`node tag ${String(tag)}`);
    }
  }

  /** undefined: as it is made. */
  #prototype(node: WireNode): object | null | undefined {
    const place = TAILS[node[0]];
    if (place === undefined) return undefined;
    const wire = node[place[0]];
    if (wire === undefined || wire === 0) return place[1]() ?? undefined;
    const prototype = this.#value(wire);
    if (prototype !== null && typeof prototype !== 'object' && typeof prototype !== 'function') throw malformed('a prototype');
    return prototype as object | null;
  }

  #function(node: WireNode, id: number): unknown {
    const [, templateAt, values, name, self, args, home, prototype, length] = node;
    const template = this.#graph.templates[index(templateAt)];
    if (template === undefined) throw malformed('a function');
    const url = this.#graph.modules[template.module] as string;
    const label = typeof name === 'string' ? name : '';
    // Traces name the file of the program; what is found relative to it is found where it is here.
    const factory = compileTemplate(template, importsLater(template) ? this.#here(url) : url, label);
    const early = list(values)
      .slice(0, template.early)
      .map((value) => this.#ready(value));
    const receiver = this.#value(list(self)[0] ?? [Op.undefined]);
    const given = {
      early,
      meta: template.meta ? importMeta(this.#here(url)) : undefined,
      home: template.home ? this.#value(home) : undefined,
      args: this.#arguments(args),
    };
    const [made, bind] = close(factory, receiver, given, url);
    this.#binders.set(id, bind);
    const fn = template.kind === 1 ? methodOf(made) : made;
    if (typeof fn !== 'function') throw malformed('a function');
    if ((fn as { name: unknown }).name !== label) Object.defineProperty(fn, 'name', { value: label, configurable: true });
    if (typeof length === 'number' && (fn as { length: unknown }).length !== length) Object.defineProperty(fn, 'length', { value: length, configurable: true });
    // At once: a class that extends it takes it from there.
    if (Array.isArray(prototype) && prototype[0] === REPLACED) (fn as { prototype: unknown }).prototype = this.#value(prototype[1]);
    return fn;
  }

  /** A value that a class needs while it is defined; a cell must hold it by then. */
  #ready(wire: unknown): unknown {
    const value = this.#value(wire);
    if (Array.isArray(wire) && wire[0] === Op.ref && this.#graph.nodes[wire[1] as number]?.[0] === Tag.cell) this.#complete(wire[1] as number);
    return value;
  }

  #arguments(wire: unknown): unknown[] {
    const argument = list(wire)[0];
    return argument === undefined ? [] : (this.#deep(argument, new Set()) as unknown[]);
  }

  #method(node: WireNode): unknown {
    const [, owner, isStatic, key, kind] = node;
    const cls = callable(this.#make(owner)) as unknown as { prototype: object };
    const descriptor = Object.getOwnPropertyDescriptor(isStatic === 1 ? cls : cls.prototype, Array.isArray(key) ? symbol(this.#value(key)) : text(key));
    const fn: unknown = kind === 1 ? descriptor?.get : kind === 2 ? descriptor?.set : descriptor?.value;
    if (typeof fn !== 'function') throw malformed('a method');
    return fn;
  }

  #revive(name: string, data: unknown): unknown {
    const reviver = Object.hasOwn(this.#revivers, name) ? this.#revivers[name] : undefined;
    if (reviver === undefined) throw ClosureErrors.REVIVER({ name });
    const value = this.#deep(data, new Set());
    try {
      return reviver(value);
    } catch (error) {
      throw ClosureErrors.REVIVE({ name, reason: error instanceof Error ? error.message : String(error) }, error);
    }
  }

  /** A value that is complete at once, with all it refers to. */
  #deep(value: unknown, seen: Set<number>): unknown {
    const result = this.#value(value);
    if (Array.isArray(value) && value[0] === Op.ref) this.#deepNode(value[1] as number, seen);
    return result;
  }

  #deepNode(id: number, seen: Set<number>): void {
    if (seen.has(id)) return;
    seen.add(id);
    this.#make(id);
    this.#complete(id);
    const node = this.#graph.nodes[id] as WireNode;
    const [tag] = node;
    if (tag === Tag.revived || tag === Tag.intl) return;
    if (tag === Tag.prototypeOf || tag === Tag.method) this.#deepNode(node[1] as number, seen);
    for (const part of references(node)) this.#deepNode(part, seen);
  }

  #complete(id: number): void {
    if (this.#state[id] === State.complete) return;
    this.#state[id] = State.complete;
    const node = this.#graph.nodes[id] as WireNode;
    const made = this.#made[id] as object;
    const [tag, a, b, c] = node;
    if (tag === Tag.cell) (made as { v: unknown }).v = this.#value(a);
    else if (tag === Tag.array) this.#elements(made as unknown[], list(a), b);
    else if (tag === Tag.map) {
      const entries = list(a);
      for (let at = 0; at + 1 < entries.length; at += 2) Map.prototype.set.call(made, this.#value(entries[at]), this.#value(entries[at + 1]));
    } else if (tag === Tag.set) for (const entry of list(a)) Set.prototype.add.call(made, this.#value(entry));
    else if (tag === Tag.regexp) (made as RegExp).lastIndex = this.#value(c) as number;
    else if (tag === Tag.function) {
      this.#binders.get(id)?.(list(b).map((value) => this.#value(value)));
      const tail: unknown = node[7];
      if (Array.isArray(tail) && tail[0] !== REPLACED) {
        const { prototype } = made as { prototype: object };
        if (tail[0] !== undefined && tail[0] !== 0) Object.setPrototypeOf(prototype, this.#value(tail[0]) as object | null);
        this.#tail(prototype, tail, 0);
      }
    }
    const place = TAILS[tag];
    if (place === undefined) return;
    if ((tag === Tag.function || tag === Tag.bound) && node[place[0]] !== undefined && node[place[0]] !== 0)
      Object.setPrototypeOf(made, this.#value(node[place[0]]) as object);
    this.#tail(made, node, place[0]);
  }

  #elements(made: unknown[], values: readonly unknown[], length: unknown): void {
    for (const value of values) {
      if (Array.isArray(value) && value[0] === Op.hole) made.length++;
      else made.push(this.#value(value));
    }
    if (typeof length === 'number') made.length = index(length);
  }

  #tail(made: object, node: readonly unknown[], at: number): void {
    const [, names, values, extras, integrity] = node.slice(at, at + 5);
    if (names !== undefined) {
      const keys = list(names);
      const wire = list(values);
      for (let i = 0; i < keys.length; i++) put(made, text(keys[i]), this.#value(wire[i]));
    }
    for (const extra of extras === undefined ? [] : list(extras)) this.#extra(made, list(extra));
    if (integrity === Integrity.frozen) Object.freeze(made);
    else if (integrity === Integrity.sealed) Object.seal(made);
    else if (integrity === Integrity.notExtensible) Object.preventExtensions(made);
  }

  #extra(made: object, [wireKey, bits, first, second]: readonly unknown[]): void {
    const key = Array.isArray(wireKey) ? symbol(this.#value(wireKey)) : text(wireKey);
    const flags = index(bits);
    const shared = { enumerable: (flags & PropertyFlag.notEnumerable) === 0, configurable: (flags & PropertyFlag.notConfigurable) === 0 };
    if ((flags & PropertyFlag.accessor) !== 0) {
      Object.defineProperty(made, key, { ...shared, get: this.#value(first) as () => unknown, set: this.#value(second) as (value: unknown) => void });
    } else Object.defineProperty(made, key, { ...shared, writable: (flags & PropertyFlag.notWritable) === 0, value: this.#value(first) });
  }
}

const VIEWS = new Map<string, new (buffer: ArrayBuffer, offset: number, length?: number) => object>();
for (const name of [
  'DataView',
  'Int8Array',
  'Uint8Array',
  'Uint8ClampedArray',
  'Int16Array',
  'Uint16Array',
  'Float16Array',
  'Int32Array',
  'Uint32Array',
  'Float32Array',
  'Float64Array',
  'BigInt64Array',
  'BigUint64Array',
]) {
  const constructor = (globalThis as Record<string, unknown>)[name];
  if (typeof constructor === 'function') VIEWS.set(name, constructor as never);
}

/** Assignment where it means definition: no setter or read-only property of a prototype may interfere. */
function put(made: object, key: string, value: unknown): void {
  if (key in made || key === '__proto__') Object.defineProperty(made, key, { value, writable: true, enumerable: true, configurable: true });
  else (made as Record<string, unknown>)[key] = value;
}

function methodOf(holder: unknown): unknown {
  const key = Reflect.ownKeys(holder as object)[0];
  const descriptor = key === undefined ? undefined : Object.getOwnPropertyDescriptor(holder, key);
  return descriptor?.value ?? descriptor?.get ?? descriptor?.set;
}

function symbolOf(kind: unknown, key: unknown): symbol {
  if (kind === 0) return Symbol.for(text(key));
  if (kind === 2) return Symbol(key === null ? undefined : text(key));
  const known: unknown = (Symbol as unknown as Record<string, unknown>)[text(key)];
  if (typeof known !== 'symbol') throw malformed('a symbol');
  return known;
}

function walk(from: unknown, path: readonly string[], specifier: string): unknown {
  let at = from;
  for (const key of path) {
    if ((typeof at !== 'object' && typeof at !== 'function') || at === null || !(key in at)) throw ClosureErrors.EXPORT({ specifier, name: path.join('.') });
    at = (at as Record<string, unknown>)[key];
  }
  return at;
}

/** Node numbers that a node refers to, anywhere in it. */
function* references(part: unknown): Generator<number> {
  if (!Array.isArray(part)) return;
  if (part.length === 2 && part[0] === Op.ref && typeof part[1] === 'number') yield part[1];
  else for (const inner of part) yield* references(inner);
}

function whatIs(node: WireNode): string {
  return node[0] === Tag.revived ? `the data of reviver ${String(node[1])}` : node[0] === Tag.function ? `function or class ${String(node[3])}` : 'an object';
}
