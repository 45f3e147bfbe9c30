import { takesParameters } from './advice.ts';
import { isConstructible } from './chain-helpers.ts';
import type { ChainRequest } from './chain.ts';
import { joinPointClasses } from './join-point.ts';

/** What a call looks like where code is written for it. */
interface Shape {
  /** Exactly the declared number of arguments, each in its own variable; else an array `args`. */
  readonly fixed: boolean;
  /** Expression of the receiver; for a construction, of the new target. */
  readonly self: 'self' | 'this';
  readonly args: 'args' | 'arguments';
}
const FIXED: Shape = { fixed: true, self: 'self', args: 'args' };
const ANY: Shape = { fixed: false, self: 'self', args: 'args' };
const FIXED_OF_THIS: Shape = { fixed: true, self: 'this', args: 'arguments' };
const ANY_OF_THIS: Shape = { fixed: false, self: 'this', args: 'arguments' };

let sequence = 0;

/**
 * Writes the source of one site. Every site has its own text and functions, so type feedback of one call site never mixes
 * with another's, and V8 can inline advice and original into the caller.
 */
export function chainSource(request: ChainRequest): string {
  return new Source(request).text();
}

class Source {
  readonly #request: ChainRequest;
  readonly #arity: number;
  readonly #construct: boolean;
  readonly #functions = new Map<string, string>();

  constructor(request: ChainRequest) {
    this.#request = request;
    this.#arity = request.callee.original.length;
    this.#construct = request.signature.kind === 'construct';
  }

  text(): string {
    const { signature } = this.#request;
    const url = `spark-proxy:weave/${signature.toString().replace(/[^\w$.# -]/g, '_')}/${++sequence}`;
    const shell = this.#shell();
    return [
      '"use strict";',
      ...this.#functions.values(),
      shell,
      `//# sourceURL=${url.replaceAll(' ', '-')}`,
    ].join('\n');
  }

