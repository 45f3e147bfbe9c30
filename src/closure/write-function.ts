import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { types } from 'node:util';
import { SparkProxyError } from '../core/errors.ts';
import { recordedResolutions } from '../loader/resolutions.ts';
import { SERIALIZE } from './contract.ts';
import type { ByReviver } from './contract.ts';
import { inspectBound } from './inspect.ts';
import type { InspectedBound } from './inspect.ts';
import { builtinReference, importReference, isEntry, isJson, isReplacedGlobal, isStandardGlobal, pathOf, specifierUrl } from './references.ts';
import { ATTACH, COMMONJS, runtime } from './runtime.ts';
import { methodSource } from './methods.ts';
import type { CapturedName, Mark, Site } from './runtime.ts';
import { HERITAGE, isNative, sourceOf } from './source.ts';
import type { FunctionSource } from './source.ts';
import { Op, REPLACED, Tag } from './wire.ts';
import type { Template, Value, WireNode } from './wire.ts';
import { referenceNode, revivedNode, tail } from './write-object.ts';
import type { GraphWriter } from './writer.ts';

type AnyFunction = (...args: never[]) => unknown;

const require = createRequire(import.meta.url);

const FUNCTION_PROTOTYPES = new Set<object | null>(
  [function () {}, async function () {}, function* () {}, async function* () {}].map((fn) => Object.getPrototypeOf(fn) as object),
);

/** Node of a function or class. */
export function functionNode(writer: GraphWriter, fn: AnyFunction): WireNode {
  if (types.isProxy(fn)) writer.refuse({ what: `a Proxy of a function`, hint: 'capture the function behind it' });
  const builtin = builtinReference(fn);
  if (builtin !== undefined) return referenceNode(builtin);
  if (Object.hasOwn(fn, SERIALIZE) || typeof (fn as Partial<ByReviver>)[SERIALIZE] === 'function') return revivedNode(writer, fn as unknown as ByReviver);
  if (isRequire(fn)) return [Tag.require, requireBase(fn)];
  const exported = exportedReference(fn);
  if (exported !== undefined) return exported;
  const mark = runtime.markOf(fn);
  if (mark?.owner !== undefined) return methodNode(writer, fn, mark);
  // Functions that a module of the program made travel by value, with what they were made with; of a class there must be one.
  if (mark === undefined || mark.site.module.format === 'commonjs' || (mark.site.kind === 'class' && !isEntry(mark.site.module.url))) {
    const module = importReference(fn);
    if (module !== undefined) return referenceNode(module);
  }
  const source = sourceOf(fn);
  if (source === undefined) return nativeNode(writer, fn);
  if (source.site.module.url.startsWith('node:'))
    writer.refuse({
      what: `${describe(fn)}, which Node made and no module exports`,
      hint: 'make it inside the function that uses it, or export it from a module of its own',
    });
  return sourceNode(writer, fn, source);
}

/** Functions and classes that a module other than the entry exports: instanceof keeps working on the other side. */
function exportedReference(fn: AnyFunction): WireNode | undefined {
  const mark = runtime.markOf(fn);
  if (mark?.site.exported === undefined || mark.owner !== undefined) return undefined;
  const { url } = mark.site.module;
  return isEntry(url) ? undefined : [Tag.import, url, '', [mark.site.exported]];
}

function describe(fn: AnyFunction): string {
  return fn.name === '' ? 'an anonymous function' : `function ${fn.name}`;
}

/** Bound functions are made again; other native functions have no source. */
function nativeNode(writer: GraphWriter, fn: AnyFunction): WireNode {
  if (!isNative(Function.prototype.toString.call(fn))) {
    writer.refuse({ what: `${describe(fn)}, whose source cannot be read on its own`, hint: 'load the program with --import spark-proxy/register' });
  }
  const bound = inspectBound(fn);
  if (bound === undefined) writer.refuse({ what: `native ${describe(fn)}`, hint: 'it has no source to ship; look it up inside the function' });
  return [
    Tag.bound,
    writer.encode(bound.target, ' -> (bound function)'),
    writer.encode(bound.boundThis, ' -> (bound this)'),
    bound.boundArgs.map((value, at) => writer.encode(value, ` -> (bound argument ${at})`)),
    ...functionTail(writer, fn, ownKeysOfBound(fn, bound)),
  ];
}

