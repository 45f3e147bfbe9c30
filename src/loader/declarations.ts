import { Backwards, DIVISION, lineEnd, UNSURE } from './backwards.ts';
import type { Declarations } from './contract.ts';

/*
 * Most modules that are edited declare classes at their top level and write them plainly. A look at the text finds these, and all that is
 * asked of them, in a tenth of the time that a parser and its tree take; wherever it is not sure of what it sees, it gives up.
 */

/** What may hide a bracket, or must be looked at; what hides is passed over by the engine's own search. */
const TEXTS = `'[^'\\\\\\n\\r]*(?:\\\\[^][^'\\\\\\n\\r]*)*'|"[^"\\\\\\n\\r]*(?:\\\\[^][^"\\\\\\n\\r]*)*"|\`[^\`\\\\$]*(?:(?:\\\\[^]|\\$(?!\\{))[^\`\\\\$]*)*\`|//.*|/\\*[^]*?\\*/|['"\`/\\\\#]|\\bclass\\b|<!--|-->`;
const BRACES = new RegExp(`[{}]|${TEXTS}`, 'g');
const PARENTHESES = new RegExp(`[(){}]|${TEXTS}`, 'g');
const FIELD = new RegExp(`[;({}]|${TEXTS}`, 'g');
/** To the end of a template, or of what is before an expression in it. */
const TEMPLATE = /[^`\\$]*(?:(?:\\[^]|\$(?!\{))[^`\\$]*)*(?:`|\$\{)/y;
const CLASS = /class\s+([A-Za-z$][\w$]*)\s*(?:extends\s+([\w$.]+)\s*)?\{/y;
const SPACE = /(?:[\s;]|\/\/.*|\/\*[^]*?\*\/)*/y;
const MEMBER = /(static\s+)?(async[ \t]+)?(\*\s*)?(?:(get|set)\s+)?([A-Za-z_$][\w$]*)\s*([(=;])/y;
const WORD = /[\w$\u0080-\uffff]+/g;
/** A key whose name is not what is written. */
const NUMBER_KEY = /(?:\.\d|\b\d\w*\.|\b(?:0\w|\d+[a-z_]))[\w.]*\s*[(:\]]/i;

/** Longer ones than this, classes left out, have too many names for each to be looked at. */
const MAX_REST = 20_000;

/** As ESTree has it. */
interface At {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [key: string]: unknown;
}

/** What is declared at the top level of JavaScript without syntax errors; undefined where only a parser can tell. */
export function declarations(source: string): Declarations | undefined {
  return new Reader(source).read();
}

class Reader {
  readonly #source: string;
  readonly #back: Backwards;
  readonly #body: At[] = [];
  readonly #names = new Set<string>();
  /** What is at the top level beside classes, comments, texts and bodies of functions. */
  #rest = '';

  constructor(source: string) {
    this.#source = source;
    this.#back = new Backwards(source);
  }

  read(): Declarations | undefined {
    const source = this.#source;
    let at = source.startsWith('#!') ? lineEnd(source, 0) : 0;
    let depth = 0;
    for (let found = next(BRACES, source, at); found !== null; found = next(BRACES, source, at)) {
      const { index, 0: token } = found;
      this.#rest += `${source.slice(at, index)} `;
      at = index + token.length;
      if (token === '{') {
        if (this.#isBehindParameters(index)) at = this.#closing(BRACES, at);
        else depth++;
      } else if (token === '}') depth--;
      else if (token === 'class' && !this.#isName(index)) at = depth === 0 && this.#isStatement(index) ? this.#class(index) : Infinity;
      else {
        if (token.length > 1 && (token[0] === '"' || token[0] === "'")) {
          if (token.includes('\\')) return undefined;
          this.#names.add(token.slice(1, -1));
        } else if (token === 'class') this.#names.add(token);
        at = this.#other(token, index);
      }
      if (!(at <= source.length) || depth < 0 || this.#rest.length > MAX_REST) return undefined;
    }
    this.#rest += source.slice(at);
    if (depth !== 0 || this.#rest.length > MAX_REST || NUMBER_KEY.test(this.#rest)) return undefined;
    for (const name of this.#rest.match(WORD) ?? []) this.#names.add(name);
    const end = this.#back.before(source.length) + 1;
    this.#body.push({ type: 'EmptyStatement', start: end, end });
    return { program: { type: 'Program', start: 0, end: source.length, body: this.#body } as never, names: this.#names };
  }

  /** Behind the bracket that closes what is open at `at`; Infinity: it is not sure. */
  #closing(tokens: RegExp, from: number): number {
    const source = this.#source;
    const braces = tokens === BRACES;
    let depth = 1;
    for (let at = from; at <= source.length;) {
      const found = next(tokens, source, at);
      if (found === null) return Infinity;
      const { index, 0: token } = found;
      at = index + token.length;
      if (token === '{') {
        if (braces) depth++;
        else at = this.#closing(BRACES, at);
      } else if (token === '(') depth++;
      else if (token === '}' || token === ')') {
        if ((token === '}') !== braces) return Infinity;
        if (--depth === 0) return at;
      } else at = this.#other(token, index);
    }
    return Infinity;
  }

  /** Behind what is no bracket. */
  #other(token: string, at: number): number {
    const end = at + token.length;
    switch (token[0]) {
      case "'":
      case '"':
        return token.length > 1 ? end : Infinity;
      case '`':
        return token.length > 1 ? end : this.#template(end);
      case '/':
        if (token.length === 1) return this.#source[end] === '*' ? Infinity : this.#back.solidus(at, (bracket) => this.#behindBracket(bracket));
        this.#back.passed(at, end);
        return end;
      case 'c':
        return this.#isName(at) ? end : Infinity;
      default:
        // A private name, an escape in a name, a comment as HTML has them.
        return Infinity;
    }
  }

  #template(from: number): number {
    for (let at = from; at <= this.#source.length; at = this.#closing(BRACES, at)) {
      TEMPLATE.lastIndex = at;
      if (!TEMPLATE.test(this.#source)) return Infinity;
      at = TEMPLATE.lastIndex;
      if (this.#source[at - 1] === '`') return at;
    }
    return Infinity;
  }

  /** What a `/` means behind a bracket that is closed. */
  #behindBracket(bracket: number): number {
    const source = this.#source;
    if (source[bracket] !== ')') return source[bracket] === ']' ? DIVISION : UNSURE;
    let depth = 0;
    for (let at = bracket; at >= 0 && at > bracket - 500; at--) {
      const c = source[at];
      if (c === ')') depth++;
      else if (c === '(' && --depth === 0) return this.#back.behindParentheses(at);
      else if (c === "'" || c === '"' || c === '`' || c === '/') break;
    }
    return UNSURE;
  }

  /** The name of a property, no keyword. */
  #isName(at: number): boolean {
    return this.#source[at + 'class'.length] === ':' || this.#back.isProperty(at);
  }

  /** Of a function, or of a statement with a condition. */
  #isBehindParameters(brace: number): boolean {
    const last = this.#back.before(brace);
    return this.#source[last] === ')' || (this.#source[last] === '>' && this.#source[last - 1] === '=');
  }

  #isStatement(at: number): boolean {
    const last = this.#back.before(at);
    if (last < 0 || ';})]\'"`'.includes(this.#source[last]!)) return true;
    const from = this.#back.wordStart(last);
    const word = this.#source.slice(from, last + 1);
    if (word === 'default') return this.#isStatement(from);
    const before = this.#back.before(from);
    return word === 'export' && (before < 0 || this.#source[before] !== '.');
  }

  /** Behind a class. */
  #class(start: number): number {
    const source = this.#source;
    CLASS.lastIndex = start;
    const head = CLASS.exec(source);
    if (head === null) return Infinity;
    const [text, name, base] = head;
    if (name === 'extends' || base === 'null') return Infinity;
    const open = start + text.length - 1;
    const body: At[] = [];
    const end = this.#members(open + 1, body);
    if (end === Infinity) return Infinity;
    const at = { start: open, end: open };
    const superClass = base === undefined ? null : base.includes('.') ? { type: 'Expression', ...at } : { type: 'Identifier', ...at, name: base };
    const id = { type: 'Identifier', start: start + 'class'.length, end: open, name };
    this.#body.push({ type: 'ClassDeclaration', start, end, id, superClass, body: { type: 'ClassBody', start: open, end, body } });
    return end;
  }

  /** Reads members to behind the brace that closes the class. */
  #members(from: number, into: At[]): number {
    const source = this.#source;
    for (let at = from; at <= source.length;) {
      const start = this.#behindSpace(at);
      if (source[start] === '}') return start + 1;
      MEMBER.lastIndex = start;
      const found = MEMBER.exec(source);
      if (found === null) return Infinity;
      const [text, isStatic, isAsync, star, accessor, name, sign] = found;
      at = start + text.length;
      const plain = isAsync === undefined && star === undefined && accessor === undefined;
      if (sign === '(') {
        at = this.#closing(PARENTHESES, at);
        if (at === Infinity) return Infinity;
        at = this.#behindSpace(at);
        if (source[at] !== '{') return Infinity;
        at = this.#closing(BRACES, at + 1);
      } else if (!plain) return Infinity;
      else if (sign === '=') at = this.#field(at);
      const method = { type: 'MethodDefinition', kind: accessor ?? (plain && isStatic === undefined && name === 'constructor' ? 'constructor' : 'method') };
      const key = { type: 'Identifier', start, end: at, name };
      into.push({ ...(sign === '(' ? method : { type: 'PropertyDefinition' }), start, end: at, static: isStatic !== undefined, computed: false, key });
    }
    return Infinity;
  }

  #behindSpace(at: number): number {
    SPACE.lastIndex = at;
    SPACE.test(this.#source);
    return SPACE.lastIndex;
  }

  /** Behind what a field begins with: its `;`, or before the brace that ends the class. Without semicolons a method may follow: not sure. */
  #field(from: number): number {
    const source = this.#source;
    for (let at = from; at <= source.length;) {
      const found = next(FIELD, source, at);
      if (found === null) return Infinity;
      const { index, 0: token } = found;
      at = index + token.length;
      if (token === ';') return at;
      if (token === '}') return index;
      if (token === '(') at = this.#closing(PARENTHESES, at);
      else if (token === '{') {
        const last = this.#back.before(index);
        const isValue = source[last] === '=' || (source[last] === '>' && source[last - 1] === '=');
        at = isValue ? this.#closing(BRACES, at) : Infinity;
      } else at = this.#other(token, index);
    }
    return Infinity;
  }
}

function next(tokens: RegExp, source: string, at: number): RegExpExecArray | null {
  tokens.lastIndex = at;
  return tokens.exec(source);
}
