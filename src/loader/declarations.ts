import { Backwards, DIVISION, lineEnd, textEnd, UNSURE } from './backwards.ts';
import type { Declarations } from './contract.ts';

/*
 * Most modules that are edited declare classes at their top level and write them plainly. A look at the text finds these, and all that is
 * asked of them, in a tenth of the time that a parser and its tree take; wherever it is not sure of what it sees, it gives up.
 */

/** What may hide a bracket, or must be looked at; all else is passed over by the engine's own search. */
const TOKENS = /["'`/\\#(){}]|\bclass\b|<!--|-->/g;
/**
 * What stands between such, and plain texts: most of what is in a function is passed over at once. Each character has one way to be read, so that
 * what does not match takes no longer than what does.
 */
const PLAIN_WORD = /c(?!lass\b)|\Bc(?=lass\b)|<(?!!--)|-(?!->)/.source;
const PLAIN_TEXT = /'[^'\\\n\r]*'|"[^"\\\n\r]*"|`(?:[^`\\$]|\$(?!\{)|\$\{[^"'`/\\#{}<>]*\})*`/.source;
const plain = (stops: string): string => `[^${stops}]+(?=[${stops}]|$)|${PLAIN_WORD}|${PLAIN_TEXT}`;
const IN_BRACES = plain('"\'`/\\\\#{}c<-');
const IN_PARENTHESES = plain('"\'`/\\\\#(){}c<-');
const BRACES = new RegExp(`(?:${IN_BRACES})*`, 'y');
const PARENTHESES = new RegExp(`(?:${IN_PARENTHESES})*`, 'y');
/** The parameters and the body of a method behind its parenthesis, where they are plain and not deep. */
const BLOCK = `\\{(?:${IN_BRACES})*\\}`;
const METHOD = new RegExp(`(?:${IN_PARENTHESES}|${BLOCK}|\\((?:${IN_PARENTHESES})*\\))*\\)\\s*\\{(?:${IN_BRACES}|\\{(?:${IN_BRACES}|${BLOCK})*\\})*\\}`, 'y');
const FIELD = /["'`/\\#(){};]|\bclass\b|<!--|-->/g;
/** To the end of a template, or of what is before an expression in it. */
const TEMPLATE = /[^`\\$]*(?:(?:\\[^]|\$(?!\{))[^`\\$]*)*(?:`|\$\{)/y;
const CLASS = /class\s+([A-Za-z$][\w$]*)\s*(?:extends\s+([\w$.]+)\s*)?\{/y;
const SPACE = /(?:[\s;]|\/\/.*|\/\*[^]*?\*\/)*/y;
const MEMBER = /(static\s+)?(async[ \t]+)?(\*\s*)?(?:(get|set)\s+)?([A-Za-z_$][\w$]*)\s*([(=;])/y;
const WORD = /[\w$\u0080-\uffff]+/g;
/** A key whose name is not what is written. */
const NUMBER_KEY = /(?:\.\d|\b\d\w*\.|\b(?:0\w|\d+[a-zA-Z_]))[\w.]*\s*[(:\]]/;

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

/** Where a text is next: searched for once, however often it is asked for. */
class Next {
  readonly #source: string;
  readonly #text: string;
  #at = -1;

  constructor(source: string, text: string) {
    this.#source = source;
    this.#text = text;
  }

  /** Infinity: nowhere. */
  from(at: number): number {
    if (this.#at < at) {
      const found = this.#source.indexOf(this.#text, at);
      this.#at = found < 0 ? Infinity : found;
    }
    return this.#at;
  }
}

class Reader {
  readonly #source: string;
  readonly #back: Backwards;
  readonly #body: At[] = [];
  readonly #names = new Set<string>();
  /** What is at the top level beside classes, comments, texts and bodies of functions. */
  #rest = '';
  readonly #escape: Next;
  readonly #line: Next;
  readonly #expression: Next;

  constructor(source: string) {
    this.#source = source;
    this.#back = new Backwards(source);
    this.#escape = new Next(source, '\\');
    this.#line = new Next(source, '\n');
    this.#expression = new Next(source, '${');
  }

  read(): Declarations | undefined {
    const source = this.#source;
    let at = source.startsWith('#!') ? lineEnd(source, 0) : 0;
    let [braces, parentheses] = [0, 0];
    for (let end = behind(TOKENS, source, at); end <= source.length; end = behind(TOKENS, source, at)) {
      const c = source[end - 1]!;
      const start = c === 's' ? end - 'class'.length : end - 1;
      this.#rest += source.slice(at, start) + (c === '(' ? c : ' ');
      at = end;
      if (c === '(') parentheses++;
      else if (c === ')') parentheses--;
      else if (c === '}') braces--;
      else if (c === '{') {
        if (this.#isBehindParameters(start)) at = this.#closing(BRACES, end);
        else braces++;
      } else if (c !== 's') {
        at = this.#other(end - 1);
        if ((c === "'" || c === '"') && at <= source.length) {
          if (this.#escape.from(end) < at) return undefined;
          this.#names.add(source.slice(end, at - 1));
        }
      } else if (this.#isName(start)) this.#names.add('class');
      else at = braces === 0 && parentheses === 0 && this.#isStatement(start) ? this.#class(start) : Infinity;
      if (at > source.length || braces < 0 || parentheses < 0 || this.#rest.length > MAX_REST) return undefined;
    }
    this.#rest += source.slice(at);
    if (braces !== 0 || parentheses !== 0 || this.#rest.length > MAX_REST || NUMBER_KEY.test(this.#rest)) return undefined;
    for (const name of this.#rest.match(WORD) ?? []) this.#names.add(name);
    const end = this.#back.before(source.length) + 1;
    this.#body.push({ type: 'EmptyStatement', start: end, end });
    return { program: { type: 'Program', start: 0, end: source.length, body: this.#body } as never, names: this.#names };
  }

  /** Behind the bracket that closes what is open at `from`; Infinity: it is not sure. */
  #closing(plain: RegExp, from: number): number {
    const source = this.#source;
    let depth = 1;
    for (let at = from; at <= source.length;) {
      plain.lastIndex = at;
      plain.test(source);
      at = plain.lastIndex;
      const c = source[at];
      if (c === '{') {
        if (plain === BRACES) depth++;
        else at = this.#closing(BRACES, at + 1) - 1;
      } else if (c === '}' || c === ')') {
        if ((c === '}') !== (plain === BRACES)) return Infinity;
        if (--depth === 0) return at + 1;
      } else if (c === '(') depth++;
      else if (c === undefined) break;
      // Of a `class` the last letter is looked at.
      else at = this.#other(c === 'c' ? at + 'class'.length - 1 : at) - 1;
      at++;
    }
    return Infinity;
  }

  /** Behind what is no bracket and ends at `at`, or begins there. */
  #other(at: number): number {
    const source = this.#source;
    const c = source[at]!;
    switch (c) {
      case "'":
      case '"': {
        const end = source.indexOf(c, at + 1);
        if (this.#escape.from(at) < end) return textEnd(source, at + 1, c);
        return end < 0 || this.#line.from(at) < end ? Infinity : end + 1;
      }
      case '`':
        return this.#template(at + 1);
      case '/': {
        const next = source[at + 1];
        if (next !== '/' && next !== '*') return this.#back.solidus(at, (bracket) => this.#behindBracket(bracket));
        const end = this.#back.comment(at);
        return end < 0 ? Infinity : end;
      }
      case 's':
        return this.#isName(at + 1 - 'class'.length) ? at + 1 : Infinity;
      default:
        // A private name, an escape in a name, a comment as HTML has them.
        return Infinity;
    }
  }

  #template(from: number): number {
    const source = this.#source;
    for (let at = from; at <= source.length; at = this.#closing(BRACES, at)) {
      const found = source.indexOf('`', at);
      const end = Math.min(found < 0 ? Infinity : found + 1, this.#expression.from(at) + 2);
      if (this.#escape.from(at) < end) {
        TEMPLATE.lastIndex = at;
        if (!TEMPLATE.test(source)) return Infinity;
        at = TEMPLATE.lastIndex;
      } else at = end;
      if (at > source.length || source[at - 1] === '`') return at;
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
    const name = head[1]!;
    const base = head[2] as string | undefined;
    if (name === 'extends' || base === 'null') return Infinity;
    const open = CLASS.lastIndex - 1;
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
      const isStatic = found[1] as string | undefined;
      const accessor = found[4] as string | undefined;
      const [name, sign] = [found[5]!, found[6]];
      at = MEMBER.lastIndex;
      const plain = found[2] === undefined && found[3] === undefined && accessor === undefined;
      if (sign === '(') at = this.#method(at);
      else if (!plain) return Infinity;
      else if (sign === '=') at = this.#field(at);
      // Of one layout.
      const type = sign === '(' ? 'MethodDefinition' : 'PropertyDefinition';
      const kind = accessor ?? (plain && isStatic === undefined && name === 'constructor' ? 'constructor' : 'method');
      const key = { type: 'Identifier', start, end: at, name };
      into.push({ type, kind: sign === '(' ? kind : undefined, start, end: at, static: isStatic !== undefined, computed: false, key });
    }
    return Infinity;
  }

  /** Behind the body of a method, whose parameters begin at `from`. */
  #method(from: number): number {
    const source = this.#source;
    METHOD.lastIndex = from;
    if (METHOD.test(source)) return METHOD.lastIndex;
    const parameters = this.#closing(PARENTHESES, from);
    if (parameters === Infinity) return Infinity;
    const body = this.#behindSpace(parameters);
    return source[body] === '{' ? this.#closing(BRACES, body + 1) : Infinity;
  }

  #behindSpace(at: number): number {
    SPACE.lastIndex = at;
    SPACE.test(this.#source);
    return SPACE.lastIndex;
  }

  /** Behind what a field begins with: its `;`, or before the brace that ends the class. Without semicolons a method may follow: not sure. */
  #field(from: number): number {
    const source = this.#source;
    for (let at = behind(FIELD, source, from); at <= source.length; at = behind(FIELD, source, at)) {
      const c = source[at - 1];
      if (c === ';') return at;
      if (c === '}') return at - 1;
      if (c === '(') at = this.#closing(PARENTHESES, at);
      else if (c === '{') {
        const last = this.#back.before(at - 1);
        const isValue = source[last] === '=' || (source[last] === '>' && source[last - 1] === '=');
        at = isValue ? this.#closing(BRACES, at) : Infinity;
      } else at = c === ')' ? Infinity : this.#other(at - 1);
      if (at > source.length) break;
    }
    return Infinity;
  }
}

/** Behind the next token; Infinity: there is none. */
function behind(tokens: RegExp, source: string, at: number): number {
  tokens.lastIndex = at;
  return tokens.test(source) ? tokens.lastIndex : Infinity;
}