/** `name` and `length` among them where they are not what `bind` makes them. */
function ownKeysOfBound(fn: AnyFunction, { target, boundArgs }: InspectedBound): PropertyKey[] {
  const { name, length } = target as AnyFunction;
  const made = { name: `bound ${name}`, length: Math.max(0, length - boundArgs.length) };
  return Reflect.ownKeys(fn).filter((key) => !((key === 'name' && fn.name === made.name) || (key === 'length' && fn.length === made.length)));
}

/** What is woven around a function has it as its prototype; advice stays where it was woven. */
function isOrWraps(value: unknown, fn: AnyFunction): boolean {
  for (let at = value; typeof at === 'function'; at = Object.getPrototypeOf(at)) if (at === fn) return true;
  return false;
}

/** A method of a class travels with its class, so that `super` and #private names hold; by itself where another stands in its place. */
function methodNode(writer: GraphWriter, fn: AnyFunction, mark: Mark): WireNode {
  const owner = mark.owner as AnyFunction;
  for (const [isStatic, holder] of [
    [0, owner.prototype as object],
    [1, owner],
  ] as const) {
    for (const key of Reflect.ownKeys(holder)) {
      const descriptor = Reflect.getOwnPropertyDescriptor(holder, key) as PropertyDescriptor;
      const kind = isOrWraps(descriptor.value, fn) ? 0 : isOrWraps(descriptor.get, fn) ? 1 : isOrWraps(descriptor.set, fn) ? 2 : -1;
      if (kind < 0 || !isNamed(fn, key)) continue;
      return [Tag.method, writer.number(owner, ` -> class ${owner.name}`), isStatic, typeof key === 'symbol' ? writer.encode(key, '') : key, kind];
    }
  }
  const source = methodSource(fn, mark);
  if (source !== undefined) return sourceNode(writer, fn, source);
  return writer.refuse({
    what: `method ${fn.name} of class ${owner.name}, which is no longer on the class and cannot be taken out of it`,
    hint: 'capture the object and call the method on it',
  });
}

function sourceNode(writer: GraphWriter, fn: AnyFunction, source: FunctionSource): WireNode {
  const { site } = source;
  const isClass = site.kind === 'class';
  if (!isClass) refuseLexical(writer, fn, site);
  if (site.usesOuterPrivate)
    writer.refuse({ what: `class ${fn.name}, which uses #private names of the class around it`, hint: 'declare it at the top of a module of its own' });
  if (site.usesEval)
    writer.refuse({
      what: `${describe(fn)}, which calls eval`,
      hint: 'what the code names cannot be seen; use new Function with parameters, or (0, eval)(code) for what needs no variable of yours',
    });
  if (site.privateStatics === true)
    writer.refuse({
      what: `class ${fn.name} with static #private state`,
      hint: 'private fields cannot be read from outside; export the class from a module of its own, so that it travels by reference',
    });
  const deleted = deletedMember(fn, site);
  if (deleted !== undefined)
    writer.refuse({ what: `class ${fn.name}, whose member ${deleted} was deleted`, hint: 'its source would make it again; declare the class without it' });
  if ((source.unreadable?.length ?? 0) > 0)
    writer.refuse({ what: `class ${fn.name}, whose computed member names cannot be read`, hint: 'load the program with --import spark-proxy/register' });
  if (site.unsteadyKey !== undefined)
    writer.refuse({ what: `class ${fn.name}, whose member [${site.unsteadyKey}] may get another name there`, hint: 'make the name a const before the class' });
  const { names, early, values, uninitialised } = environment(writer, source);
  if (site.heritage !== undefined) {
    names.unshift(HERITAGE);
    values.unshift(writer.encode(heritageOf(fn), ' -> (extends)'));
  }
  const home = site.usesSuper && !isClass ? homePrototype(writer, fn) : undefined;
  const template = writer.template(site, `${uninitialised.join()} ${names.length}`, (): Template => ({
    module: writer.module(site.module.url),
    line: source.text.line,
    column: source.text.column,
    code: source.text.code,
    kind: isClass ? 2 : site.kind === 'expression' ? 0 : 1,
    strict: site.module.strict || site.strict,
    names,
    early: site.heritage === undefined ? early : early + 1,
    uninitialised,
    meta: site.metas.length > 0,
    home: home !== undefined,
    args: site.argumentsSlot !== undefined,
  }));
  const self = site.thisSlot === undefined ? [] : [writer.encode(lexical(writer, source, site.thisSlot, 'this'), ' -> this')];
  const args = site.argumentsSlot === undefined ? [] : [writer.encode(Array.from(source.read(site.argumentsSlot) as ArrayLike<unknown>), ' -> arguments')];
  const prototype = prototypeTail(writer, fn, source);
  return [
    Tag.function,
    template,
    values,
    fn.name,
    self,
    args,
    home ?? null,
    prototype,
    hasOwnLength(fn) ? null : fn.length,
    ...functionTail(writer, fn, ownKeysOf(fn, source), isClass),
  ];
}

