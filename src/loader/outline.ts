/*
 * What stands inside of functions matters to nobody who looks for declarations, yet it is most of what a parser hands over. A look at the
 * text that is less than a parser's finds the bodies; wherever it is not sure of what it sees, it gives up, and all is parsed.
 */

/** What a `/` means behind a token: a regular expression begins, something is divided, or only a parser knows. */
const REGEXP = 0;
const DIVISION = 1;
const UNSURE = 2;

const BEFORE_REGEXP = new Set(['return', 'typeof', 'case', 'do', 'else', 'in', 'instanceof', 'new', 'void', 'delete', 'throw', 'default', 'extends']);
/** Names in one place and keywords in another, or what may end a statement without a semicolon. */
const UNSURE_BEHIND = new Set(['yield', 'await', 'of', 'async', 'let', 'static', 'break', 'continue', 'debugger']);
/** What stands in parentheses behind these is followed by a statement. */
const BEFORE_STATEMENT = new Set(['if', 'while', 'for', 'with']);

const WORD = Uint8Array.from({ length: 128 }, (_, c) => Number(/[\w$]/.test(String.fromCharCode(c))));
const isSpace = (c: number): boolean => c === 32 || (c >= 9 && c <= 13) || (c >= 128 && /\s/.test(String.fromCharCode(c)));
const isWord = (c: number): boolean => (c < 128 ? WORD[c] === 1 : !isSpace(c));
const code = (text: string): number => text.charCodeAt(0);

const [QUOTE, APOSTROPHE, BACKTICK, BACKSLASH, SLASH, STAR, DOT, HASH] = ['"', "'", '`', '\\', '/', '*', '.', '#'].map(code) as Eight;
const [PAREN, PAREN_END, BRACKET, BRACKET_END, BRACE, BRACE_END, EQUALS, GREATER] = ['(', ')', '[', ']', '{', '}', '=', '>'].map(code) as Eight;
const [LESS, BANG, PLUS, MINUS, DOLLAR, LF, CR, ZERO] = ['<', '!', '+', '-', '$', '\n', '\r', '0'].map(code) as Eight;
type Eight = [number, number, number, number, number, number, number, number];
/** In place of characters: the last token was `=>`, or a name. */
const ARROW = 1;
const NAME = 2;

/**
 * The source with the bodies of functions (and other blocks behind parentheses) emptied, unless `class` or a `#` is in them. It is as long
 * as before, so that offsets stay. Undefined where nothing can be emptied, or not for sure. The text is assumed to have no syntax error.
 */
export function outline(source: string): string | undefined {
  const blocks = blocksOf(source);
  if (blocks === undefined || blocks.length === 0) return undefined;
  let text = '';
  let at = 0;
  for (const [from, to] of blocks) {
    text += source.slice(at, from) + ' '.repeat(to - from);
    at = to;
  }
  return text + source.slice(at);
}

type Block = readonly [from: number, to: number];

