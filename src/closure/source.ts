import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { shapeOf } from './capture-editor.ts';
import { environmentOf } from './environment.ts';
import { inspectFunction } from './inspect.ts';
import { isStandardGlobal, rememberImport } from './references.ts';
import { runtime } from './runtime.ts';
import type { CapturedName, ImportedName, Site, SiteModule, Thunk } from './runtime.ts';
import { analyze } from './scope.ts';
import type { Node, Unit, Use } from './unit.ts';

/** A function as its author wrote it, and how to read what it captured. */
export interface FunctionSource {
  readonly site: Site;
  readonly text: SourceText;
  /** Reads a slot; throws ReferenceError while the binding is not initialised. */
  readonly read: Thunk;
  /** The class whose source holds this method. */
  readonly owner: object | undefined;
  /** Names of computed keys that the inspector does not show. */
  readonly unreadable?: readonly string[];
}

/** Pristine text, fit to stand where `import.meta` is not allowed, and its zero-based position. */
export interface SourceText {
  readonly code: string;
  readonly line: number;
  readonly column: number;
}

/** Stands for `import.meta`, which only modules may say; of the same length, so columns stay. */
export const IMPORT_META = '_importMeta';
/** Stands for what a class extends. */
export const HERITAGE = '__sp_base';

const require = createRequire(import.meta.url);
const textOfFunction = Function.prototype.toString;
const NOTHING: Thunk = () => undefined;

/** Source and environment of a function; undefined when it has no source (native code, or text nobody can parse). */
export function sourceOf(fn: object): FunctionSource | undefined {
  const environment = environmentOf(fn);
  if (environment !== undefined) return given(fn, environment);
  const mark = runtime.markOf(fn);
  if (mark !== undefined) return { site: mark.site, text: siteText(mark.site), read: mark.thunk ?? NOTHING, owner: mark.owner };
  const code = textOfFunction.call(fn);
  if (isNative(code)) return undefined;
  const plain = plainSite(code);
  if (plain !== undefined) return { site: plain, text: siteText(plain), read: NOTHING, owner: undefined };
  return inspected(fn, code);
}

export function isNative(code: string): boolean {
  return code.endsWith('{ [native code] }');
}

const texts = new WeakMap<Site, SourceText>();

export function siteText(site: Site): SourceText {
  const known = texts.get(site);
  if (known !== undefined) return known;
  const { source } = site.module;
  const lines = (site.module.lines ??= lineStarts(source));
  let line = 0;
  for (let high = lines.length - 1; line < high;) {
    const middle = (line + high + 1) >> 1;
    if ((lines[middle] as number) <= site.start) line = middle;
    else high = middle - 1;
  }
  const text = { code: codeOf(site, source), line, column: site.start - (lines[line] as number) };
  texts.set(site, text);
  return text;
}

function lineStarts(source: string): number[] {
  const starts = [0];
  for (let at = source.indexOf('\n'); at >= 0; at = source.indexOf('\n', at + 1)) starts.push(at + 1);
  return starts;
}

/** Text of the site: `import.meta` renamed, static state of a class blanked, a computed method name made a plain one. */
function codeOf(site: Site, source: string): string {
  const edits: [start: number, end: number, text: string][] = site.metas.map(([start, end]) => [start, end, IMPORT_META]);
  for (const [start, end] of site.statics ?? []) edits.push([start, end, source.slice(start, end).replace(/[^\r\n]/g, ' ')]);
  for (const use of site.uses ?? []) edits.push([use.start, use.end, cellText(source.slice(use.start, use.end), use)]);
  if (site.heritage !== undefined) edits.push([...site.heritage, HERITAGE.padEnd(site.heritage[1] - site.heritage[0])]);
  if (site.ownName !== undefined) edits.push([...site.ownName, ' '.repeat(site.ownName[1] - site.ownName[0])]);
  if (site.computedKey !== undefined) edits.push([...site.computedKey, 'm']);
  edits.sort((a, b) => a[0] - b[0]);
  let code = '';
  let at = site.start;
  for (const [start, end, text] of edits) {
    if (start < at) continue;
    code += source.slice(at, start) + text;
    at = end;
  }
  return code + source.slice(at, site.end);
}

function cellText(name: string, { form }: Use): string {
  if (form === 'shorthand') return `${name}:${name}.v`;
  return form === 'callee' ? `(0,${name}.v)` : form === 'statement' ? `0,(0,${name}.v)` : `${name}.v`;
}

let plainCount = 0;
const plainByText = new Map<string, Site>();

/** Functions of transformed modules that capture nothing: equal text, equal function. */
function plainSite(code: string): Site | undefined {
  for (; plainCount < runtime.plain.length; plainCount++) {
    const site = runtime.plain[plainCount] as Site;
    plainByText.set(site.module.source.slice(site.start, site.end), site);
  }
  return plainByText.get(code);
}

interface Parsed {
  readonly shape: Omit<Site, 'module' | 'captured'>;
  readonly early: ReadonlySet<string>;
  readonly wrapped: string;
}

/** Parsed function texts; the same few functions are shipped again and again. */
const parsedTexts = new Map<string, Parsed | undefined>();
const MAX_PARSED = 2000;

