import { relative } from 'node:path';
import { types } from 'node:util';
import { SparkProxyError } from '../core/errors.ts';
import { createLogger } from '../core/logger.ts';
import type { ImportedModule, SerializedGraph } from './contract.ts';
import { ClosureErrors } from './errors.ts';
import { chainToEntry } from './modules.ts';
import { pathOf } from './references.ts';
import { Op, Tag, packGraph } from './wire.ts';
import type { Template, Value, WireNode } from './wire.ts';
import { functionNode, placeholderNode } from './write-function.ts';
import { objectNode } from './write-object.ts';
import { foreignKeyRefusal, refusalOf } from './refuse.ts';
import type { Refusal } from './refuse.ts';
import type { Site, Thunk } from './runtime.ts';
import type { GraphWriter, Step } from './writer.ts';

const logger = createLogger('closure');

export interface SerializeOptions {
  /** Graphs larger than this many bytes are reported with the capture that makes them so. @defaultValue 1048576 */
  readonly warnBytes?: number;
}

const DEFAULT_WARN_BYTES = 1024 * 1024;

/**
 * A whole graph (values, and every function in it with what it captured) as bytes. Shared objects stay shared, cycles stay cycles.
 * @throws SP_CLOSURE_NOT_SERIALIZABLE with the path of the capture and a hint
 */
export function serializeGraph(value: unknown, options: SerializeOptions = {}): SerializedGraph {
  const writer = new Writer();
  const bytes = writer.write(value);
  if (bytes.length > (options.warnBytes ?? DEFAULT_WARN_BYTES)) {
    const { size, path } = writer.largest();
    logger.warn(ClosureErrors.LARGE_CAPTURE({ bytes: bytes.length, size, path }).message);
  }
  return { bytes, imports: writer.imports() };
}

/** How a node is reached: from which node, and by what step (` -> .db`, ` -> cfg`). */
interface Origin {
  readonly from: number;
  readonly step: Step;
}

type ViewNode = [tag: number, kind: string, buffer: number, offset: number, length: number];

interface View {
  readonly id: number;
  readonly node: ViewNode;
}

/** Numbers objects as they are met, and writes their nodes from a queue: deep data does not deepen the stack. */
class Writer implements GraphWriter {
  readonly #ids = new Map<object | symbol, number>();
  readonly #values: (object | symbol)[] = [];
  readonly #origins: Origin[] = [];
  readonly #nodes: WireNode[] = [];
  readonly #modules = new Map<string, number>();
  readonly #templates: Template[] = [];
  readonly #templateOf = new Map<Site, Map<string, number>>();
  readonly #cells = new Map<object, Cell[]>();
  /** Symbols that were met as values: the functions here know them. */
  readonly #knownSymbols = new Set<symbol>();
  readonly #views = new Map<ArrayBuffer, View[]>();
  readonly #foreignKeys: { readonly symbol: symbol; readonly of: number; readonly step: string }[] = [];
  /** The node being written. */
  #current = -1;

