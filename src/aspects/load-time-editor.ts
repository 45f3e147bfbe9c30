import type { ParsedModule, SourceEditor, SourceModule } from '../loader/contract.ts';
import { CallEdits } from './edit-calls.ts';
import { editClass, type Renamed } from './edit-classes.ts';
import { editFunctions } from './edit-functions.ts';
import type { PartialShadow, Pointcut } from './pointcut.ts';
import type { Report } from './report.ts';
import { children, isClass, isIdentifier, isNode, keyName, memberName, type ClassNode, type Node } from './syntax.ts';
import { GLOBAL, WovenText } from './woven-text.ts';

type Bindings = readonly { readonly pointcut: Pointcut; readonly label: string }[];

export interface EditorOptions {
  /** What is to be woven; the label is what the report calls a pointcut. */
  readonly bindings: () => Bindings;
  readonly report: Report;
  /** Only reports. */
  readonly dryRun?: () => boolean;
  /** Told of each module that was edited. */
  readonly edited?: (module: SourceModule, text: () => string) => void;
  /** Told of each module that a pointcut may match and that cannot be edited. */
  readonly unreadable?: (module: SourceModule, why: string) => void;
}

function includesAny(source: string, texts: readonly string[]): boolean {
  for (let i = 0; i < texts.length; i++) {
    const text = texts[i]!;
    const end = endOf(text);
    // The engine looks for the first letter: a rare one is found seldom.
    if (source.includes(end) && source.includes(text[0] === '#' ? text.slice(1) : text)) return true;
  }
  return false;
}

const FREQUENT_FIRST = 'etaoinsrlcdumhpfgbyvwkxqjz';
const ends = new Map<string, string>();

/** What a text ends with, from its rarest letter on. */
function endOf(text: string): string {
  const known = ends.get(text);
  if (known !== undefined) return known;
  let from = text[0] === '#' ? 1 : 0;
  for (let i = from + 1; i < text.length - 2; i++) if (rarity(text[i]!) > rarity(text[from]!)) from = i;
  if (ends.size >= MAX_ENDS) ends.clear();
  ends.set(text, text.slice(from));
  return text.slice(from);
}
const rarity = (letter: string): number => (letter >= 'A' && letter <= 'Z' ? FREQUENT_FIRST.length : FREQUENT_FIRST.indexOf(letter));
const MAX_ENDS = 1000;

/** Minifiers choose their own quotes. */
const WOVEN = new RegExp(`Symbol\\.for\\((['"\`])${GLOBAL.replace('.', '\\.')}\\1\\)`);

/** Changes the source of modules that pointcuts may match, so that what matches passes through the framework when it runs. */
export function createEditor({ bindings, report, dryRun, edited, unreadable }: EditorOptions): SourceEditor {
  const isCandidate = (pointcut: Pointcut, { url, source }: SourceModule): boolean =>
    // What most modules lack, and is found fastest, first.
    (pointcut.requiredTexts === undefined || includesAny(source, pointcut.requiredTexts)) && pointcut.evaluate({ module: url }) !== false;
  /** Asked several times of each module that some pointcut may match. */
  let last: { readonly url: string; readonly source: string; readonly of: Bindings; readonly found: Bindings } | undefined;
  const candidates = (module: SourceModule): Bindings => {
    const of = bindings();
    if (last?.of !== of || last.url !== module.url || last.source !== module.source)
      last = { of, url: module.url, source: module.source, found: of.filter(({ pointcut }) => isCandidate(pointcut, module)) };
    return last.found;
  };
  return {
    name: 'weave',
    wants(module: SourceModule): boolean {
      // For most modules this is all: no closures.
      const all = bindings();
      let n = 0;
      while (n < all.length && !isCandidate(all[n]!.pointcut, module)) n++;
      if (n === all.length) return false;
      const rest = all.slice(n);
      last = {
        of: all,
        url: module.url,
        source: module.source,
        found: rest.length === 1 ? rest : rest.filter(({ pointcut }) => isCandidate(pointcut, module)),
      };
      if (!module.source.includes(GLOBAL) || !WOVEN.test(module.source)) return true;
      report.skipped(module, 0, undefined, 'it is woven already');
      return false;
    },
    unreadable(module, why) {
      if (candidates(module).length === 0) return;
      report.skipped(module, 0, undefined, why);
      unreadable?.(module, why);
    },
    // Only calls and accesses are looked for inside of functions.
    readsOutline: (module) => !candidates(module).some(({ pointcut: { kinds } }) => kinds.has('call') || kinds.has('get') || kinds.has('set')),
    readsDeclarations: (module, { names }) => candidates(module).every(({ pointcut }) => isOfMethods(pointcut) && !mayMatchAny(pointcut, module.url, names)),
    edit(module: ParsedModule): boolean {
      const text = new WovenText(module, candidates(module), report);
      if (module.declared === true) {
        for (const node of text.body) if (isClass(node)) editClass(text, node, node.id!.name, () => false);
      } else {
        editFunctions(text);
        new Walk(text, module).run();
      }
      if (!text.changed || dryRun?.() === true) return false;
      text.finish();
      edited?.(module, () => module.edit.toString());
      return true;
    },
  };
}