/** Shape and free names of a function from its text alone. */
export function parseFunction(code: string): Parsed | undefined {
  if (parsedTexts.has(code)) return parsedTexts.get(code);
  if (parsedTexts.size >= MAX_PARSED) parsedTexts.clear();
  let parsed: Parsed | undefined;
  // Methods read `name() {}`, which is no expression but may stand in an object literal.
  for (const wrapped of [`(${code})`, `({${code}})`]) {
    const program = parseProgram(wrapped);
    if (program === undefined) continue;
    const unit = outermost(analyze(program).units);
    if (unit === undefined) continue;
    parsed = { shape: shapeOf(unit, wrapped), early: unit.early, wrapped };
    break;
  }
  parsedTexts.set(code, parsed);
  return parsed;
}

export function parseProgram(code: string): Node | undefined {
  const { parseSync } = require('oxc-parser') as typeof import('oxc-parser');
  for (const sourceType of ['module', 'script'] as const) {
    const result = parseSync('function.js', code, { sourceType, lang: 'js', preserveParens: false });
    if (result.errors.length === 0) return result.program as unknown as Node;
  }
  return undefined;
}

function outermost(units: readonly Unit[]): Unit | undefined {
  const last = units.at(-1);
  return last?.parent === undefined ? last : undefined;
}

/** A function of a module that was not transformed. */
function inspected(fn: object, code: string): FunctionSource | undefined {
  const parsed = parseFunction(code);
  if (parsed === undefined) return undefined;
  const found = inspectFunction(fn, new Set(parsed.shape.globals), unknownImports);
  const imports = found.moduleNames.size > 0 ? importsOf(found.url) : undefined;
  for (const [name, value] of found.imported) {
    const imported = importsOf(found.url).get(name);
    if (imported !== undefined) rememberImport(value, imported.specifier, found.url, imported.name);
  }
  const names = [...found.values.keys(), ...found.uninitialised];
  const captured = names.map((name, slot): CapturedName => {
    const imported = found.moduleNames.has(name) ? imports?.get(name) : undefined;
    return { name, slot, early: parsed.early.has(name), ...(imported === undefined ? {} : { imported }) };
  });
  const read: Thunk = (slot) => {
    const name = names[slot] as string;
    if (found.uninitialised.has(name)) throw new ReferenceError(`Cannot access '${name}' before initialization`);
    return found.values.get(name);
  };
  const unreadable = [...parsed.early].filter((name) => !names.includes(name) && !isStandardGlobal(name));
  return { ...standalone(parsed, found.url, captured, read, { line: found.line, column: Math.max(0, found.column - parametersAt(parsed)) }), unreadable };
}

/** V8 places a function at its parameters; a class at its start. */
function parametersAt({ shape, wrapped }: Parsed): number {
  if (shape.arrow || shape.kind === 'class') return 0;
  const at = wrapped.indexOf('(', shape.start) - shape.start;
  return wrapped.slice(shape.start, shape.start + at).includes('\n') ? 0 : at;
}

function given(fn: object, environment: Readonly<Record<string, unknown>>): FunctionSource | undefined {
  const mark = runtime.markOf(fn);
  const code = mark === undefined ? textOfFunction.call(fn) : codeOf({ ...mark.site, uses: [] }, mark.site.module.source);
  const parsed = isNative(code) ? undefined : parseFunction(code);
  if (parsed === undefined) return undefined;
  const names = Object.keys(environment);
  const captured = names.map((name, slot) => ({ name, slot, early: parsed.early.has(name) }));
  const place = mark === undefined ? { line: 0, column: 0 } : siteText(mark.site);
  return standalone(parsed, mark?.site.module.url ?? '', captured, (slot) => environment[names[slot] as string], place);
}

function standalone(parsed: Parsed, url: string, captured: CapturedName[], read: Thunk, place: { line: number; column: number }): FunctionSource {
  const names = new Set(captured.map(({ name }) => name));
  const module: SiteModule = { url, format: 'module', source: parsed.wrapped, strict: true, imports: [] };
  const site: Site = { ...parsed.shape, module, captured, globals: parsed.shape.globals.filter((name) => !names.has(name)) };
  return { site, text: { code: codeOf(site, parsed.wrapped), line: place.line, column: place.column }, read, owner: undefined };
}

const asked = new Set<string>();
const NONE: ReadonlySet<string> = new Set();

/** Import bindings of a module that was not asked for them yet: instances of imported classes are then told by their class. */
function unknownImports(url: string): ReadonlySet<string> {
  if (asked.has(url) || !url.startsWith('file:')) return NONE;
  asked.add(url);
  return new Set(importsOf(url).keys());
}

const importsByUrl = new Map<string, ReadonlyMap<string, ImportedName>>();

/** Import declarations of a module, read from its file. */
function importsOf(url: string): ReadonlyMap<string, ImportedName> {
  const known = importsByUrl.get(url);
  if (known !== undefined) return known;
  const imports = new Map<string, ImportedName>();
  importsByUrl.set(url, imports);
  try {
    const path = fileURLToPath(url);
    const { parseSync } = require('oxc-parser') as typeof import('oxc-parser');
    for (const declaration of parseSync(path, readFileSync(path, 'utf8')).module.staticImports) {
      for (const { localName, importName } of declaration.entries) {
        const name = importName.kind === 'NamespaceObject' ? '*' : importName.kind === 'Default' ? 'default' : (importName.name as string);
        imports.set(localName.value, { local: localName.value, specifier: declaration.moduleRequest.value, name });
      }
    }
  } catch {
    // no file: its imports travel by value
  }
  return imports;
}
