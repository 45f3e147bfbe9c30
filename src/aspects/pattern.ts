import { errors } from './errors.ts';
import { compileRegularExpression } from './regular-expression.ts';

/** What names are compared with: an exact name, a glob (`*`, `?`, `{a,b}`), a symbol, or a linear regular expression. */
export type NamePattern = string | symbol | RegExp;

export interface Matcher {
  /** Quoted, so that different patterns have different texts (symbols excepted, see `symbol`). */
  readonly text: string;
  /** The one name it can match, when there is only one. */
  readonly exact: string | undefined;
  readonly symbol: symbol | undefined;
  test(name: string | symbol): boolean;
}

const MAX_ALTERNATIVES = 64;

/** `a{b,c}d` to `abd`, `acd`. */
function expandBraces(glob: string): string[] {
  const open = glob.indexOf('{');
  if (open < 0) return [glob];
  let depth = 0;
  const cuts = [open];
  for (let i = open; i < glob.length; i++) {
    if (glob[i] === '{') depth++;
    else if (glob[i] === ',' && depth === 1) cuts.push(i);
    else if (glob[i] === '}' && --depth === 0) {
      cuts.push(i);
      const rest = expandBraces(glob.slice(i + 1));
      const out = cuts
        .slice(1)
        .flatMap((cut, n) => expandBraces(glob.slice(cuts[n]! + 1, cut)).flatMap((middle) => rest.map((tail) => glob.slice(0, open) + middle + tail)));
      if (out.length > MAX_ALTERNATIVES) throw errors.BAD_PATTERN({ pattern: glob, why: `it has more than ${MAX_ALTERNATIVES} alternatives` });
      return out;
    }
  }
  throw errors.BAD_PATTERN({ pattern: glob, why: 'a { is not closed' });
}

const STAR = 1;
const GLOBSTAR = 2;
const ANY = 3;
type Token = string | typeof STAR | typeof GLOBSTAR | typeof ANY;

function tokenize(glob: string, paths: boolean): Token[] {
  const tokens: Token[] = [];
  for (let i = 0; i < glob.length; i++) {
    const c = glob[i]!;
    if (c === '*' && paths && glob[i + 1] === '*') {
      while (glob[i + 1] === '*') i++;
      tokens.push(GLOBSTAR);
      // `**/x` matches `x` too.
      if (glob[i + 1] === '/' && (tokens.length === 1 || tokens.at(-2) === '/')) {
        i++;
        tokens[tokens.length - 1] = GLOBSTAR;
        tokens.push('');
      }
    } else if (c === '*') tokens.push(paths ? STAR : GLOBSTAR);
    else tokens.push(c === '?' ? ANY : c);
  }
  return tokens;
}

const isStar = (token: Token): boolean => token === STAR || token === GLOBSTAR || token === '';

/** For a glob with one `*` at most, between what a text begins with and what it ends with: most globs. */
function matchEnds(tokens: readonly Token[], star: number, text: string): boolean {
  const { length } = tokens;
  if (star < 0) return length === text.length && matchesAt(tokens, 0, length, text, 0);
  const end = text.length - (length - star - 1);
  if (end < star || !matchesAt(tokens, 0, star, text, 0) || !matchesAt(tokens, star + 1, length - star - 1, text, end)) return false;
  return tokens[star] === GLOBSTAR || !text.slice(star, end).includes('/');
}

function matchesAt(tokens: readonly Token[], from: number, count: number, text: string, at: number): boolean {
  for (let i = 0; i < count; i++) {
    const token = tokens[from + i];
    if (token !== text[at + i] && (token !== ANY || text[at + i] === '/')) return false;
  }
  return true;
}