/** What may be emptied, in order; undefined where a parser is needed to tell. */
export function blocksOf(source: string): readonly Block[] | undefined {
  const { length } = source;
  const blocks: Block[] = [];
  /** Of all that is open: what closes it, what a `/` means behind it; of a block, where it begins and how much was to be kept before. */
  const open: { readonly end: number; readonly slash: number; readonly from: number; readonly kept: number }[] = [];
  let kept = 0;
  let slash = REGEXP;
  let last = 0;
  let word = '';
  /** How much is open around a class whose body is still to come. */
  let heritage = -1;
  let inTemplate = false;
  for (let at = source.startsWith('#!') ? lineEnd(source, 0) : 0; at < length; ) {
    if (inTemplate) {
      at = templatePart(source, at);
      if (at > length) return undefined;
      inTemplate = false;
      if (source.charCodeAt(at - 1) === BACKTICK) [slash, last, word] = [DIVISION, BACKTICK, ''];
      else {
        open.push({ end: BACKTICK, slash: DIVISION, from: -1, kept });
        [slash, last, word] = [REGEXP, BRACE, ''];
      }
      continue;
    }
    const c = source.charCodeAt(at);
    if (isSpace(c)) {
      at++;
      continue;
    }
    if (isWord(c)) {
      const from = at;
      const isNumber = c >= ZERO && c <= ZERO + 9;
      // A number may end with its dot.
      for (at++; at < length && (isWord(source.charCodeAt(at)) || (isNumber && source.charCodeAt(at) === DOT)); ) at++;
      const isLabel = word === 'break' || word === 'continue';
      const isProperty = last === DOT || last === HASH;
      word = isNumber || isProperty ? '' : source.slice(from, at);
      last = NAME;
      slash = isLabel || UNSURE_BEHIND.has(word) ? UNSURE : BEFORE_REGEXP.has(word) ? REGEXP : DIVISION;
      if (word === 'class') kept++;
      if (heritage === open.length && (word === 'class' || word === 'function')) return undefined;
      if (word === 'extends') heritage = open.length;
      continue;
    }
    const next = source.charCodeAt(at + 1);
    if (c === SLASH && next === SLASH) {
      at = lineEnd(source, at);
      continue;
    }
    if (c === SLASH && next === STAR) {
      at = source.indexOf('*/', at + 2) + 2;
      if (at < 2) return undefined;
      continue;
    }
    const before = word;
    const behind = last;
    word = '';
    last = c;
    at++;
    switch (c) {
      case QUOTE:
      case APOSTROPHE:
        at = textEnd(source, at, c);
        if (at > length) return undefined;
        slash = DIVISION;
        break;
      case BACKTICK:
        inTemplate = true;
        break;
      case SLASH:
        if (slash === UNSURE) return undefined;
        if (slash === REGEXP) {
          at = regularExpressionEnd(source, at);
          if (at > length) return undefined;
          slash = DIVISION;
        } else slash = REGEXP;
        break;
      case PAREN:
        open.push({ end: PAREN_END, slash: BEFORE_STATEMENT.has(before) ? REGEXP : before === 'await' ? UNSURE : DIVISION, from: -1, kept });
        slash = REGEXP;
        break;
      case BRACKET:
        open.push({ end: BRACKET_END, slash: DIVISION, from: -1, kept });
        slash = REGEXP;
        break;
      case BRACE: {
        const isClass = heritage === open.length;
        if (isClass) heritage = -1;
        const isBlock = !isClass && (behind === PAREN_END || behind === ARROW);
        open.push({ end: BRACE_END, slash: UNSURE, from: isBlock ? at : -1, kept });
        slash = REGEXP;
        break;
      }
      case PAREN_END:
      case BRACKET_END:
      case BRACE_END: {
        const closed = open.pop();
        if (closed === undefined) return undefined;
        if (closed.end === BACKTICK && c === BRACE_END) {
          inTemplate = true;
          break;
        }
        if (closed.end !== c) return undefined;
        slash = closed.slash;
        if (closed.from >= 0 && closed.kept === kept && at - 1 > closed.from) {
          while (blocks.length > 0 && blocks.at(-1)![0] > closed.from) blocks.pop();
          blocks.push([closed.from, at - 1]);
        }
        break;
      }
      case EQUALS:
        if (next === GREATER) {
          at++;
          last = ARROW;
        }
        slash = REGEXP;
        break;
      case DOT:
        if (next === DOT) {
          // `...`
          at += 2;
          last = 0;
        }
        slash = REGEXP;
        break;
      case PLUS:
      case MINUS:
        slash = REGEXP;
        if (next !== c) break;
        at++;
        // Before or behind its operand; `-->` may be a comment as HTML has them, as may `<!--`.
        slash = UNSURE;
        if (source.charCodeAt(at) === GREATER) return undefined;
        break;
      case LESS:
        if (next === BANG) return undefined;
        slash = REGEXP;
        break;
      case BACKSLASH:
        return undefined;
      case HASH:
        kept++;
        break;
      default:
        slash = REGEXP;
    }
  }
  return open.length === 0 && !inTemplate ? blocks : undefined;
}

function lineEnd(source: string, from: number): number {
  for (let at = from; at < source.length; at++) {
    const c = source.charCodeAt(at);
    if (c === LF || c === CR || c === 0x2028 || c === 0x2029) return at;
  }
  return source.length;
}

/* The offset behind it; more than there is where it does not end. */

function textEnd(source: string, from: number, quote: number): number {
  for (let at = from; at < source.length; at++) {
    const c = source.charCodeAt(at);
    if (c === quote) return at + 1;
    if (c === BACKSLASH) at++;
    else if (c === LF || c === CR) break;
  }
  return Infinity;
}

/** Up to `${` or the end of the template. */
function templatePart(source: string, from: number): number {
  for (let at = from; at < source.length; at++) {
    const c = source.charCodeAt(at);
    if (c === BACKTICK) return at + 1;
    if (c === BACKSLASH) at++;
    else if (c === DOLLAR && source.charCodeAt(at + 1) === BRACE) return at + 2;
  }
  return Infinity;
}

function regularExpressionEnd(source: string, from: number): number {
  let inClass = false;
  for (let at = from; at < source.length; at++) {
    const c = source.charCodeAt(at);
    if (c === SLASH && !inClass) return at + 1;
    if (c === BRACKET) inClass = true;
    else if (c === BRACKET_END) inClass = false;
    else if (c === BACKSLASH) at++;
    else if (c === LF || c === CR) break;
  }
  return Infinity;
}
