import type { Use } from './unit.ts';

/**
 * What transformed modules call, and what they leave behind: for each function its site (where its source stands) and a
 * thunk over its captured bindings.
 *
 * The mark is a private field that a constructor returning its argument puts on the function (about 7 ns more than making the closure, and
 * unlike a symbol property invisible to console.log, Object.assign and deepEqual).
 */

/**
 * `thunk(slot)` reads one captured binding where it lives; throws ReferenceError while the binding is not initialised.
 * `thunk(slot, true, value)` writes one that the program assigns somewhere.
 */
export type Thunk = (slot: number, set?: boolean, value?: unknown) => unknown;

/** A transformed module. */
export interface SiteModule {
  readonly url: string;
  readonly format: 'module' | 'commonjs';
  /** JavaScript before capture edits, positions as in the user's file. */
  readonly source: string;
  readonly strict: boolean;
  /** Offsets of line starts, made when first needed. */
  lines?: readonly number[];
  /** Import bindings of the module and how to read them; see references.ts. */
  readonly imports: readonly ImportedName[];
  importThunk?: Thunk;
}

export interface ImportedName {
  readonly local: string;
  readonly specifier: string;
  /** Export of the other module, 'default', or '*' for the namespace. */
  readonly name: string;
}

/** A captured name: its slot in the thunk, and the import it is, if it is one. */
export interface CapturedName {
  readonly name: string;
  readonly slot: number;
  readonly imported?: { readonly specifier: string; readonly name: string };
  /** Needed while a class is being defined. */
  readonly early: boolean;
  /** Set when the binding is assigned after its declaration: the declaration, the same object for all who capture it. */
  readonly binding?: object;
}

/** One function or class in the source. */
export interface Site {
  readonly module: SiteModule;
  readonly kind: 'expression' | 'method' | 'getter' | 'setter' | 'class';
  readonly start: number;
  readonly end: number;
  readonly captured: readonly CapturedName[];
  readonly globals: readonly string[];
  readonly metas: readonly (readonly [start: number, end: number])[];
  /** References to mutated bindings, which travel as cells. */
  readonly uses?: readonly Use[];
  readonly usesThis: boolean;
  readonly usesArguments: boolean;
  readonly usesNewTarget: boolean;
  readonly usesSuper: boolean;
  readonly usesPrivate: boolean;
  /** A class that uses #private names of a class around it. */
  readonly usesOuterPrivate: boolean;
  readonly usesEval: boolean;
  /** Strict by its own directive or by what is around it in the module. */
  readonly strict: boolean;
  /** The name of a declaration whose binding is assigned anew: inside, it must not stand for the function itself. */
  readonly ownName?: readonly [start: number, end: number];
  readonly arrow: boolean;
  /** Slots of `this` and `arguments` in the thunk, for arrows. */
  readonly thisSlot?: number;
  readonly argumentsSlot?: number;
  /** Name under which its module exports it. */
  readonly exported?: string;
  /** Key range of a method with a computed key. */
  readonly computedKey?: readonly [start: number, end: number];
  /** Static fields and blocks of a class, which must not run again. */
  readonly statics?: readonly (readonly [start: number, end: number])[];
  /** What a class extends; replaced by the class it did extend. */
  readonly heritage?: readonly [start: number, end: number];
  /** Where a class writes its own members: own keys of the prototype and of the class that its source makes. */
  readonly members?: { readonly prototype: readonly string[]; readonly statics: readonly string[] };
  /** A computed key that may give another name when the class is made again. */
  readonly unsteadyKey?: string;
  /** A static `#private` member: its state cannot be read. */
  readonly privateStatics?: boolean;
  /** `#private` members of instances: an instance cannot be copied from outside. */
  readonly privateMembers?: boolean;
}

/** What is known of a marked function. */
export interface Mark {
  readonly site: Site;
  readonly thunk: Thunk | undefined;
  /** The class whose source holds this method. */
  readonly owner: object | undefined;
  /** The object literal that a method with `super` was written in: it looks in its prototype wherever it is. */
  readonly home?: object | undefined;
}