/** Runs all positions of the glob at once (Thompson), so the time is bounded by text length x glob length. */
function matchTokens(tokens: readonly Token[], text: string): boolean {
  const { length } = tokens;
  let states = new Uint8Array(length + 1);
  let next = new Uint8Array(length + 1);
  enter(tokens, states, 0, '');
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!;
    next.fill(0);
    let some = false;
    for (let at = 0; at < length; at++) {
      if (states[at] === 0) continue;
      const token = tokens[at];
      if (token === GLOBSTAR || (token === STAR && c !== '/')) enter(tokens, next, at, c);
      else if (token === c || (token === ANY && c !== '/')) enter(tokens, next, at + 1, c);
      else continue;
      some = true;
    }
    if (!some) return false;
    [states, next] = [next, states];
  }
  return states[length] === 1;
}

function enter(tokens: readonly Token[], into: Uint8Array, from: number, previous: string): void {
  for (let at = from; into[at] === 0; at++) {
    const token = tokens[at];
    // '' is the slash of a leading `**/`: it is met at the start of a path segment.
    if (token === '') {
      if (previous === '' || previous === '/') continue;
      return;
    }
    into[at] = 1;
    if (token !== STAR && token !== GLOBSTAR) return;
  }
}

/** Compiles a glob. In a path glob `*` and `?` stop at `/`, `**` does not. */
export function compileGlob(glob: string, paths: boolean): (text: string) => boolean {
  const alternatives = expandBraces(glob).map((one) => {
    // Behind a leading globstar, `a/b*` asks for the last two segments of a path only.
    const rest = paths ? /^\*\*\/(.*)$/s.exec(one)?.[1] : undefined;
    const segments = rest === undefined || rest.includes('**') ? undefined : rest.split('/').length;
    const tokens = tokenize(segments === undefined ? one : rest!, paths);
    const star = tokens.findIndex(isStar);
    const simple = tokens[star] !== '' && tokens.findLastIndex(isStar) === star;
    return { segments, test: (text: string): boolean => (simple ? matchEnds(tokens, star, text) : matchTokens(tokens, text)) };
  });
  return (text) => alternatives.some(({ segments, test }) => test(segments === undefined ? text : tail(text, segments)));
}

function tail(path: string, segments: number): string {
  let at = path.length;
  for (let n = 0; n < segments && at >= 0; n++) at = at === 0 ? -1 : path.lastIndexOf('/', at - 1);
  return path.slice(at + 1);
}

/** Quoted for the text of a pointcut, which `parsePointcut` reads again. */
export const quoted = (text: string): string => `'${text.replace(/[\\']/g, '\\$&')}'`;

/** Symbols that have a text of their own: well-known and registered ones. */
function symbolText(symbol: symbol): string {
  const registered = Symbol.keyFor(symbol);
  if (registered !== undefined) return `Symbol.for(${quoted(registered)})`;
  const { description = '' } = symbol;
  return description.startsWith('Symbol.') && (Symbol as unknown as Record<string, unknown>)[description.slice(7)] === symbol
    ? description
    : `Symbol(${quoted(description)})`;
}

/** @throws SP_ASPECTS_BAD_PATTERN */
export function compileName(pattern: NamePattern): Matcher {
  if (typeof pattern === 'symbol') return { text: symbolText(pattern), exact: undefined, symbol: pattern, test: (name) => name === pattern };
  if (pattern instanceof RegExp) {
    let matches: (text: string) => boolean;
    try {
      matches = compileRegularExpression(pattern);
    } catch (error) {
      throw errors.BAD_PATTERN({ pattern: String(pattern), why: (error as Error).message }, error);
    }
    const text = `/${pattern.source}/${pattern.flags.replace(/[dgy]/g, '')}`;
    return { text, exact: undefined, symbol: undefined, test: (name) => typeof name === 'string' && matches(name) };
  }
  if (typeof pattern !== 'string' || pattern === '') throw errors.BAD_PATTERN({ pattern: String(pattern), why: 'it is not a name' });
  const text = quoted(pattern);
  if (!/[*?{]/.test(pattern)) return { text, exact: pattern, symbol: undefined, test: (name) => name === pattern };
  const test = compileGlob(pattern, false);
  return { text, exact: undefined, symbol: undefined, test: (name) => typeof name === 'string' && test(name) };
}