/** A member that the source of a class makes and the class no longer has. */
function deletedMember(cls: AnyFunction, { members }: Site): string | undefined {
  const { prototype } = cls as { prototype?: object };
  if (members === undefined || prototype === undefined) return undefined;
  return members.prototype.find((key) => !Object.hasOwn(prototype, key)) ?? members.statics.find((key) => !Object.hasOwn(cls, key));
}

/** What a class extends: `null` is told by its prototype only. */
function heritageOf(cls: AnyFunction): unknown {
  const parent: unknown = Object.getPrototypeOf(cls);
  return parent === Function.prototype && Object.getPrototypeOf(cls.prototype) === null ? null : parent;
}

/** What a function takes from the class or constructor around it and cannot take along. */
function refuseLexical(writer: GraphWriter, fn: AnyFunction, site: Site): void {
  const refuse = (what: string, hint: string): never => writer.refuse({ what: `${describe(fn)}, which uses ${what}`, hint });
  if (site.usesPrivate)
    refuse(
      '#private names of the class around it',
      "capture what it needs in a const first, or give the class a [Symbol.for('spark-proxy.serialize')]() method",
    );
  if (!site.arrow) return;
  if (site.usesSuper) refuse('super of the method around it', 'call the super method first and capture its result, or ship the object and call its method');
  if (site.usesNewTarget) refuse('new.target of the constructor around it', 'read it into a const first');
  if (site.usesThis && site.thisSlot === undefined)
    refuse('this of the function around it', 'load the program with --import spark-proxy/register, or capture this in a const first');
  if (site.usesArguments && site.argumentsSlot === undefined)
    refuse('arguments of the function around it', 'load the program with --import spark-proxy/register, or use rest parameters');
}

interface Environment {
  readonly names: string[];
  /** How many of the names, the first ones, a class needs while it is defined. */
  readonly early: number;
  readonly values: unknown[];
  readonly uninitialised: string[];
}

function environment(writer: GraphWriter, source: FunctionSource): Environment {
  const { site } = source;
  const names: string[] = [];
  const values: unknown[] = [];
  const uninitialised: string[] = [];
  const sorted = site.captured.some(({ early }) => early) ? [...site.captured].sort((a, b) => Number(b.early) - Number(a.early)) : site.captured;
  let early = 0;
  for (const captured of sorted) {
    const value = capturedValue(writer, source, captured);
    if (value === undefined) {
      uninitialised.push(captured.name);
      continue;
    }
    if (captured.early) early++;
    names.push(captured.name);
    values.push(value);
  }
  for (const name of site.globals) {
    const value = globalValue(writer, site, name);
    if (value === undefined) continue;
    names.push(name);
    values.push(value);
  }
  return { names, early, values, uninitialised };
}

/** Encoded value of a captured binding: an import by name where the module can be imported again, anything else by value. */
function capturedValue(writer: GraphWriter, source: FunctionSource, captured: CapturedName): unknown {
  const { imported, name } = captured;
  const { url } = source.site.module;
  if (imported !== undefined && !isEntry(specifierUrl(imported.specifier, url)) && !isOfThisSide(source, captured)) {
    return [Op.ref, writer.number(importPlaceholder(imported.specifier, url, imported.name), ` -> ${name}`)];
  }
  let value: unknown;
  try {
    value = source.read(captured.slot);
  } catch (error) {
    if (error instanceof ReferenceError) return undefined;
    throw error;
  }
  if (captured.binding !== undefined) return [Op.ref, writer.cell(captured.binding, source.read, captured.slot, name)];
  if (isRequire(value)) return requireValue(writer, requireBase(value, url));
  return writer.encode(value, ` -> ${name}`);
}