interface Runtime {
  readonly sites: Site[];
  readonly modules: SiteModule[];
  /** Functions that capture nothing carry no mark; they are found by their text. */
  readonly plain: Site[];
  attach<T>(fn: T, site: number, thunk?: Thunk): T;
  attachClass(cls: object, site: number, thunk?: Thunk): void;
  attachMethods<T>(object: T, first: number, keys: string, thunk?: Thunk): T;
  attachModule(module: number, thunk: Thunk): void;
  markOf(fn: object): Mark | undefined;
}

/** Parameters that Node gives every CommonJS module. */
export const COMMONJS = ['require', 'module', 'exports', '__filename', '__dirname'];

/** Name of the global function that transformed code calls; short, because it moves columns of inline lambdas. */
export const ATTACH = '__spc';

// oxlint-disable-next-line typescript/no-extraneous-class
class Returns {
  constructor(target: object) {
    return target;
  }
}

class Stamp extends Returns {
  readonly #site: number;
  readonly #thunk: Thunk | undefined;
  readonly #owner: object | undefined;

  constructor(target: object, site: number, thunk: Thunk | undefined, owner: object | undefined) {
    super(target);
    this.#site = site;
    this.#thunk = thunk;
    this.#owner = owner;
  }

  static has(target: object): boolean {
    return #site in target;
  }

  static read(target: object): { site: number; thunk: Thunk | undefined; owner: object | undefined } | undefined {
    return #site in target ? { site: target.#site, thunk: target.#thunk, owner: target.#owner } : undefined;
  }
}

function createRuntime(): Runtime {
  const sites: Site[] = [];
  const modules: SiteModule[] = [];
  /** A function that is marked already keeps its first mark. */
  const stamp = (target: unknown, site: number, thunk: Thunk | undefined, owner: object | undefined): void => {
    if (typeof target === 'function' && !Stamp.has(target)) new Stamp(target, site, thunk, owner);
  };
  return {
    sites,
    modules,
    plain: [],
    attach(fn, site, thunk) {
      if (typeof fn === 'function' && !Stamp.has(fn)) new Stamp(fn, site, thunk, undefined);
      return fn;
    },
    attachClass(cls, site, thunk) {
      stamp(cls, site, thunk, undefined);
      const { prototype } = cls as { prototype: object };
      for (const holder of [prototype, cls]) {
        for (const key of Reflect.ownKeys(holder)) {
          if (key === 'constructor' || key === 'prototype') continue;
          const { value, get, set, enumerable } = Reflect.getOwnPropertyDescriptor(holder, key) as PropertyDescriptor;
          // Enumerable: a static field, whose function is not of this class.
          if (enumerable === true) continue;
          stamp(value, site, thunk, cls);
          stamp(get, site, thunk, cls);
          stamp(set, site, thunk, cls);
        }
      }
    },
    attachMethods(object, first, keys, thunk) {
      let site = first;
      for (const key of keys.split('\n')) {
        const descriptor = Reflect.getOwnPropertyDescriptor(object as object, key.slice(1));
        const kind = key[0];
        stamp(
          kind === 'g' ? descriptor?.get : kind === 's' ? descriptor?.set : descriptor?.value,
          site,
          thunk,
          sites[site++]?.usesSuper === true ? (object as object) : undefined,
        );
      }
      return object;
    },
    attachModule(module, thunk) {
      const known = modules[module];
      if (known !== undefined) known.importThunk = thunk;
    },
    markOf(fn) {
      const read = Stamp.read(fn);
      const site = read === undefined ? undefined : sites[read.site];
      if (site === undefined) return undefined;
      const { thunk, owner } = read as NonNullable<typeof read>;
      return typeof owner === 'object' ? { site, thunk, owner: undefined, home: owner } : { site, thunk, owner };
    },
  };
}

const globals = globalThis as unknown as Record<string | symbol, unknown>;
const RUNTIME = Symbol.for('spark-proxy.capture');

/** One a process (thread), shared by all copies of this package. */
export const runtime = (globals[RUNTIME] ??= createRuntime()) as Runtime;

/** Makes the runtime callable from transformed code; done once, before any module is transformed. */
export function installRuntime(): void {
  if (ATTACH in globals) return;
  const attach = Object.assign((fn: unknown, site: number, thunk?: Thunk) => runtime.attach(fn, site, thunk), {
    k: runtime.attachClass,
    m: runtime.attachMethods,
    i: runtime.attachModule,
  });
  Object.defineProperty(globals, ATTACH, { value: attach });
}
