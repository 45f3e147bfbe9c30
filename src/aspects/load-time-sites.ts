import type { AnyFunction } from './advice.ts';
import { Invocation, Signature, type JoinPoint, type JoinPointKind } from './join-point.ts';
import type { PartialShadow } from './pointcut.ts';
import type { TypesOf } from './residue.ts';
import { Site, type Entry } from './site.ts';
import type { SiteText } from './woven-text.ts';

/** Who knows the advice. */
export interface SiteHost {
  /** Advice for a join point; also of aspects registered later, for which the site is kept (weakly). */
  entriesFor(shadow: PartialShadow, typesOf?: TypesOf): readonly Entry[];
  placed(site: Site, shadow: PartialShadow, typesOf?: TypesOf): void;
  /** Weaves the members of a class or an object; `names`: when its text was edited, no others were to be woven. */
  made(target: object, name: string, url: string, names?: readonly string[]): void;
}

/** The sites of a module that has begun to run, by number: each is what its text calls. */
export function openSites(url: string, sites: readonly SiteText[], host: SiteHost): readonly unknown[] {
  return sites.map((text) => new LoadTimeSite(url, text, host).handler());
}

/** Told of each class (or object) that is made. */
function maker(url: string, [, , name, , names]: SiteText, host: SiteHost): (target: object) => object {
  return (target) => {
    host.made(target, name, url, typeof names === 'string' ? names.split(' ') : undefined);
    return target;
  };
}

class LoadTimeSite {
  readonly #text: SiteText;
  readonly #url: string;
  readonly #host: SiteHost;

  constructor(url: string, text: SiteText, host: SiteHost) {
    this.#url = url;
    this.#text = text;
    this.#host = host;
  }

  handler(): unknown {
    const [what, name, , flags = ''] = this.#text;
    switch (what) {
      case 'class':
      case 'object':
        return maker(this.#url, this.#text, this.#host);
      case 'function':
        return (original: AnyFunction): AnyFunction => this.#function(original, flags.includes('d') ? name : undefined);
      case 'private':
        return flags.includes('g') || flags.includes('t') ? this.#accessor(flags.includes('g') ? 'get' : 'set') : this.#privateMethod();
      case 'construct':
        return this.#construction();
      case 'call':
        return this.#call();
      case 'get':
        return this.#get();
      case 'set':
        return this.#set(flags.includes('l'));
    }
  }

  #site(kind: JoinPointKind, original: AnyFunction, options: { readonly invoked?: boolean; readonly typesOf?: TypesOf } = {}): Site {
    const [, name, declaringType, flags = ''] = this.#text;
    const known = { kind, name, isStatic: flags.includes('s'), module: this.#url };
    // What a call or an access is of is known when it runs.
    const shadow: PartialShadow = options.typesOf === undefined ? { ...known, declaringType } : known;
    const entries = this.#host.entriesFor(shadow, options.typesOf);
    const callee = { original, inherited: undefined, newTarget: 'shell' as const, invoked: options.invoked === true };
    const site = new Site(new Signature({ ...known, declaringType }), callee, undefined, entries);
    this.#host.placed(site, shadow, options.typesOf);
    return site;
  }

  #function(original: AnyFunction, name: string | undefined): AnyFunction {
    if (typeof original !== 'function') return original;
    if (name !== undefined) Object.defineProperty(original, 'name', { value: name, configurable: true });
    const { shell } = this.#site('execution', original);
    const { prototype } = original as { prototype?: object };
    const constructor = typeof prototype === 'object' ? Object.getOwnPropertyDescriptor(prototype, 'constructor') : undefined;
    if (constructor?.value === original) Reflect.defineProperty(prototype!, 'constructor', { ...constructor, value: shell });
    return shell;
  }