  /** Shapes a call may have; beyond the join point classes there is only `any`. */
  get #fixed(): boolean {
    return this.#arity < joinPointClasses().length;
  }

  #names(): string[] {
    return Array.from({ length: this.#arity }, (_, i) => `a${i}`);
  }

  #list(...first: string[]): string {
    return [...first, ...this.#names()].join(', ');
  }

  /** The call that all advice goes around. */
  #call({ fixed, self, args }: Shape): string {
    const { inherited } = this.#request.callee;
    switch (this.#request.signature.kind) {
      case 'construct':
        return fixed ? `${self} === O ? new O(${this.#list()}) : build.call(${this.#list(self)})` : `Reflect.construct(O, ${args}, ${self})`;
      case 'get':
        if (inherited !== undefined) return `Reflect.get(P, K, ${self})`;
        break;
      case 'set':
        if (inherited !== undefined) return `Reflect.set(P, K, ${fixed ? 'a0' : `${args}[0]`}, ${self})`;
        break;
      case 'execution':
        break;
    }
    const callee = inherited === undefined ? 'O' : 'P[K]';
    return fixed ? `${callee}.call(${this.#list(self)})` : `${callee}.apply(${self}, ${args})`;
  }

  /**
   * The statements of one level: from advice `from` to the next around advice, or to the original. `self` and the
   * arguments are in scope; ends with a return.
   */
  #level(from: number, shape: Shape): string {
    const { advice } = this.#request;
    const end = advice.findIndex((a, i) => i >= from && a.kind === 'around');
    const level = advice.slice(from, end < 0 ? undefined : end + 1);
    const needsJoinPoint = level.some((a) => takesParameters(a.run));
    const lines: string[] = [];
    // Before advice must not find a way to proceed.
    const next = level[0]?.kind === 'around' && takesParameters(level[0].run) ? this.#inner(from + 1) : 'undefined';
    if (needsJoinPoint) lines.push(shape.fixed ? `const jp = new JP(${this.#list('SIG', shape.self, next)});` : `const jp = new JPN(SIG, ${shape.self}, ${next}, ${shape.args});`);
    if (level.every((a) => a.kind === 'before')) {
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
    const { advice } = this.#request;
    const one = advice[i];
    if (one === undefined) return `r = ${this.#call(shape)};`;
    if (one.kind === 'before') return `${this.#run(i, 'jp')}\n${this.#nest(i + 1, shape)}`;
    if (one.kind === 'around') return this.#around(i, shape, first);
    const inner = this.#nest(i + 1, shape);
    const jp = takesParameters(one.run);
    const setError = jp ? 'jp.error = e; ' : '';
    const setResult = jp ? 'jp.result = r; ' : '';
    // A constructor may make a promise; that is its instance, not an outcome to wait for.
    const settled = (sync: string): string =>
      this.#construct ? sync : `if (r instanceof Promise) r = afterSettled(r, ${jp ? 'jp' : 'undefined'}, A${i}, I${i}, '${one.kind}');${sync === '' ? '' : ` else { ${sync} }`}`;
    const caught = `catch (e) { ${setError}${this.#run(i, one.kind === 'after' ? 'jp' : 'jp, e')} throw e; }`;
    switch (one.kind) {
      case 'afterReturning':
        return `${inner}\n${settled(`${setResult}${this.#run(i, 'jp, r')}`)}`;
      case 'afterThrowing':
        return `try { ${inner} } ${caught}\n${settled('')}`;
      case 'after':
        return `try { ${inner} } ${caught}\n${settled(`${setResult}${this.#run(i, 'jp')}`)}`;
    }
  }

  #around(i: number, shape: Shape, first: boolean): string {
    if (!takesParameters(this.#request.advice[i]!.run)) return `r = ${this.#run(i, '')}${this.#checkInstance()}`;
    const inner = this.#inner(i + 1);
    // Only the join point is captured: fewer fields for escape analysis to follow, so deep chains stay free of allocation.
    const fields = this.#names().map((name) => `jp.${name}`);
    const proceed = shape.fixed ? `L${i + 1}(${['jp.self', ...fields].join(', ')})` : `V${i + 1}(jp.self, jp.rest)`;
    return [
      ...(first ? [] : [`jp.next = ${inner};`]),
      `r = ${this.#run(i, `jp, () => jp.next ? ${proceed} : late(jp)`)}`,
      // A promise means that the advice goes on running: it may proceed later.
      this.#construct ? 'jp.next = null;' : 'if (!(r instanceof Promise)) jp.next = null;',
      this.#checkInstance(),
    ].join('\n');
  }

  #checkInstance(): string {
    return this.#construct ? "if (r === null || (typeof r !== 'object' && typeof r !== 'function')) noInstance(SIG, r);" : '';
  }

  /** Declares what runs inside the around advice before level `i`; gives the name of its continuation. */
  #inner(i: number): string {
    const name = `N${i}`;
    if (this.#functions.has(name)) return name;
    const elements = this.#names().map((_, n) => `args[${n}]`);
    const exact = this.#fixed ? `args.length === ${this.#arity} ? L${i}(${['self', ...elements].join(', ')}) : ` : '';
    this.#functions.set(name, `function ${name}(self, args) { return ${exact}V${i}(self, args); }`);
    if (this.#fixed) this.#functions.set(`L${i}`, `function L${i}(${this.#list('self')}) {\n${this.#level(i, FIXED)}\n}`);
    this.#functions.set(`V${i}`, `function V${i}(self, args) {\n${this.#level(i, ANY)}\n}`);
    return name;
  }

  #shell(): string {
    return this.#construct ? this.#constructShell() : this.#functionShell();
  }

  /**
   * Off must cost next to nothing, so it is asked first; passing `arguments` to apply() costs nothing once it is inlined.
   */
  #functionShell(): string {
    const list = this.#list();
    const { callee, signature } = this.#request;
    const fixed = this.#fixed ? `if (ST.mode === 1 && arguments.length === ${this.#arity}) {\n${this.#level(0, FIXED_OF_THIS)}\n}\n` : '';
    const constructible = signature.kind === 'execution' && isConstructible(callee.original);
    const body = `if (ST.mode === 0) return ${this.#call(ANY_OF_THIS)};\n${fixed}return any.apply(this, arguments);`;
    return [
      `function any(...args) {\nif (ST.mode === 2) return ST.site.shell.apply(this, args);\n${this.#level(0, { ...ANY, self: 'this' })}\n}`,
      constructible
        ? `function shell(${list}) {\nif (new.target !== undefined) return Reflect.construct(O, arguments, new.target === shell ? O : new.target);\n${body}\n}\nreturn shell;`
        : `return { [K](${list}) {\n${body}\n} }[K];`,
    ].join('\n');
  }

  #constructShell(): string {
    const { newTarget } = this.#request.callee;
    const exactly = `arguments.length === ${this.#arity}`;
    const fixed = this.#fixed ? `if (ST.mode === 1 && ${exactly}) {\n${this.#level(0, FIXED)}\n}\n` : '';
    const off = this.#fixed ? `if (${exactly}) return ${this.#call(FIXED)};\n` : '';
    return [
      // V8 reduces Reflect.construct to a plain construction for `arguments`, not for an array.
      'function build() { return Reflect.construct(O, arguments, this); }',
      `function any(self, args) {\n${this.#level(0, ANY)}\n}`,
      `function shell(${this.#list()}) {`,
      'const nt = new.target;',
      'if (nt === undefined) return Reflect.apply(O, this, arguments);',
      `const self = ${newTarget === 'shell' ? 'nt' : `nt === shell ? ${newTarget === undefined ? 'O' : 'NT'} : nt`};`,
      `if (ST.mode === 0) {\n${off}return Reflect.construct(O, arguments, self);\n}`,
      `${fixed}if (ST.mode === 1) return any(self, Array.from(arguments));`,
      'return Reflect.construct(ST.site.shell, arguments, nt === shell ? ST.site.shell : nt);',
      '}',
      'return shell;',
    ].join('\n');
  }
}
