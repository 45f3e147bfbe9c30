import { Script } from 'node:vm';
import { rowOf, takesParameters, type AnyFunction } from './advice.ts';
import { isConstructible } from './chain-helpers.ts';
import type { ChainRequest } from './chain-request.ts';
import { MAX_COUNT } from './join-point.ts';

/** What a call looks like where code is written for it. */
interface Shape {
  /** So many arguments, each in its own variable (a0, a1...); undefined: any number, in an array `args`. */
  readonly count: number | undefined;
  /** Expression of the receiver; for a construction, of the new target. */
  readonly self: 'self' | 'this';
  readonly args?: 'arguments';
}
const ANY: Shape = { count: undefined, self: 'self' };

/** A chain, ready to be made for any number of sites, and which of the names that it may use it does use. */
export interface ChainText {
  /** Gives a function of these names that gives the chain. */
  readonly script: Script;
  readonly names: readonly string[];
}

/** Programs weave the same few shapes of advice at many sites. */
const texts = new Map<string, ChainText>();
const MAX_TEXTS = 500;
let sequence = 0;

/**
 * The code of a chain. It is compiled once for all sites of its shape, and each run of the script gives functions with feedback of their own: type
 * feedback of one call site never mixes with another's, and V8 can inline advice and original into the caller.
 */
export function chainSource(request: ChainRequest, what: 'shell' | 'other', names: readonly string[]): ChainText {
  const shape = shapeOf(request, what);
  let known = texts.get(shape);
  if (known === undefined) {
    const text = new Source(request)[what]();
    const words = new Set(text.match(/[\w$]+/g));
    const ofAdvice = request.advice.flatMap((_, i) => [`A${i}`, `I${i}`]);
    // Parameters, unlike constants of the body, need no check that they are initialised, which keeps what V8 inlines small.
    const used = [...names, ...ofAdvice].filter((name) => words.has(name));
    const filename = `spark-proxy:weave/${[request.signature.kind, ...request.advice.map(({ kind }) => kind)].join('-')}/${++sequence}`;
    known = { script: new Script(`(function(${used.join()}){${text}\n})`, { filename }), names: used };
    if (texts.size >= MAX_TEXTS) texts.clear();
    texts.set(shape, known);
  }
  return known;
}

/** All that the text of a chain depends on. */
function shapeOf({ signature: { kind }, callee: { original, inherited, invoked, newTarget }, advice }: ChainRequest, what: string): string {
  let shape = `${what},${kind},${arityOf(original)},${isConstructible(original)},${inherited !== undefined},${invoked === true}`;
  shape += typeof newTarget === 'function' ? ',function' : `,${newTarget}`;
  for (const { kind: when, run, aspect } of advice) shape += `,${when}${takesParameters(run) ? ' jp' : ''}${aspect === undefined ? '' : ' this'}`;
  return shape;
}

/** A class may have a static member of that name. */
function arityOf(original: AnyFunction): number {
  const declared: unknown = original.length;
  return Number.isInteger(declared) ? (declared as number) : 0;
}

/** V8 reduces Reflect.construct to a plain construction for `arguments`, not for an array. */
const BUILD = 'function build() { return Reflect.construct(O, arguments, this); }';

class Source {
  readonly #request: ChainRequest;
  /** Declared number of arguments: the call with as many is the fast one. */
  readonly #arity: number;
  /** One fewer or more (an optional argument) has code of its own too; all others share the code for any number. */
  readonly #counts: readonly number[];
  readonly #construct: boolean;
  readonly #functions = new Map<string, string>();

  constructor(request: ChainRequest) {
    this.#request = request;
    this.#arity = arityOf(request.callee.original);
    this.#counts = [this.#arity, this.#arity + 1, this.#arity - 1].filter((count) => count >= 0 && count <= MAX_COUNT);
    this.#construct = request.signature.kind === 'construct';
  }

  /** What callers reach. Most calls have the declared number of arguments: code for others is made when there is one. */
  shell(): string {
    const shell = this.#standsIn ? this.#constructShell() : this.#functionShell();
    return ['"use strict";', ...this.#functions.values(), 'let other;', shell].join('\n');
  }

  get #standsIn(): boolean {
    return this.#construct && this.#request.callee.invoked !== true;
  }

