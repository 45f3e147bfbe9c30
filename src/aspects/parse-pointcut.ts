import { annotated, call, cflow, construct, execution, get, named, set, within } from './designators.ts';
import { errors } from './errors.ts';
import type { NamePattern } from './pattern.ts';
import type { Pointcut } from './pointcut.ts';

const DESIGNATORS = { execution, call, construct, get, set, named, within, annotated, cflow } as const;
const NAMES = Object.keys(DESIGNATORS) as readonly (keyof typeof DESIGNATORS)[];
const MAX_DEPTH = 100;

const isSpace = (c: string | undefined): boolean => c !== undefined && /\s/.test(c);

/**
 * expression := term ('||' term)*     term := factor ('&&' factor)*
 * factor := '!' factor | '(' expression ')' | designator '(' argument? ')'
 * argument := 'quoted' | "quoted" | /regular expression/flags | Symbol.iterator | Symbol.for('name') | bare text | expression (of cflow)
 */
class Parser {
  readonly #text: string;
  #at = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
  }

  parse(): Pointcut {
    const pointcut = this.#expression();
    if (this.#peek() !== undefined) this.#fail(`expected && or ||, not ${JSON.stringify(this.#peek())}`);
    return pointcut;
  }

  #fail(why: string, at = this.#at, cause?: unknown): never {
    const before = this.#text.slice(0, at);
    const line = before.split('\n').length;
    const column = at - before.lastIndexOf('\n');
    // A window of the line, with a caret under the place.
    const whole = this.#text.split('\n')[line - 1]!;
    const from = Math.max(0, column - 61);
    const shown = `  ${whole.slice(from, from + 120)}\n  ${' '.repeat(column - 1 - from)}^`;
    throw errors.POINTCUT_SYNTAX({ line, column, why, shown }, cause);
  }

  #skip(): void {
    while (isSpace(this.#text[this.#at])) this.#at++;
  }

  #peek(): string | undefined {
    this.#skip();
    return this.#text[this.#at];
  }

  #eat(token: string): boolean {
    this.#skip();
    if (!this.#text.startsWith(token, this.#at)) return false;
    this.#at += token.length;
    return true;
  }

  #expect(token: string): void {
    if (!this.#eat(token)) this.#fail(`expected ${token}${this.#peek() === undefined ? ' before the end' : `, not ${JSON.stringify(this.#peek())}`}`);
  }

  #expression(): Pointcut {
    const parts = [this.#term()];
    while (this.#eat('||')) parts.push(this.#term());
    return parts[0]!.or(...parts.slice(1));
  }

  #term(): Pointcut {
    const parts = [this.#factor()];
    while (this.#eat('&&')) parts.push(this.#factor());
    return parts[0]!.and(...parts.slice(1));
  }

  #factor(): Pointcut {
    if (++this.#depth > MAX_DEPTH) this.#fail(`it is nested more than ${MAX_DEPTH} deep`);
    try {
      if (this.#eat('!')) return this.#factor().not();
      if (this.#eat('(')) {
        const inner = this.#expression();
        this.#expect(')');
        return inner;
      }
      return this.#designator();
    } finally {
      this.#depth--;
    }
  }

  #designator(): Pointcut {
    this.#skip();
    const start = this.#at;
    const [word] = /^[A-Za-z]*/.exec(this.#text.slice(start, start + 40))!;
    const name = NAMES.find((one) => one === word);
    if (name === undefined)
      this.#fail(word === '' ? `expected a pointcut: ${NAMES.join(', ')}` : `no pointcut is called ${word}; there are ${NAMES.join(', ')}`, start);
    this.#at += word.length;
    this.#expect('(');
    if (name === 'cflow') {
      const inner = this.#expression();
      this.#expect(')');
      return cflow(inner);
    }
    this.#skip();
    const at = this.#at;
    const argument = this.#argument();
    this.#expect(')');
    try {
      if (argument === undefined && (name === 'named' || name === 'within' || name === 'annotated')) this.#fail(`${name} needs a pattern`, at);
      return argument === undefined ? (DESIGNATORS[name] as () => Pointcut)() : (DESIGNATORS[name] as (pattern: NamePattern) => Pointcut)(argument);
    } catch (error) {
      if ((error as { code?: string }).code !== 'SP_ASPECTS_BAD_PATTERN') throw error;
      return this.#fail((error as Error).message.split('\n')[0]!, at, error);
    }
  }

  #argument(): NamePattern | undefined {
    const c = this.#peek();
    if (c === ')') return undefined;
    if (c === "'" || c === '"') return this.#quoted();
    if (c === '/' && this.#isRegularExpression()) return this.#regularExpression();
    if (this.#text.startsWith('Symbol', this.#at)) return this.#symbol();
    const start = this.#at;
    while (this.#at < this.#text.length && !/[()\s&|!]/.test(this.#text[this.#at]!)) this.#at++;
    if (this.#at === start) this.#fail(c === undefined ? 'expected a pattern before the end' : `expected a pattern, not ${JSON.stringify(c)}`);
    return this.#text.slice(start, this.#at);
  }

  #quoted(): string {
    const start = this.#at;
    const quote = this.#text[this.#at++]!;
    let value = '';
    for (; this.#text[this.#at] !== quote; this.#at++) {
      if (this.#text[this.#at] === '\\') this.#at++;
      const c = this.#text[this.#at];
      if (c === undefined) this.#fail(`the text that begins here is not closed by ${quote}`, start);
      value += c;
    }
    this.#at++;
    return value;
  }

  /** A bare path, `within(/srv/app/**)`, begins with a slash too: an expression is closed by one, with flags, before the parenthesis. */
  #isRegularExpression(): boolean {
    return /^\/(?:\\[^\n]|\[(?:\\[^\n]|[^\]\\\n])*\]|[^/\\[\n])+\/[a-z]*\s*\)/.test(this.#text.slice(this.#at, this.#at + 2000));
  }

  #regularExpression(): RegExp {
    const start = this.#at;
    const [whole, source, flags] = /^\/((?:\\[^\n]|\[(?:\\[^\n]|[^\]\\\n])*\]|[^/\\[\n])+)\/([a-z]*)/.exec(this.#text.slice(start, start + 2000))!;
    try {
      const made = new RegExp(source!, flags);
      this.#at += whole.length;
      return made;
    } catch (error) {
      return this.#fail((error as Error).message, start, error);
    }
  }

  #symbol(): symbol {
    const start = this.#at;
    this.#at += 'Symbol'.length;
    if (this.#eat('.for')) {
      this.#expect('(');
      if (this.#peek() !== "'" && this.#peek() !== '"') this.#fail('expected the key of the symbol in quotes');
      const key = this.#quoted();
      this.#expect(')');
      return Symbol.for(key);
    }
    const [, name] = /^\.([A-Za-z]+)/.exec(this.#text.slice(this.#at, this.#at + 40)) ?? [];
    const symbol: unknown = name === undefined ? undefined : (Symbol as unknown as Record<string, unknown>)[name];
    if (typeof symbol !== 'symbol') this.#fail('only well-known symbols (Symbol.iterator) and registered ones (Symbol.for(...)) can be written as text', start);
    this.#at += name!.length + 1;
    return symbol;
  }
}

/**
 * Reads a pointcut from text: `within('**\/orders.js') && (execution(Orders.save*) || get(/^s/)) && !construct()`.
 * @throws SP_ASPECTS_POINTCUT_SYNTAX with line, column and a caret
 */
export function parsePointcut(text: string): Pointcut {
  if (typeof text !== 'string') throw errors.BAD_POINTCUT({ what: typeof text });
  return new Parser(text).parse();
}