  /** A method is one function for all instances, and another each time its class is made: `o` is the last one, `f` what is run for it. */
  #privateMethod(): unknown {
    const sites = new WeakMap<AnyFunction, Site>();
    const handler = {
      o: undefined as AnyFunction | undefined,
      f: undefined as AnyFunction | undefined,
      p: (original: AnyFunction): AnyFunction => {
        const site = sites.get(original) ?? this.#site('execution', original);
        sites.set(original, site);
        handler.o = original;
        const follow = (): AnyFunction => (handler.f = site.off ? original : site.shell);
        site.changed = (): void => {
          if (handler.o === original) follow();
        };
        return follow();
      },
    };
    return handler;
  }

  /** A site whose original is given with each run. */
  #lazy(kind: JoinPointKind, original: AnyFunction, typesOf?: TypesOf): () => Site {
    let site: Site | undefined;
    return () => (site ??= this.#site(kind, original, { invoked: true, ...(typesOf === undefined ? {} : { typesOf }) }));
  }

  #accessor(kind: 'get' | 'set'): unknown {
    const site = this.#lazy(kind, kind === 'get' ? RUN : withLength(RUN, 1));
    return { r: (target: unknown, inner: AnyFunction, ...args: unknown[]): unknown => site().shell.apply(new Invocation(target, inner), args) };
  }

  /** Fields, not accessors: the text reads them at each construction. */
  #construction(): unknown {
    const site = this.#site('construct', withLength(RUN, Number(this.#text[4] ?? 0)), { invoked: true });
    const handler: ConstructionHandler = { off: site.off, f: site.shell, n: construction, d: derivedConstruction };
    site.changed = (): void => {
      handler.off = site.off;
      handler.f = site.shell;
    };
    return handler;
  }

  #typesOf(): TypesOf {
    const receiver = String(this.#text[4] ?? '');
    return (jp: JoinPoint) => [...(receiver === '' ? [] : [receiver]), ...typeNames(jp.target)];
  }

  #call(): unknown {
    const name = this.#text[1];
    const site = this.#lazy('call', RUN, this.#typesOf());
    return {
      m: (target: unknown, called: AnyFunction, ...args: unknown[]): unknown => {
        if (typeof called !== 'function') throw new TypeError(`${name} is not a function`);
        const at = site();
        return at.off ? Reflect.apply(called, target, args) : at.shell.apply(new Invocation(target, called), args);
      },
    };
  }

  #get(): unknown {
    const name = this.#text[1];
    const read = function (this: unknown): unknown {
      return (this as Record<string, unknown>)[name];
    };
    const site = this.#lazy('get', RUN, this.#typesOf());
    return {
      g: (target: Record<string, unknown>): unknown => {
        const at = site();
        return at.off || !isField(target, name, false) ? target[name] : at.shell.call(new Invocation(target, read));
      },
    };
  }

  #set(sloppy: boolean): unknown {
    const name = this.#text[1];
    const write = function (this: unknown, value?: unknown): void {
      // Where it is written is strict or not; we are strict.
      if (sloppy) Reflect.set(Object(this) as object, name, value, this);
      else (this as Record<string, unknown>)[name] = value;
    };
    const site = this.#lazy('set', withLength(RUN, 1), this.#typesOf());
    return {
      s: (target: Record<string, unknown>) => ({
        get v(): unknown {
          return target[name];
        },
        set v(value: unknown) {
          const at = site();
          if (at.off || !isField(target, name, true)) write.call(target, value);
          else at.shell.call(new Invocation(target, write), value);
        },
      }),
    };
  }
}

/** What stands for the original where that is another each time: it is in the invocation. */
const RUN: AnyFunction = function (this: Invocation, ...args: unknown[]): unknown {
  return this.proceed(args);
};

/** What the text of a constructor reads at each construction. */
interface ConstructionHandler {
  off: boolean;
  f: AnyFunction;
  readonly n: (this: ConstructionHandler, body: AnyFunction, instance: unknown, args?: IArguments) => Invocation;
  readonly d: (this: ConstructionHandler, body: AnyFunction, instance: () => unknown, args?: IArguments) => Invocation;
}

/** Of a constructor without `super`: its body, the instance, and its `arguments` where it reads them. */
const construction: ConstructionHandler['n'] = function (body, instance, args) {
  return new Invocation(undefined, body, this.f, instance, undefined, args as never);
};
/** Of a constructor with `super`, before which there is no instance. */
const derivedConstruction: ConstructionHandler['d'] = function (body, instance, args) {
  return new Invocation(undefined, body, this.f, undefined, instance, args as never);
};

/** A copy of its own, as the length of a chain's original decides what is fast. */
function withLength(run: AnyFunction, length: number): AnyFunction {
  const copy: AnyFunction = function (this: unknown): unknown {
    // oxlint-disable-next-line prefer-rest-params
    return run.apply(this, arguments as never);
  };
  return Object.defineProperty(copy, 'length', { value: length });
}

/** Whether it is data of the object itself: what is declared as an accessor is woven where it is declared, and methods are no fields. */
function isField(target: unknown, name: string, write: boolean): boolean {
  if (target === null || target === undefined) return false;
  for (let at: object | null = Object(target) as object; at !== null; at = Object.getPrototypeOf(at) as object | null) {
    const found = Object.getOwnPropertyDescriptor(at, name);
    if (found === undefined) continue;
    if (!('value' in found)) return false;
    if (typeof found.value === 'function' && found.enumerable !== true) return false;
    return write || at === target;
  }
  return write;
}

/** Names of the classes of a receiver, nearest first; of a class its own and those above. */
function typeNames(target: unknown): readonly string[] {
  if (target === null || target === undefined) return [];
  const names: string[] = [];
  const isFunction = typeof target === 'function';
  for (
    let at: object | null = isFunction ? target : (Object.getPrototypeOf(target) as object | null);
    at !== null;
    at = Object.getPrototypeOf(at) as object | null
  ) {
    const named: unknown = isFunction ? at : Object.getOwnPropertyDescriptor(at, 'constructor')?.value;
    const name: unknown = typeof named === 'function' ? named.name : undefined;
    if (typeof name === 'string' && name !== '') names.push(name);
  }
  return names;
}