  write(value: unknown): Uint8Array {
    const root = this.encode(value, '');
    this.#drain();
    for (const [buffer, views] of this.#views) this.#placeBytes(buffer, views);
    this.#drain();
    for (const { symbol, of, step } of this.#foreignKeys) {
      if (this.#knownSymbols.has(symbol)) continue;
      this.#current = of;
      this.refuse(foreignKeyRefusal(symbol), step);
    }
    return packGraph({ modules: [...this.#modules.keys()], templates: this.#templates, nodes: this.#nodes, root });
  }

  #drain(): void {
    for (this.#current = this.#nodes.length; this.#current < this.#values.length; this.#current++) {
      const node = this.#readable(this.#values[this.#current] as object | symbol);
      if (node[0] === Tag.import) this.#checkImport(node[1] as string, node[2] as string);
      this.#nodes.push(node);
    }
  }

  shareBytes(buffer: ArrayBuffer, view: readonly unknown[]): void {
    const views = this.#views.get(buffer);
    const one: View = { id: this.#current, node: view as ViewNode };
    if (views === undefined) this.#views.set(buffer, [one]);
    else views.push(one);
  }

  /** Views lie in their buffer where it travels itself; else those that overlap lie in a copy of what they cover. */
  #placeBytes(buffer: ArrayBuffer, views: readonly View[]): void {
    const whole = this.#ids.get(buffer);
    const sorted = [...views].sort((a, b) => a.node[3] - b.node[3]);
    for (let at = 0; at < sorted.length;) {
      const first = sorted[at] as View;
      const start = whole === undefined ? first.node[3] : 0;
      let end = start;
      let next = at;
      for (; next < sorted.length; next++) {
        const [, , , from, length] = (sorted[next] as View).node;
        if (whole === undefined && next > at && from >= end) break;
        end = Math.max(end, from + length);
      }
      this.#current = first.id;
      const id = whole ?? this.number(new Uint8Array(buffer, start, end - start).slice().buffer, ' -> .buffer');
      for (; at < next; at++) {
        const { node } = sorted[at] as View;
        node[2] = id;
        node[3] -= start;
      }
    }
  }

  imports(): ImportedModule[] {
    const imports: ImportedModule[] = [];
    for (const [tag, specifier, parent] of this.#nodes) {
      if (tag === Tag.import) imports.push({ specifier: specifier as string, parent: parent as string });
    }
    return imports;
  }

  /** What runs while a value is read (a trap of a Proxy, a getter in an array) may throw what it likes. */
  #readable(subject: object | symbol): WireNode {
    try {
      return this.#node(subject);
    } catch (error) {
      if (SparkProxyError.is(error)) throw error;
      const reason = error instanceof Error ? error.message : `${typeof error} thrown`;
      return this.refuse({ what: `a value that cannot be read: ${reason}`, hint: 'capture the plain data that the function needs' }, '', error);
    }
  }

  /** A task that imports the program would run it once more. */
  #checkImport(specifier: string, parent: string): void {
    const chain = chainToEntry(specifier, parent);
    if (chain === undefined) return;
    const names = chain.map((url) => relative(process.cwd(), pathOf(url)));
    this.refuse({
      what: `an import of a module that imports the program itself, which would run again in the task: ${names.join(' imports ')}`,
      hint: `move what ${names.at(-2) ?? 'the function'} needs of ${names.at(-1)} to a module of its own, or import it by \`import type\` where it is a type`,
    });
  }

  #node(subject: object | symbol): WireNode {
    if (typeof subject === 'function') return functionNode(this, subject as (...args: never[]) => unknown);
    // First of all: whatever else is asked of a Proxy may run its traps.
    if (types.isProxy(subject)) this.refuse(refusalOf(subject as object) as Refusal);
    if (subject instanceof Cell) return [Tag.cell, this.encode(subject.thunk(subject.slot), '')];
    return placeholderNode(subject) ?? objectNode(this, subject);
  }

  /** A value inside the current node. `step` says how it is reached from there. */
  encode(value: unknown, step: Step): Value {
    switch (typeof value) {
      case 'string':
        return value.isWellFormed() ? value : [Op.utf16, utf16(value)];
      case 'number':
        return Object.is(value, -0) ? [Op.negativeZero] : value;
      case 'boolean':
        return value;
      case 'undefined':
        return [Op.undefined];
      case 'bigint':
        return [Op.bigint, value.toString(16)];
      case 'symbol':
        this.#knownSymbols.add(value);
        return [Op.ref, this.number(value, step)];
      default:
        return value === null ? null : [Op.ref, this.number(value as object, step)];
    }
  }

  key(symbol: symbol, step: string, foreign: boolean): Value {
    if (foreign) this.#foreignKeys.push({ symbol, of: this.#current, step });
    return [Op.ref, this.number(symbol, step)];
  }

  number(value: object | symbol, step: Step): number {
    const known = this.#ids.get(value);
    if (known !== undefined) return known;
    const id = this.#values.push(value) - 1;
    this.#ids.set(value, id);
    this.#origins.push({ from: this.#current, step });
    return id;
  }

  module(url: string): number {
    let index = this.#modules.get(url);
    if (index === undefined) this.#modules.set(url, (index = this.#modules.size));
    return index;
  }

  /** One template a site; another where bindings that were not initialised differ. */
  template(site: Site, variant: string, make: () => Template): number {
    let variants = this.#templateOf.get(site);
    if (variants === undefined) this.#templateOf.set(site, (variants = new Map()));
    let index = variants.get(variant);
    if (index === undefined) variants.set(variant, (index = this.#templates.push(make()) - 1));
    return index;
  }

  cell(binding: object, thunk: Thunk, slot: number, name: string): number {
    let known = this.#cells.get(binding);
    if (known === undefined) this.#cells.set(binding, (known = []));
    let cell = known.length === 0 ? undefined : sameCell(known, thunk, slot);
    if (cell === undefined) known.push((cell = new Cell(thunk, slot)));
    return this.number(cell, ` -> ${name}`);
  }

  /** The object through which the current node was reached first. */
  holder(): object | undefined {
    const from = this.#origins[this.#current]?.from ?? -1;
    return from < 0 ? undefined : (this.#values[from] as object);
  }

  /** Refuses the current node, or a value it holds. */
  refuse(refusal: Refusal, step = '', cause?: unknown): never {
    throw ClosureErrors.NOT_SERIALIZABLE({ what: refusal.what, hint: refusal.hint, path: this.#path(this.#current) + step }, cause);
  }

  #path(id: number): string {
    const steps: string[] = [];
    let at = id;
    for (; at >= 0; at = (this.#origins[at] as Origin).from) {
      const { from, step } = this.#origins[at] as Origin;
      steps.push(from < 0 ? rootName(this.#values[at]) : stepText(step));
    }
    if (steps.length > 24) steps.splice(12, steps.length - 24, ' -> ...');
    return steps.reverse().join('');
  }

  /** The capture that holds most of the bytes: sizes are added up the first paths, children before parents. */
  largest(): { size: number; path: string } {
    const sizes = this.#nodes.map(sizeOf);
    let best = 0;
    for (let id = sizes.length - 1; id > 0; id--) {
      const { from } = this.#origins[id] as Origin;
      if (from >= 0) sizes[from] = (sizes[from] as number) + (sizes[id] as number);
    }
    // The deepest node that still holds more than half.
    for (let id = 1; id < sizes.length; id++) if ((sizes[id] as number) * 2 > (sizes[0] as number)) best = id;
    return { size: sizes[best] ?? 0, path: this.#path(best) };
  }
}

/** A mutated binding, as one closure reaches it. */
class Cell {
  readonly thunk: Thunk;
  readonly slot: number;

  constructor(thunk: Thunk, slot: number) {
    this.thunk = thunk;
    this.slot = slot;
  }
}

/** The cell among `known` that is the binding `thunk` reaches: a mark written through one is read through the other. Nobody runs in between. */
function sameCell(known: readonly Cell[], thunk: Thunk, slot: number): Cell | undefined {
  const mark = {};
  const before = thunk(slot);
  try {
    thunk(slot, true, mark);
  } catch {
    // a const that the program assigns by mistake: it cannot change, so it need not be shared
    return undefined;
  }
  try {
    return known.find((cell) => cell.thunk(cell.slot) === mark);
  } finally {
    thunk(slot, true, before);
  }
}

function stepText(step: Step): string {
  if (typeof step === 'number') return ` -> [${step}]`;
  if (!step.startsWith('.')) return step;
  return /^\.[\w$]+$/.test(step) ? ` -> ${step}` : ` -> [${JSON.stringify(step.slice(1))}]`;
}

function rootName(value: object | symbol | undefined): string {
  if (types.isProxy(value)) return 'a Proxy';
  if (typeof value === 'function') {
    const { name } = value as { name: string };
    return `${/^class\b/.test(Function.prototype.toString.call(value)) ? 'class' : 'function'} ${name === '' ? '(anonymous)' : name}`;
  }
  return typeof value === 'symbol' ? 'symbol' : Array.isArray(value) ? 'array' : 'object';
}

function sizeOf(node: unknown): number {
  if (typeof node === 'string') return node.length;
  if (node instanceof Uint8Array) return node.length;
  if (!Array.isArray(node)) return 4;
  let size = 2;
  for (const part of node) size += sizeOf(part);
  return size;
}

function utf16(text: string): Uint8Array {
  const units = new Uint16Array(text.length);
  for (let at = 0; at < text.length; at++) units[at] = text.charCodeAt(at);
  return new Uint8Array(units.buffer);
}