/** Revivers that every task thread has; a program cannot register its own there. */
const ENGINE: ReadonlySet<string> = new Set(['accumulator', 'broadcast']);

/** True for an import that must not be made again by importing its module elsewhere: JSON, a context, an RDD, or what a context has made. */
function isOfThisSide({ read, site }: FunctionSource, { slot, imported }: CapturedName): boolean {
  try {
    if (imported?.name === 'default' && isJson(recordedResolutions(site.module.url).get(imported.specifier) ?? imported.specifier))
      return read(slot) !== undefined;
    const value = read(slot) as Partial<ByReviver> | null;
    return typeof value === 'object' && typeof value?.[SERIALIZE] === 'function' && ENGINE.has(value[SERIALIZE]().reviver);
  } catch (error) {
    return SparkProxyError.is(error);
  }
}

/** Names no module binds: those of the language stay as they are; what the program put on globalThis is captured. */
function globalValue(writer: GraphWriter, site: Site, name: string): unknown {
  // A function that could not be marked may hold marks of others, which mean nothing there.
  if ((isStandardGlobal(name) && !isReplacedGlobal(name)) || name === ATTACH) return undefined;
  const { format, url } = site.module;
  if (format === 'commonjs' && COMMONJS.includes(name)) {
    const path = pathOf(url);
    if (name === 'require') return requireValue(writer, url);
    if (name === '__filename') return path;
    if (name === '__dirname') return path.replace(/[\\/][^\\/]*$/, '');
    const module = require.cache[path];
    if (name === 'module')
      return writer.encode({ exports: module?.exports as unknown, filename: path, id: path, loaded: true, children: [], paths: [] }, ' -> module');
    return writer.encode(module?.exports, ' -> exports');
  }
  if (!Object.hasOwn(globalThis, name)) return undefined;
  return writer.encode((globalThis as Record<string, unknown>)[name], ` -> ${name} (global)`);
}

const placeholders = new Map<string, ImportPlaceholder>();

/** Stands in the graph for an import binding; equal imports are one node. */
class ImportPlaceholder {
  readonly node: WireNode;

  constructor(node: WireNode) {
    this.node = node;
  }

  [SERIALIZE](): never {
    throw new Error('unreachable: written by its node');
  }
}

function importPlaceholder(specifier: string, parent: string, name: string): ImportPlaceholder {
  const key = `${specifier}\0${parent}\0${name}`;
  let known = placeholders.get(key);
  if (known === undefined) placeholders.set(key, (known = new ImportPlaceholder([Tag.import, specifier, parent, name === '*' ? [] : [name]])));
  return known;
}

/** True for what Node gives CommonJS modules as `require`, and for what `createRequire` returns. */
function isRequire(value: unknown): value is NodeJS.Require {
  return typeof value === 'function' && 'cache' in value && value.cache === require.cache && 'resolve' in value;
}

/** Where a `require` looks from: the module `near` when it is of its folder, as its imports may be known by its name elsewhere. */
function requireBase({ resolve }: NodeJS.Require, near = ''): string {
  const [folder] = resolve.paths('./file') as [string];
  return dirname(pathOf(near)) === folder ? near : pathToFileURL(join(folder, '/')).href;
}

function requireValue(writer: GraphWriter, url: string): Value {
  const key = `require\0${url}`;
  let known = placeholders.get(key);
  if (known === undefined) placeholders.set(key, (known = new ImportPlaceholder([Tag.require, url])));
  return [Op.ref, writer.number(known, ' -> require')];
}

/** Node of an import binding, when `value` stands for one. */
export function placeholderNode(value: unknown): WireNode | undefined {
  return value instanceof ImportPlaceholder ? value.node : undefined;
}

function lexical(writer: GraphWriter, source: FunctionSource, slot: number, name: string): unknown {
  try {
    return source.read(slot);
  } catch (error) {
    return writer.refuse({ what: `a function created before super() returned, which uses ${name}`, hint: 'create it after super()' }, '', error);
  }
}

/** `super` of a method of an object literal: the prototype of the literal; where the hook was not on, of the object it was found on. */
function homePrototype(writer: GraphWriter, fn: AnyFunction): Value {
  const holder = runtime.markOf(fn)?.home ?? writer.holder();
  if (holder === undefined || typeof holder === 'function')
    writer.refuse({ what: 'a method that uses super, away from its object', hint: 'capture the object and call the method on it' });
  return writer.encode(Object.getPrototypeOf(holder), ' -> (prototype)');
}

