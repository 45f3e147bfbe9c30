/**
 * Regular expressions that cannot hang (reliability B11): Thompson's construction, all states run side by side, so the time
 * is bounded by length of text x size of pattern. K. Thompson, "Regular expression search algorithm", CACM 11(6), 1968.
 * Only the structure is ours; what one character matches is asked of the engine's own RegExp.
 */

/** Why a pattern is refused. */
export class UnsupportedPattern extends Error {}

/** Copies that `{m,n}` makes count too. */
const MAX_STATES = 5000;

type Assertion = '^' | '$' | '\\b' | '\\B';

interface State {
  /** Consumes a character it accepts; undefined: goes on at once. */
  readonly test: ((character: string) => boolean) | undefined;
  readonly assertion: Assertion | undefined;
  readonly to: number[];
}

type Tree =
  | { readonly type: 'sequence' | 'alternatives'; readonly parts: readonly Tree[] }
  | { readonly type: 'atom'; readonly source: string }
  | { readonly type: 'assertion'; readonly assertion: Assertion }
  | { readonly type: 'repeat'; readonly part: Tree; readonly min: number; readonly max: number };

/** Escapes of one character or class, longest first. */
const ESCAPE = /\\(?:x[\da-fA-F]{2}|u\{[\da-fA-F]+\}|u[\da-fA-F]{4}|c[a-zA-Z]|[pP]\{[^}]*\}|[^])/y;
const CLASS = /\[(?:\\[^]|[^\]\\])*\]/y;
const QUANTIFIER = /(?:([*+?])|\{(\d+)(?:(,)(\d*))?\})\??/y;
const GROUP = /\((?:\?:|\?<[^=!>][^>]*>)?/y;

class Reader {
  readonly #source: string;
  #at = 0;
  readonly #unicode: boolean;

  constructor(source: string, unicode: boolean) {
    this.#source = source;
    this.#unicode = unicode;
  }

  read(): Tree {
    return this.#alternatives();
  }

  #take(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#source);
    if (match !== null) this.#at += match[0].length;
    return match;
  }

  #alternatives(): Tree {
    const parts = [this.#sequence()];
    while (this.#source[this.#at] === '|') {
      this.#at++;
      parts.push(this.#sequence());
    }
    return parts.length === 1 ? parts[0]! : { type: 'alternatives', parts };
  }

  #sequence(): Tree {
    const parts: Tree[] = [];
    while (this.#at < this.#source.length && this.#source[this.#at] !== '|' && this.#source[this.#at] !== ')') parts.push(this.#repeated());
    return { type: 'sequence', parts };
  }

  #repeated(): Tree {
    const part = this.#one();
    const quantifier = this.#take(QUANTIFIER);
    if (quantifier === null) return part;
    const [, sign, least, comma, most] = quantifier;
    const min = sign === undefined ? Number(least) : sign === '+' ? 1 : 0;
    const max = sign === undefined ? (comma === undefined ? min : most === '' ? Infinity : Number(most)) : sign === '?' ? 1 : Infinity;
    return { type: 'repeat', part, min, max };
  }

  #one(): Tree {
    const c = this.#source[this.#at]!;
    if (c === '^' || c === '$') {
      this.#at++;
      return { type: 'assertion', assertion: c };
    }
    if (c === '(') {
      if (this.#source.startsWith('(?', this.#at) && /^\(\?<?[=!]/.test(this.#source.slice(this.#at, this.#at + 4)))
        throw new UnsupportedPattern('it looks around');
      if (this.#take(GROUP)![0] === '(' && this.#source[this.#at] === '?') throw new UnsupportedPattern('it changes flags inside');
      const inner = this.#alternatives();
      this.#at++; // the engine has checked that it is there
      return inner;
    }
    if (c === '\\') {
      const text = this.#take(ESCAPE)![0];
      if (/^\\[1-9k]/.test(text)) throw new UnsupportedPattern('it has a backreference');
      if (text === '\\b' || text === '\\B') return { type: 'assertion', assertion: text };
      return { type: 'atom', source: text };
    }
    if (c === '[') return { type: 'atom', source: this.#take(CLASS)![0] };
    const character = this.#unicode ? String.fromCodePoint(this.#source.codePointAt(this.#at)!) : c;
    this.#at += character.length;
    return { type: 'atom', source: character === '{' || character === '}' || character === ']' ? `\\${character}` : character };
  }
}

class Automaton {
  readonly states: State[] = [];
  readonly #flags: string;

  constructor(flags: string) {
    this.#flags = flags.replace(/m/g, '');
  }

  add(fields: Partial<State> = {}): number {
    if (this.states.length >= MAX_STATES) throw new UnsupportedPattern(`it has more than ${MAX_STATES} states`);
    return this.states.push({ test: undefined, assertion: undefined, ...fields, to: [] }) - 1;
  }

  /** Wires a tree from state `from`; gives the state it ends in. */
  wire(tree: Tree, from: number): number {
    switch (tree.type) {
      case 'atom': {
        const one = new RegExp(`^(?:${tree.source})$`, this.#flags);
        return this.#after(from, this.add({ test: (character) => one.test(character) }));
      }
      case 'assertion':
        return this.#after(from, this.add({ assertion: tree.assertion }));
      case 'sequence':
        return tree.parts.reduce((at, part) => this.wire(part, at), from);
      case 'alternatives': {
        const end = this.add();
        for (const part of tree.parts) this.states[this.wire(part, this.#after(from, this.add()))]!.to.push(end);
        return end;
      }
      case 'repeat': {
        let at = from;
        for (let i = 0; i < tree.min; i++) at = this.wire(tree.part, at);
        const end = this.add();
        if (tree.max === Infinity) {
          const loop = this.#after(at, this.add());
          this.states[this.wire(tree.part, loop)]!.to.push(loop);
          this.states[loop]!.to.push(end);
          return end;
        }
        for (let i = tree.min; i < tree.max; i++) {
          this.states[at]!.to.push(end);
          at = this.wire(tree.part, at);
        }
        this.states[at]!.to.push(end);
        return end;
      }
    }
  }

  #after(from: number, state: number): number {
    this.states[from]!.to.push(state);
    return state;
  }
}

const isWord = (character: string | undefined): boolean => character !== undefined && /^\w/.test(character);

/**
 * Whether `pattern` matches somewhere in a text, in linear time.
 * @throws UnsupportedPattern for backreferences, lookaround, flags inside, the v flag, and patterns of too many states
 */
export function compileRegularExpression(pattern: RegExp): (text: string) => boolean {
  if (pattern.unicodeSets) throw new UnsupportedPattern('it has the v flag');
  const flags = pattern.flags.replace(/[dgy]/g, '');
  const automaton = new Automaton(flags);
  const start = automaton.add();
  const accept = automaton.wire(new Reader(pattern.source, pattern.unicode).read(), start);
  const { states } = automaton;
  const holds = (assertion: Assertion, before: string | undefined, after: string | undefined): boolean => {
    if (assertion === '^') return before === undefined || (pattern.multiline && /^[\n\r\u2028\u2029]$/.test(before));
    if (assertion === '$') return after === undefined || (pattern.multiline && /^[\n\r\u2028\u2029]$/.test(after));
    return (isWord(before) !== isWord(after)) === (assertion === '\\b');
  };
  return (text) => {
    const characters = pattern.unicode ? Array.from(text) : text.split('');
    let current = new Set<number>();
    for (let i = 0; i <= characters.length; i++) {
      const before = characters[i - 1];
      const after = characters[i];
      // What consumed a character goes on, and the search starts anew at each place.
      const pending = [start, ...current].flatMap((at) => (at === start ? [start] : states[at]!.to));
      const reached = new Set<number>();
      for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
        const { test, assertion, to } = states[at]!;
        if (reached.has(at) || (assertion !== undefined && !holds(assertion, before, after))) continue;
        reached.add(at);
        if (test === undefined) pending.push(...to);
      }
      // An accepting state that consumes is accepted once it has.
      if ((reached.has(accept) && states[accept]!.test === undefined) || current.has(accept)) return true;
      current = new Set();
      if (after !== undefined) for (const at of reached) if (states[at]!.test?.(after) === true) current.add(at);
    }
    return false;
  };
}