  #names(count: number | undefined): string[] {
    return Array.from({ length: count ?? 0 }, (_, i) => `a${i}`);
  }

  #list(count: number | undefined, ...first: string[]): string {
    return [...first, ...this.#names(count)].join(', ');
  }

  /** The call that all advice goes around. */
  #call({ count, self, args = 'args' as never }: Shape): string {
    const { inherited, invoked } = this.#request.callee;
    if (invoked === true) return this.#invocation(count, self, args);
    switch (this.#request.signature.kind) {
      case 'construct':
        return count === undefined
          ? `Reflect.construct(O, ${args}, ${self})`
          : `${self} === O ? new O(${this.#list(count)}) : build.call(${this.#list(count, self)})`;
      case 'get':
        if (inherited !== undefined) return `Reflect.get(P, K, ${self})`;
        break;
      case 'set':
        if (inherited !== undefined) return `Reflect.set(P, K, ${count === undefined ? `${args}[0]` : count === 0 ? 'undefined' : 'a0'}, ${self})`;
        break;
      case 'execution':
      case 'call':
        break;
    }
    const callee = inherited === undefined ? 'O' : 'P[K]';
    return count === undefined ? `${callee}.apply(${self}, ${args})` : `${callee}.call(${this.#list(count, self)})`;
  }

  /** What runs is in the receiver: the same as `Invocation.proceed`, written out, so that V8 inlines it. */
  #invocation(count: number | undefined, self: Shape['self'], args: string): string {
    if (count === undefined) return `${self}.proceed(${args})`;
    if (!this.#construct) return `${self}.run.call(${this.#list(count, `${self}.target`)})`;
    const name = `M${count}`;
    const list = this.#list(count);
    this.#functions.set(
      name,
      `function ${name}(${this.#list(count, 'self')}) {
if (self.ran || self.args !== undefined) return self.proceed([${list}]);
self.ran = true;
const made = self.run(${list});
return made === undefined && self.late === undefined ? self.instance : self.made(made);
}`,
    );
    return `${name}(${this.#list(count, self)})`;
  }

  /**
   * The statements of one level: from advice `from` to the next around advice, or to the original. Receiver and arguments
   * are in scope; ends with a return.
   */
  #level(from: number, shape: Shape): string {
    const { advice } = this.#request;
    const end = advice.findIndex((a, i) => i >= from && a.kind === 'around');
    const level = advice.slice(from, end < 0 ? undefined : end + 1);
    const lines: string[] = [];
    if (level.some((a) => takesParameters(a.run))) {
      // Before advice must not find a way to proceed.
      const next = level[0]?.kind === 'around' && takesParameters(level[0].run) ? this.#inner(from + 1) : 'undefined';
      const made =
        shape.count === undefined ? `JPN(SIG, ${shape.self}, ${next}, args)` : `JP${shape.count}(${this.#list(shape.count, 'SIG', shape.self, next)})`;
      lines.push(`const jp = new ${made};`);
    }
    if (level.every((a) => rowOf(a.kind).place === 'before')) {
      return [...lines, ...level.map((_, i) => this.#run(from + i, 'jp')), `return ${this.#call(shape)};`].join('\n');
    }
    return [...lines, 'let r;', this.#nest(from, shape, true), 'return r;'].join('\n');
  }

  #run(i: number, args: string): string {
    const { run, aspect } = this.#request.advice[i]!;
    const given = takesParameters(run) ? args : '';
    if (aspect === undefined) return `A${i}(${given});`;
    return `A${i}.call(I${i}${given === '' ? '' : `, ${given}`});`;
  }

  /** Statements that leave in `r` the outcome of advice `i` and what is inside it. */
  #nest(i: number, shape: Shape, first = false): string {
    const one = this.#request.advice[i];
    if (one === undefined) return `r = ${this.#call(shape)};`;
    const row = rowOf(one.kind);
    if (row.place === 'before') return `${this.#run(i, 'jp')}\n${this.#nest(i + 1, shape)}`;
    if (row.place === 'around') return this.#around(i, shape, first);
    const inner = this.#nest(i + 1, shape);
    const jp = takesParameters(one.run);
    const setError = jp ? 'jp.error = e; ' : '';
    const setResult = jp ? 'jp.result = r; ' : '';
    const settled = (sync: string): string => {
      // A constructor may make a promise; that is its instance, not an outcome to wait for.
      if (this.#construct) return sync;
      const given = `(r, ${jp ? 'jp' : 'undefined'}, A${i}, I${i}, '${one.kind}')`;
      const wait = `if (r instanceof Promise) r = afterSettled${given};`;
      // Generators and streams are objects; what is none is known by one look.
      const isObject = "typeof r === 'object' && r !== null";
      if (sync === '') return `${wait} else if (${isObject}) r = afterEnded${given} ?? r;`;
      return `${wait} else { const later = ${isObject} ? afterEnded${given} : undefined; if (later !== undefined) r = later; else { ${sync} } }`;
    };
    const hear = (given: string, outcome: string): string => this.#run(i, given === 'outcome' ? `jp, ${outcome}` : 'jp');
    const thrown = row.threw === 'nothing' ? inner : `try { ${inner} } catch (e) { ${setError}${hear(row.threw, 'e')} throw e; }`;
    return `${thrown}\n${settled(row.returned === 'nothing' ? '' : `${setResult}${hear(row.returned, 'r')}`)}`;
  }

  #around(i: number, { count }: Shape, first: boolean): string {
    if (!takesParameters(this.#request.advice[i]!.run)) return `r = ${this.#run(i, '')}${this.#checkInstance()}`;
    const next = this.#inner(i + 1);
    // Only the join point is captured: fewer fields for escape analysis to follow, so deep chains stay free of allocation.
    const given = count === undefined ? 'jp.self, jp.rest' : ['jp.self', ...this.#names(count).map((name) => `jp.${name}`)].join(', ');
    return [
      ...(first ? [] : [`jp.next = ${next};`]),
      `try { r = ${this.#run(i, `jp, () => jp.next ? ${this.#levelFunction(i + 1, count)}(${given}) : late(jp)`)} } catch (e) { jp.next = null; throw e; }`,
      // A promise means that the advice goes on running: it may proceed later.
      this.#construct ? 'jp.next = null;' : 'if (!(r instanceof Promise)) jp.next = null;',
      this.#checkInstance(),
    ].join('\n');
  }

  #checkInstance(): string {
    return this.#construct ? "if (r === null || (typeof r !== 'object' && typeof r !== 'function')) noInstance(SIG, r);" : '';
  }

  /** Declares the function of a level for one shape; gives its name. */
  #levelFunction(i: number, count: number | undefined): string {
    const name = count === undefined ? `V${i}` : `L${i}_${count}`;
    if (this.#functions.has(name)) return name;
    this.#functions.set(name, '');
    const parameters = count === undefined ? 'self, args' : this.#list(count, 'self');
    this.#functions.set(name, `function ${name}(${parameters}) {\n${this.#level(i, { ...ANY, count })}\n}`);
    return name;
  }

  /** Declares the continuation of proceedWith at level `i`; gives its name. */
  #inner(i: number): string {
    const name = `N${i}`;
    if (this.#functions.has(name)) return name;
    this.#functions.set(name, '');
    const exact =
      this.#counts[0] === this.#arity
        ? `args.length === ${this.#arity} ? ${this.#levelFunction(i, this.#arity)}(${['self', ...this.#names(this.#arity).map((_, n) => `args[${n}]`)].join(', ')}) : `
        : '';
    this.#functions.set(name, `function ${name}(self, args) { return ${exact}${this.#levelFunction(i, undefined)}(self, args); }`);
    return name;
  }

  /** Level 0 for other numbers of arguments than the declared one; its receiver is the shell's. */
  other(): string {
    const others = this.#counts.filter((count) => count !== this.#arity);
    const most = Math.max(0, ...others);
    const each = others.map((count) => `if (arguments.length === ${count}) return ${this.#levelFunction(0, count)}(${this.#list(count, 'this')});\n`).join('');
    const any = this.#levelFunction(0, undefined);
    return [
      '"use strict";',
      ...(this.#standsIn ? [BUILD] : []),
      ...this.#functions.values(),
      `function rest(...args) { return ${any}(this, args); }`,
      `return function other(${this.#list(most)}) {\n${each}return rest.apply(this, arguments);\n};`,
    ].join('\n');
  }

  #fixed(self: Shape['self']): string {
    const count = this.#arity;
    if (this.#counts[0] !== count) return '';
    return `if (ST.mode === 1 && arguments.length === ${count}) {\n${this.#level(0, { count, self })}\n}\n`;
  }

  /** Off must cost next to nothing, so it is asked first; passing `arguments` to apply() costs nothing once it is inlined. */
  #functionShell(): string {
    const list = this.#list(this.#arity);
    const { callee, signature } = this.#request;
    const body = [
      `if (ST.mode === 0) return ${this.#call({ count: undefined, self: 'this', args: 'arguments' })};`,
      `${this.#fixed('this')}if (ST.mode === 1) return (other ??= MORE()).apply(this, arguments);`,
      'return ST.site.shell.apply(this, arguments);',
    ].join('\n');
    const constructible = signature.kind === 'execution' && isConstructible(callee.original);
    // Where the name means the shell, as at load time, so does new.target.
    const target = callee.newTarget === 'shell' ? 'new.target' : 'new.target === shell ? O : new.target';
    const construct = `if (new.target !== undefined) return Reflect.construct(O, arguments, ${target});`;
    return constructible ? `function shell(${list}) {\n${construct}\n${body}\n}\nreturn shell;` : `return { [K](${list}) {\n${body}\n} }[K];`;
  }

  #constructShell(): string {
    const { newTarget } = this.#request.callee;
    const known = this.#counts[0] === this.#arity;
    return [
      BUILD,
      `function shell(${this.#list(this.#arity)}) {`,
      'const nt = new.target;',
      'if (nt === undefined) return Reflect.apply(O, this, arguments);',
      `const self = ${newTarget === 'shell' ? 'nt' : `nt === shell ? ${newTarget === undefined ? 'O' : 'NT'} : nt`};`,
      'if (ST.mode === 0) {',
      known ? `if (arguments.length === ${this.#arity}) return ${this.#call({ count: this.#arity, self: 'self' })};` : '',
      'return Reflect.construct(O, arguments, self);',
      '}',
      `${this.#fixed('self')}if (ST.mode === 1) return (other ??= MORE()).apply(self, arguments);`,
      'return Reflect.construct(ST.site.shell, arguments, nt === shell ? ST.site.shell : nt);',
      '}',
      'return shell;',
    ].join('\n');
  }
}