function ownKeysOf(fn: AnyFunction, source: FunctionSource): PropertyKey[] {
  const own = Reflect.ownKeys(fn);
  if (own.length === 2 && own[0] === 'length' && own[1] === 'name' && !hasOwnLength(fn)) return [];
  const written = source.site.kind === 'class' ? source.site.members?.statics : undefined;
  return own.filter((key) => {
    if ((key === 'length' && !hasOwnLength(fn)) || key === 'prototype' || key === 'arguments' || key === 'caller') return false;
    if (key === 'name') return typeof Object.getOwnPropertyDescriptor(fn, 'name')?.value !== 'string' && written?.includes('name') !== true;
    return source.site.kind !== 'class' || !isWritten(fn, fn, key);
  });
}

/** A `length` that is no longer the number of parameters, by its kind: a static member, for instance. */
function hasOwnLength(fn: AnyFunction): boolean {
  const { value, writable, enumerable } = Object.getOwnPropertyDescriptor(fn, 'length') ?? {};
  return typeof value !== 'number' || writable === true || enumerable === true;
}

/** True when the source of the class itself makes this member, so that it need not travel beside it. */
function isWritten(cls: AnyFunction, holder: object, key: PropertyKey): boolean {
  const { value, get, set, enumerable } = Reflect.getOwnPropertyDescriptor(holder, key) as PropertyDescriptor;
  const members = [value, get, set].filter((member) => typeof member === 'function');
  return enumerable !== true && members.length > 0 && members.every((member) => isMember(cls, member, key));
}

/** Seen through what is woven around the method. */
function isMember(cls: AnyFunction, member: unknown, key: PropertyKey): boolean {
  const text = runtime.markOf(cls) === undefined ? Function.prototype.toString.call(cls) : undefined;
  for (let at = member; typeof at === 'function'; at = Object.getPrototypeOf(at)) {
    const isOfClass = text === undefined ? runtime.markOf(at)?.owner === cls : text.includes(Function.prototype.toString.call(at));
    if (isOfClass && isNamed(at, key)) return true;
  }
  return false;
}

/** A method has the name of the key that it was written under. */
function isNamed({ name }: { readonly name: string }, key: PropertyKey): boolean {
  return name.replace(/^[gs]et /, '') === (typeof key === 'symbol' ? (key.description === undefined ? '' : `[${key.description}]`) : key);
}

/** Own properties of the function, `name` and `length` excepted; its prototype when it is none of the four usual ones. */
function functionTail(writer: GraphWriter, fn: AnyFunction, keys: readonly PropertyKey[], isClass = false): unknown[] {
  const prototype = Object.getPrototypeOf(fn) as object | null;
  // A class gets its prototype from its heritage.
  const usual = isClass || FUNCTION_PROTOTYPES.has(prototype) || builtinReference(prototype ?? {}) !== undefined;
  return tail(writer, fn, usual ? prototype : null, keys);
}

/** What was added to `fn.prototype`, as a tail; the object itself when it is another one; null when it is as `fn` was born. */
function prototypeTail(writer: GraphWriter, fn: AnyFunction, source: FunctionSource): unknown[] | null {
  const descriptor = Object.getOwnPropertyDescriptor(fn, 'prototype');
  if (descriptor === undefined) return null;
  const prototype: unknown = descriptor.value;
  const isClass = source.site.kind === 'class';
  const born = isClass || types.isGeneratorFunction(fn) || isOrWraps(Object.getOwnPropertyDescriptor(Object(prototype), 'constructor')?.value, fn);
  if (!born) return [REPLACED, writer.encode(prototype, '.prototype')];
  if (typeof prototype !== 'object' || prototype === null) return null;
  const keys = Reflect.ownKeys(prototype).filter((key) => key !== 'constructor' && !(isClass && isWritten(fn, prototype, key)));
  const base = Object.getPrototypeOf(prototype) as object | null;
  const usual = isClass || base === Object.prototype || (base !== null && !Object.hasOwn(base, 'constructor')) || types.isGeneratorFunction(fn);
  if (keys.length === 0 && usual && Object.isExtensible(prototype)) return null;
  return tail(writer, prototype, usual ? base : null, keys);
}