/** Whether all that it can match are public methods, and what they are called decides. */
const isOfMethods = (pointcut: Pointcut): boolean => pointcut.kinds.size === 1 && pointcut.kinds.has('execution') && !String(pointcut).includes('annotated(');

/** Whether it may match a function that has one of these names, alone or in an object that has one. */
function mayMatchAny(pointcut: Pointcut, module: string, names: ReadonlySet<string>): boolean {
  const may = (name: string | undefined, declaringType: string | undefined): boolean =>
    (name === undefined || pointcut.names?.has(name) !== false) &&
    pointcut.evaluate({ kind: 'execution', name, declaringType, isStatic: false, module } as PartialShadow) !== false;
  // Mostly none.
  let called: string[] | undefined;
  if (may('default', undefined)) called = ['default'];
  for (const name of names) if (may(name, undefined)) (called ??= []).push(name);
  if (called === undefined) return false;
  const types = ['', ...names].filter((declaringType) => may(undefined, declaringType));
  return types.some((declaringType) => called.some((name) => may(name, declaringType)));
}

/** Whether something that is looked for is in [start, end): most subtrees hold nothing, and are passed over. */
class Places {
  readonly #at: readonly number[];

  constructor(source: string, what: RegExp) {
    this.#at = Array.from(source.matchAll(what), ({ index }) => index);
  }

  within({ start, end }: Node): boolean {
    let [low, high] = [0, this.#at.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#at[middle]! < start) low = middle + 1;
      else high = middle;
    }
    return low < this.#at.length && this.#at[low]! < end;
  }
}

/** Visits every node that may matter once: classes, calls and accesses are edited where they are. */
class Walk {
  readonly #text: WovenText;
  readonly #calls: CallEdits;
  readonly #strict: boolean;
  readonly #names = new Map<Node, string>();
  /** The statements among which the node is: of the module, or of a function (bundlers put modules into functions). */
  #statements: readonly Node[];
  readonly #classes: Places;
  readonly #privates: Places;

  constructor(text: WovenText, { format, source }: SourceModule) {
    this.#text = text;
    this.#statements = text.body;
    this.#calls = new CallEdits(text);
    this.#strict = format === 'module';
    // Names may be written with escapes, keywords may not.
    this.#classes = new Places(source, /\bclass\b/g);
    this.#privates = new Places(source, /#/g);
  }

