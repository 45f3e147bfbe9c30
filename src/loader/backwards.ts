/*
 * What a look at the text, without a parser, has to know of what is before a place: above all whether a `/` there begins a regular expression.
 * Where only a parser could tell, it says so.
 */

/** What a `/` means: a regular expression begins, something is divided, or only a parser knows. */
export const REGEXP = 0;
export const DIVISION = 1;
export const UNSURE = 2;

const BEFORE_REGEXP = new Set(['return', 'typeof', 'case', 'do', 'else', 'in', 'instanceof', 'new', 'void', 'delete', 'throw', 'default', 'extends']);
/** Names in one place and keywords in another, or what may end a statement without a semicolon. */
const UNSURE_BEHIND = new Set(['yield', 'await', 'of', 'async', 'let', 'static', 'break', 'continue', 'debugger']);
/** By their last letters: what stands in parentheses behind these is followed by a statement (behind `await`, only in `for await`). */
const BEFORE_STATEMENT: Readonly<Record<string, string>> = { f: 'if', e: 'while', r: 'for', h: 'with', t: 'await' };

export type Block = readonly [from: number, to: number];

/** What is before a place in a source that is read from its beginning; who reads it tells of each comment and regular expression. */
export class Backwards {
  readonly source: string;
  readonly #comments: Block[] = [];
  /** Behind the last regular expression. */
  #regexpTo = -1;

  constructor(source: string) {
    this.source = source;
  }

  /** Offset behind the comment at `at`; -1 where it has no end, or what is there is none. */
  comment(at: number): number {
    const { source } = this;
    const next = source[at + 1];
    if (next !== '/' && next !== '*') return -1;
    const behind = next === '/' ? lineEnd(source, at) : source.indexOf('*/', at + 2) + 2;
    if (behind < 2) return -1;
    this.#comments.push([at, behind]);
    return behind;
  }

  /** Offset behind what a `/` begins that is no comment: a regular expression or a division; Infinity: it is not sure. */
  solidus(at: number, behindBracket: (bracket: number) => number): number {
    const meaning = this.#meaningOfSlash(at, behindBracket);
    if (meaning !== REGEXP) return meaning === UNSURE ? Infinity : at + 1;
    return (this.#regexpTo = regularExpressionEnd(this.source, at + 1));
  }

  #meaningOfSlash(at: number, behindBracket: (bracket: number) => number): number {
    const { source } = this;
    const last = this.before(at);
    if (last < 0) return REGEXP;
    const c = source[last]!;
    if (isWord(c)) return this.#behindWord(last);
    switch (c) {
      case ')':
      case ']':
      case '}':
        return behindBracket(last);
      case '"':
      case "'":
      case '`':
        return DIVISION;
      case '/':
        return last === this.#regexpTo - 1 ? DIVISION : REGEXP;
      case '+':
      case '-':
        // Before or behind its operand?
        return source[last - 1] === c ? UNSURE : REGEXP;
      case '.':
        return UNSURE;
      default:
        return REGEXP;
    }
  }

  #behindWord(last: number): number {
    const from = this.wordStart(last);
    const word = this.source.slice(from, last + 1);
    if (this.isProperty(from)) return DIVISION;
    if (UNSURE_BEHIND.has(word)) return UNSURE;
    if (BEFORE_REGEXP.has(word)) return REGEXP;
    // A label is followed by a statement.
    const before = this.before(from);
    const label = before >= 0 && isWord(this.source[before]!) ? this.source.slice(this.wordStart(before), before + 1) : '';
    return label === 'break' || label === 'continue' ? UNSURE : DIVISION;
  }

  /** What a `/` means behind the parentheses that open at `at`. */
  behindParentheses(at: number): number {
    const last = this.before(at);
    // Most are calls: mostly the last letter tells.
    const word = BEFORE_STATEMENT[this.source[last]!];
    if (word === undefined || !this.source.endsWith(word, last + 1)) return DIVISION;
    const from = last + 1 - word.length;
    if (isWord(this.source[from - 1] ?? ' ') || this.isProperty(from)) return DIVISION;
    return word === 'await' ? UNSURE : REGEXP;
  }

  /** A name behind a dot or a `#`; not behind `...`. */
  isProperty(from: number): boolean {
    const { source } = this;
    const before = this.before(from);
    return source[before] === '#' || (source[before] === '.' && source[before - 1] !== '.');
  }

  wordStart(last: number): number {
    let from = last;
    while (from > 0 && isWord(this.source[from - 1]!)) from--;
    return from;
  }

  /** Offset of what is before, spaces and comments left out. */
  before(at: number): number {
    const { source } = this;
    let last = at - 1;
    for (let n = this.#comments.length - 1; ; n--) {
      while (last >= 0 && isSpace(source[last]!)) last--;
      while (n >= 0 && this.#comments[n]![1] > last + 1) n--;
      if (n < 0 || this.#comments[n]![1] !== last + 1) return last;
      last = this.#comments[n]![0] - 1;
    }
  }
}

const isSpace = (c: string): boolean => c === ' ' || c === '\n' || (c < '!' || c > '~' ? /\s/.test(c) : false);
export const isWord = (c: string): boolean => (c >= 'a' && c <= 'z') || (c <= '~' ? /[\w$]/.test(c) : !isSpace(c));

const LINE_END = /[\n\r\u2028\u2029]/g;

export function lineEnd(source: string, from: number): number {
  LINE_END.lastIndex = from;
  return LINE_END.test(source) ? LINE_END.lastIndex - 1 : source.length;
}

/** Behind the quote that ends a text; Infinity: there is none in its line. */
export function textEnd(source: string, from: number, quote: string): number {
  for (let at = from; at < source.length; at++) {
    const c = source[at];
    if (c === quote) return at + 1;
    if (c === '\\') at++;
    else if (c === '\n' || c === '\r') break;
  }
  return Infinity;
}

function regularExpressionEnd(source: string, from: number): number {
  let inClass = false;
  for (let at = from; at < source.length; at++) {
    const c = source[at];
    if (c === '/' && !inClass) return at + 1;
    if (c === '[') inClass = true;
    else if (c === ']') inClass = false;
    else if (c === '\\') at++;
    else if (c === '\n' || c === '\r') break;
  }
  return Infinity;
}
