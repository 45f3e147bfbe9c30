import { Backwards, DIVISION, isWord, lineEnd, REGEXP, textEnd, UNSURE, type Block } from './backwards.ts';

/*
 * What stands inside of functions matters to nobody who looks for declarations, yet it is most of what a parser hands over. A look at the
 * text that is less than a parser's finds the bodies; wherever it is not sure of what it sees, it gives up, and all is parsed.
 */

/** What may change the meaning of a brace, or must be kept; all else is passed over by the engine's own search. */
const NEXT = /["'`/\\(){}[\]#]|\b(?:class|extends)\b|<!--|-->/g;

/** In parentheses behind these, and before a block, is what cannot be left out; behind `constructor` it is asked for. */
const NO_PARAMETERS = new Set(['if', 'while', 'for', 'with', 'switch', 'catch', 'await', 'import', 'constructor']);

/**
 * The source with the bodies of functions (and other blocks behind parentheses) emptied, and most of their parameters, unless `class` or a
 * `#` is in them. It is as long as before, so that offsets stay. Undefined where nothing can be emptied, or not for sure. The text is assumed to have no syntax error.
 */
export function outline(source: string): string | undefined {
  const blocks = new Blocks(source).find();
  if (blocks === undefined || blocks.length === 0) return undefined;
  let text = '';
  let at = 0;
  for (const [from, to] of blocks) {
    text += source.slice(at, from) + ' '.repeat(to - from);
    at = to;
  }
  return text + source.slice(at);
}

/** Something that is open. */
interface Open {
  readonly closedBy: string;
  readonly slash: number;
  /** Of a block that may be emptied: where it begins; else -1. */
  readonly from: number;
  /** How much had been found before that is to be kept. */
  readonly kept: number;
  readonly at: number;
}

/** What may be emptied, in order. */
export class Blocks {
  readonly #source: string;
  readonly #back: Backwards;
  readonly #blocks: Block[] = [];
  readonly #open: Open[] = [];
  #kept = 0;
  /** What a `/` means behind the last bracket that was closed. */
  #slash = REGEXP;
  /** The last parentheses that were closed, unless something in them is to be kept. */
  #closed: Block | undefined;
  /** How much is open around a class whose body is still to come, and where its `extends` is. */
  #heritage = -1;
  #extendsAt = -1;

  constructor(source: string) {
    this.#source = source;
    this.#back = new Backwards(source);
  }

  /** Undefined where a parser is needed to tell. */
  find(): readonly Block[] | undefined {
    const source = this.#source;
    NEXT.lastIndex = source.startsWith('#!') ? lineEnd(source, 0) : 0;
    while (NEXT.test(source)) {
      const end = NEXT.lastIndex;
      const to = this.#token(source[end - 1]!, end - 1);
      if (to > source.length) return undefined;
      NEXT.lastIndex = to;
    }
    return this.#open.length === 0 ? this.#blocks : undefined;
  }

  /** Where to go on; Infinity: it is not sure. */
  #token(c: string, at: number): number {
    switch (c) {
      case '(':
        return this.#push(')', this.#back.behindParentheses(at), at, -1);
      case '[':
        return this.#push(']', DIVISION, at, -1);
      case '{':
        return this.#brace(at);
      case ')':
      case ']':
      case '}':
        return this.#close(c, at);
      case '"':
      case "'":
        return textEnd(this.#source, at + 1, c);
      case '`':
        return this.#template(at + 1);
      case '/':
        return this.#solidus(at);
      case '#':
        this.#kept++;
        return at + 1;
      case 's':
        return this.#word(at);
      default:
        // An escape in a name, or a comment as HTML has them.
        return Infinity;
    }
  }

  #push(closedBy: string, slash: number, at: number, from: number): number {
    this.#open.push({ closedBy, slash, from, kept: this.#kept, at });
    return at + 1;
  }

  #close(c: string, at: number): number {
    const closed = this.#open.pop();
    if (closed?.closedBy === '`' && c === '}') return this.#template(at + 1);
    if (closed?.closedBy !== c) return Infinity;
    this.#slash = closed.slash;
    if (c === ')') this.#closed = closed.kept === this.#kept ? [closed.at + 1, at] : undefined;
    if (closed.from >= 0 && closed.kept === this.#kept) this.#empty(closed.from, at);
    return at + 1;
  }

  #empty(from: number, to: number): void {
    while (this.#blocks.length > 0 && this.#blocks.at(-1)![0] > from) this.#blocks.pop();
    if (to > from) this.#blocks.push([from, to]);
  }

  #brace(at: number): number {
    const isClass = this.#heritage === this.#open.length;
    if (isClass) {
      this.#heritage = -1;
      // Whose brace is it then?
      if (this.#source.slice(this.#extendsAt, at).includes('function')) return Infinity;
    }
    const last = this.#back.before(at);
    const isBlock = !isClass && (this.#source[last] === ')' || (this.#source[last] === '>' && this.#source[last - 1] === '='));
    if (isBlock && this.#source[last] === ')' && this.#closed !== undefined && this.#areParameters(this.#closed[0] - 1)) this.#empty(...this.#closed);
    return this.#push('}', UNSURE, at, isBlock ? at + 1 : -1);
  }

  /** Of a function or a method with a name that is no setter, which must have its one; or of a call, which does not matter. */
  #areParameters(parenthesis: number): boolean {
    const source = this.#source;
    const last = this.#back.before(parenthesis);
    if (last < 0 || !isWord(source[last]!)) return false;
    const from = this.#back.wordStart(last);
    if (NO_PARAMETERS.has(source.slice(from, last + 1))) return false;
    const before = this.#back.before(from);
    return source[before] !== '#' && !(source.startsWith('set', before - 2) && !isWord(source[before - 3] ?? ' '));
  }

  #word(at: number): number {
    if (this.#source[at - 1] === 's') {
      this.#kept++;
      // A class that a class extends.
      return this.#heritage === this.#open.length ? Infinity : at + 1;
    }
    // Options often have this name.
    if (!this.#back.isProperty(at - 6) && this.#source[at + 1] !== ':') {
      this.#heritage = this.#open.length;
      this.#extendsAt = at;
    }
    return at + 1;
  }

  #template(from: number): number {
    const source = this.#source;
    for (let at = from; at < source.length; at++) {
      const c = source[at];
      if (c === '`') return at + 1;
      if (c === '\\') at++;
      else if (c === '$' && source[at + 1] === '{') return this.#push('`', DIVISION, at + 1, -1);
    }
    return Infinity;
  }

  #solidus(at: number): number {
    const next = this.#source[at + 1];
    if (next !== '/' && next !== '*') return this.#back.solidus(at, () => this.#slash);
    const behind = this.#back.comment(at);
    return behind < 0 ? Infinity : behind;
  }
}