  run(): void {
    const strict = this.#strict || hasUseStrict(this.#text.body);
    for (const statement of this.#text.body) this.#visit(statement, new Map(), strict);
  }

  #visit(node: Node, renamed: Renamed, strict: boolean): void {
    if (!this.#calls.wanted && !this.#classes.within(node) && (renamed.size === 0 || !this.#privates.within(node))) return;
    this.#nameParts(node);
    let names = renamed;
    let isStrict = strict;
    if (isClass(node)) {
      isStrict = true;
      if (node.superClass !== null) this.#visit(node.superClass, renamed, true);
      const declared = node.body.body.flatMap(({ key }) => (isNode(key) && key.type === 'PrivateIdentifier' ? [keyName(key, false)!] : []));
      const own = editClass(this.#text, node, this.#nameOf(node), (weave) => this.#again(node, weave));
      names = new Map([...renamed].filter(([name]) => !declared.includes(name)).concat([...own]));
      this.#visit(node.body, names, true);
      return;
    }
    if (!strict && isNode(node['body']) && hasUseStrict(((node['body'] as Node)['body'] ?? []) as Node[])) isStrict = true;
    if (this.#calls.wanted) this.#calls.enter(node);
    const around = this.#statements;
    if (Array.isArray(node['body'])) this.#statements = node['body'] as Node[];
    for (const child of children(node)) this.#visit(child, names, isStrict);
    this.#statements = around;
    if (node.type === 'MemberExpression') this.#rename(node, names);
    if (this.#calls.wanted) this.#calls.leave(node, isStrict);
  }

  #rename(node: Node, renamed: Renamed): void {
    const property = node['property'] as Node;
    const other = property.type === 'PrivateIdentifier' ? renamed.get(keyName(property, false)!) : undefined;
    if (other !== undefined) this.#text.edit.update(property.start, property.end, other);
  }

  /** The name by which others know it: of the variable that holds a class expression; esbuild holds decorated classes as `_X` first. */
  #nameOf(node: ClassNode): string {
    const name = (node.type === 'ClassExpression' ? this.#names.get(node) : undefined) ?? node.id?.name ?? this.#names.get(node) ?? '';
    if (!name.startsWith('_')) return name;
    const isAlias = (statement: Node): boolean => {
      const declaration = (statement['declaration'] ?? statement) as Node;
      if (declaration.type !== 'VariableDeclaration') return false;
      return (declaration['declarations'] as readonly Node[]).some(
        ({ id, init }) => isIdentifier(id) && isIdentifier(init) && init.name === name && `_${id.name}` === name,
      );
    };
    return this.#statements.some(isAlias) ? name.slice(1) : name;
  }

  /** Names that anonymous classes take from where they are. */
  #nameParts(node: Node): void {
    const name = (value: unknown, from: string | undefined): void => {
      if (isClass(value) && from !== undefined) this.#names.set(value, from);
    };
    if (node.type === 'VariableDeclarator' || node.type === 'AssignmentPattern') {
      const id = (node['id'] ?? node['left']) as Node;
      name(node['init'] ?? node['right'], isIdentifier(id) ? id.name : undefined);
    } else if (node.type === 'AssignmentExpression') {
      const left = node['left'] as Node;
      const member = left.type === 'MemberExpression' ? memberName(left) : undefined;
      name(node['right'], isIdentifier(left) ? left.name : member === 'exports' ? 'default' : member);
    } else if (node.type === 'Property' || node.type === 'PropertyDefinition') name(node['value'], keyName(node['key'] as Node, node['computed'] === true));
    else if (node.type === 'ExportDefaultDeclaration') name(node['declaration'], 'default');
  }

  /**
   * Decorators that a compiler has lowered run behind the class, and may say what a pointcut asks for (`annotated`): then the class is
   * woven once they have run. True when it is.
   */
  #again(node: ClassNode, weave: string): boolean {
    const name = node.id?.name ?? this.#names.get(node);
    if (name === undefined || !this.#text.pointcuts.some((pointcut) => String(pointcut).includes('annotated('))) return false;
    const last = this.#statements.findLast((statement) => statement.type === 'ExpressionStatement' && decorates(statement['expression'] as Node, name));
    if (last === undefined || last.start < node.end) return false;
    this.#text.edit.appendRight(last.end, `;${weave}(${name});`);
    return true;
  }
}

const hasUseStrict = (body: readonly Node[]): boolean => Array.isArray(body) && body.some((statement) => statement['directive'] === 'use strict');

/** `__decorate([...], X.prototype, "m", null)`, `X = __decorateClass([...], X)`, `__decorateElement(_init, 1, "m", _dec, X)`, `__decoratorMetadata(_init, X)`. */
function decorates(expression: Node, name: string): boolean {
  if (expression.type === 'AssignmentExpression') return decorates(expression['right'] as Node, name);
  if (expression.type !== 'CallExpression') return false;
  const callee = expression['callee'] as Node & { name?: string };
  const last = callee.type === 'SequenceExpression' ? (callee['expressions'] as readonly Node[]).at(-1)! : callee;
  const called = isIdentifier(last) ? last.name : last.type === 'MemberExpression' ? memberName(last) : undefined;
  if (called === undefined || !/^__(?:decorat|esDecorate|runInitializers)/.test(called)) return false;
  return (expression['arguments'] as readonly Node[]).some((argument) => {
    const target = argument.type === 'MemberExpression' && memberName(argument) === 'prototype' ? (argument['object'] as Node) : argument;
    return isIdentifier(target) && target.name === name;
  });
}
