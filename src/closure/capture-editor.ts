import { fileURLToPath } from 'node:url';
import type { ParsedModule, SourceEditor, SourceModule } from '../loader/contract.ts';
import { ATTACH, COMMONJS, installRuntime, runtime } from './runtime.ts';
import type { CapturedName, Site, SiteModule } from './runtime.ts';
import { analyze } from './scope.ts';
import { keyName } from './unit.ts';
import type { Node, Unit } from './unit.ts';

const OWN_ROOT = fileURLToPath(new URL('../../', import.meta.url));
/** Folders of this package whose code is not the user's. */
const OWN_FOLDERS = ['src/', 'dist/', 'bin/'].map((folder) => OWN_ROOT + folder);

/**
 * Gives each function and class of user modules a thunk over what it captures. Code is only inserted, never moved to
 * another line; a function keeps its name, its length and its scope.
 */
export function captureEditor(): SourceEditor {
  installRuntime();
  return { name: 'closure capture', wants, edit };
}

function wants({ url, source }: SourceModule): boolean {
  if (!url.startsWith('file:') || url.includes('/node_modules/') || source.includes(`${ATTACH}(`)) return false;
  if (!/=>|\bfunction\b|\bclass\b|\)\s*\{/.test(source)) return false;
  const path = fileURLToPath(url);
  return !OWN_FOLDERS.some((folder) => path.startsWith(folder));
}

function edit(module: ParsedModule): boolean {
  const program = module.program as unknown as Node;
  const body = program.body as Node[];
  const strict = module.format === 'module' || body.some((node) => node.directive === 'use strict');
  const { units, imports } = analyze(program, strict);
  if (units.length === 0) return false;
  const site: SiteModule = {
    url: module.url,
    format: module.format,
    source: module.source,
    strict,
    imports: imports.map(({ name, imported }) => ({ local: name, ...(imported as { specifier: string; name: string }) })),
  };
  const index = runtime.modules.push(site) - 1;
  const editor = new Edits(module, site, units);
  for (const unit of units) editor.unit(unit);
  editor.literals();
  if (imports.length > 0) editor.atStart(body, `${ATTACH}.i(${index},${thunkText(imports.map(({ name }) => name))});`);
  return true;
}

class Edits {
  readonly #module: ParsedModule;
  readonly #site: SiteModule;
  /** Units whose text holds an insertion: their toString() is no longer what the author wrote. */
  readonly #edited = new Set<Unit | undefined>();
  readonly #literals = new Map<Node, Unit[]>();
  /** Of functions declared in one list under one name, the last is what the name stands for. */
  readonly #declared = new Map<readonly Node[], Map<string, Unit>>();

  constructor(module: ParsedModule, site: SiteModule, units: readonly Unit[]) {
    this.#module = module;
    this.#site = site;
    for (const unit of units) {
      if (unit.kind !== 'declaration' || unit.list === undefined || unit.binding === undefined) continue;
      const names = this.#declared.get(unit.list) ?? new Map<string, Unit>();
      this.#declared.set(unit.list, names.set(unit.binding.name, unit));
    }
  }

  unit(unit: Unit): void {
    if (this.#marks(unit)) this.#edited.add(unit.parent);
    else if (this.#edited.has(unit)) this.#edited.add(unit.parent);
    else if (!this.#needsMark(unit) && !unit.usesPrivate) runtime.plain.push(this.#describe(unit));
  }

  /** Others are found by their text: equal text, equal function, whatever module it stands in. */
  #needsMark(unit: Unit): boolean {
    const isArrow = unit.kind === 'arrow';
    if (unit.captured.size > 0 || unit.usesSuper || unit.usesImport || unit.metas.length > 0 || exportedName(unit) !== undefined) return true;
    if (isArrow && (unit.usesThis || unit.usesArguments || unit.usesNewTarget)) return true;
    if (this.#site.format === 'module') return false;
    return (!isArrow && (unit.usesThis || unit.usesArguments)) || COMMONJS.some((name) => unit.globals.has(name));
  }

  /** Inserts the mark of one unit; false when it needs none, or there is no place for it. */
  #marks(unit: Unit): boolean {
    const { edit, source } = this.#module;
    const { node } = unit;
    const isClass = unit.kind === 'class' || unit.kind === 'classDeclaration';
    if (unit.parent !== undefined && unit.literal === undefined && isMethod(unit)) return false;
    if (isClass) {
      const [thunk, site] = this.#register(unit);
      // A field before it may end without a semicolon.
      edit.appendLeft((node.body as Node).end - 1, `;static{${ATTACH}.k(this,${site}${thunk})}`);
      return true;
    }
    if (unit.immediate || !(this.#needsMark(unit) || this.#edited.has(unit))) return false;
    if (unit.literal !== undefined) {
      if (!isFoundByKey(unit.literal, unit.member as Node)) return false;
      const group = this.#literals.get(unit.literal);
      if (group === undefined) this.#literals.set(unit.literal, [unit]);
      else group.push(unit);
      return true;
    }
    if (unit.kind === 'declaration') {
      if (unit.list === undefined || unit.binding === undefined || unit.binding.name === '') return false;
      if (this.#declared.get(unit.list)?.get(unit.binding.name) !== unit) return false;
      const [thunk, site] = this.#register(unit);
      this.atStart(unit.list, `${ATTACH}(${unit.binding.name},${site}${thunk});`);
      return true;
    }
    if (unit.statement !== undefined && unit.binding !== undefined) {
      const [thunk, site] = this.#register(unit);
      // Right of the offset: what other editors close there ends before it.
      edit.appendRight(unit.statement.end, `;${ATTACH}(${unit.binding.name},${site}${thunk});`);
      return true;
    }
    if (unit.hint === null) return false;
    const [thunk, site] = this.#register(unit);
    const [open, close] = naming(unit.hint);
    const space = node.start > 0 && /[\w$]/.test(source[node.start - 1] as string) ? ' ' : '';
    edit.prependRight(node.start, `${space}${ATTACH}(${open}`);
    edit.appendLeft(node.end, `${close},${site}${thunk})`);
    return true;
  }

  /** Methods and accessors of object literals: one call around the literal marks them all. */
  literals(): void {
    const { edit } = this.#module;
    for (const [literal, units] of this.#literals) {
      const names = [...new Set(units.flatMap((unit) => reads(unit)))];
      const first = runtime.sites.length;
      for (const unit of units) runtime.sites.push(this.#describe(unit, names));
      const keys = units.map(({ kind, member }) => `${kind === 'getter' ? 'g' : kind === 'setter' ? 's' : 'm'}${keyName(member?.key as Node)}`);
      const thunk = names.length === 0 ? '' : `,${thunkText(names, mutated(units))}`;
      edit.prependRight(literal.start, `${ATTACH}.m(`);
      edit.appendLeft(literal.end, `,${first},${JSON.stringify(keys.join('\n'))}${thunk})`);
    }
  }

  /** Before the first statement that is not a directive, on its line. */
  atStart(list: readonly Node[], text: string): void {
    const first = list.find((node) => typeof node.directive !== 'string') ?? list.at(-1);
    if (first !== undefined) this.#module.edit.appendLeft(first.start, text);
  }

  #register(unit: Unit): [thunk: string, site: number] {
    const names = reads(unit);
    const site = runtime.sites.push(this.#describe(unit, names)) - 1;
    return [names.length === 0 ? '' : `,${thunkText(names, mutated([unit]))}`, site];
  }

  #describe(unit: Unit, names: readonly string[] = []): Site {
    const slot = (name: string): number => names.indexOf(name);
    const captured: CapturedName[] = [];
    for (const [name, binding] of unit.captured) {
      const { imported, mutated } = binding;
      captured.push({
        name,
        slot: slot(name),
        early: unit.early.has(name),
        ...(imported === undefined ? {} : { imported }),
        ...(mutated === true ? { binding } : {}),
      });
    }
    const exported = exportedName(unit);
    return {
      ...shapeOf(unit, this.#module.source),
      module: this.#site,
      captured,
      ...(unit.uses.length > 0 ? { uses: unit.uses } : {}),
      ...(unit.kind === 'arrow' && unit.usesThis ? { thisSlot: slot('this') } : {}),
      ...(unit.kind === 'arrow' && unit.usesArguments ? { argumentsSlot: slot('arguments') } : {}),
      ...(exported === undefined ? {} : { exported }),
    };
  }
}

/** What of a site can be read off the source alone. */
export function shapeOf(unit: Unit, source: string): Omit<Site, 'module' | 'captured'> {
  const { node, member } = unit;
  const isClass = unit.kind === 'class' || unit.kind === 'classDeclaration';
  const { start, end } = member ?? node;
  const kind = isClass ? 'class' : unit.kind === 'method' || unit.kind === 'getter' || unit.kind === 'setter' ? unit.kind : 'expression';
  const { metas, usesThis, usesArguments, usesNewTarget, usesSuper, usesPrivate, usesOuterPrivate, usesEval, strict } = unit;
  const renamed = unit.kind === 'declaration' && unit.binding?.mutated === true ? (node.id as Node) : undefined;
  const key = member?.key as Node | undefined;
  return {
    kind,
    start,
    end,
    globals: [...unit.globals],
    metas,
    usesThis,
    usesArguments,
    usesNewTarget,
    usesSuper,
    usesPrivate,
    usesOuterPrivate,
    usesEval,
    strict,
    ...(renamed === undefined ? {} : { ownName: [renamed.start, renamed.end] as const }),
    arrow: unit.kind === 'arrow',
    ...(member?.computed === true && key !== undefined
      ? { computedKey: [source.lastIndexOf('[', key.start - 1), source.indexOf(']', key.end) + 1] as const }
      : {}),
    ...(isClass ? classShape(unit, source) : {}),
  };
}

function classShape(unit: Unit, source: string): Pick<Site, 'statics' | 'members' | 'privateStatics' | 'privateMembers' | 'heritage' | 'unsteadyKey'> {
  const { node } = unit;
  let unsteady: Node | undefined;
  const statics: [number, number][] = [];
  const members = { prototype: [] as string[], statics: [] as string[] };
  let privateStatics = false;
  let privateMembers = false;
  for (const member of (node.body as Node).body as Node[]) {
    const field = member.type !== 'MethodDefinition';
    if (member.key?.type === 'PrivateIdentifier') {
      if (member.static && field) privateStatics = true;
      else if (!member.static) privateMembers = true;
    }
    if (member.type === 'StaticBlock' || (field && member.static)) {
      statics.push([member.start, member.end]);
    } else if (member.computed && !isSteady(member.key as Node, unit)) {
      unsteady ??= member.key as Node;
    } else if (!field && !member.computed && member.key.type !== 'PrivateIdentifier') {
      (member.static ? members.statics : members.prototype).push(keyName(member.key as Node));
    }
  }
  const { superClass } = node as { superClass?: Node | null };
  const heritage = superClass && !(superClass.type === 'Literal' && superClass.value === null) ? { heritage: [superClass.start, superClass.end] as const } : {};
  const unsteadyKey = unsteady === undefined ? {} : { unsteadyKey: source.slice(unsteady.start, unsteady.end) };
  return { statics, members, privateStatics, privateMembers, ...heritage, ...unsteadyKey };
}

/** Whether the expression of a computed key gives the same when the class is made again: no binding it reads is assigned, nothing is called. */
function isSteady(node: Node, unit: Unit): boolean {
  const all = (nodes: unknown): boolean => (nodes as readonly Node[]).every((one) => isSteady(one, unit));
  switch (node.type) {
    case 'Literal':
      return true;
    case 'Identifier':
      return unit.captured.get(node.name as string)?.mutated !== true;
    case 'MemberExpression':
      return all(node.computed ? [node.object, node.property] : [node.object]);
    case 'TemplateLiteral':
      return all(node.expressions);
    case 'BinaryExpression':
    case 'LogicalExpression':
      return all([node.left, node.right]);
    case 'UnaryExpression':
      return all([node.argument]);
    case 'ConditionalExpression':
      return all([node.test, node.consequent, node.alternate]);
    case 'CallExpression':
      return isSymbolFor(node.callee as Node) && all(node.arguments);
    case 'SequenceExpression':
      return isSteadyLast(node.expressions as Node[], unit);
    case 'AssignmentExpression':
      return isTemporary(node) && isSteady(node.right as Node, unit);
    default:
      return false;
  }
}

/** `_a = key, _dec = [log], _a`, as compilers write for decorated members. */
function isSteadyLast(parts: readonly Node[], unit: Unit): boolean {
  const last = parts.at(-1) as Node;
  const made = parts.find((one) => isTemporary(one) && last.type === 'Identifier' && (one.left as Node).name === last.name);
  return parts.slice(0, -1).every((one) => isTemporary(one)) && isSteady((made?.right ?? last) as Node, unit);
}

function isSymbolFor({ type, object, property }: Node): boolean {
  return type === 'MemberExpression' && (object as Node).name === 'Symbol' && (property as Node).name === 'for';
}

/** A compiler's own variable: `_a = key`. */
function isTemporary({ type, left }: Node): boolean {
  return type === 'AssignmentExpression' && String((left as Node).name).startsWith('_');
}

function isMethod(unit: Unit): boolean {
  return unit.kind === 'method' || unit.kind === 'getter' || unit.kind === 'setter';
}

/** Whether the key of a method tells it once the literal is made: nothing that follows may have put something else there. */
function isFoundByKey(literal: Node, member: Node): boolean {
  if (member.computed === true || keyName(member.key as Node).includes('\n')) return false;
  const properties = literal.properties as Node[];
  const name = keyName(member.key as Node);
  return properties.slice(properties.indexOf(member) + 1).every((other) => {
    if (other.type !== 'Property' || other.computed === true) return false;
    return keyName(other.key as Node) !== name || (isAccessor(other) && isAccessor(member) && other.kind !== member.kind);
  });
}

function isAccessor({ kind }: Node): boolean {
  return kind === 'get' || kind === 'set';
}

/** Under what name another module gets the function that the source has here: not where the name is assigned anew. */
function exportedName({ binding }: Unit): string | undefined {
  return binding?.top === true && binding.mutated !== true ? binding.exported : undefined;
}

/** Expressions that the thunk of a unit evaluates. */
function reads(unit: Unit): string[] {
  const names = [...unit.captured.keys()];
  if (unit.kind !== 'arrow') return names;
  if (unit.usesThis) names.push('this');
  if (unit.usesArguments) names.push('arguments');
  return names;
}

function mutated(units: readonly Unit[]): ReadonlySet<string> {
  const names = new Set<string>();
  for (const { captured } of units) for (const [name, binding] of captured) if (binding.mutated === true) names.add(name);
  return names;
}

/**
 * `i=>i<1?a:i<2?b:c`: each binding is read on its own, so one that is not initialised spoils no other. A binding that is assigned somewhere
 * can be written too (`(i,s,v)=>i<1?s?n=v:n:b`): that is how two closures over one binding are told from two over two.
 */
function thunkText(names: readonly string[], writable: ReadonlySet<string> = new Set()): string {
  let suffix = '';
  while (names.some((name) => name === `i${suffix}` || name === `s${suffix}` || name === `v${suffix}`)) suffix += '_';
  const [slot, set, value] = [`i${suffix}`, `s${suffix}`, `v${suffix}`];
  const last = names.length - 1;
  const reads = names.map((name, at) => {
    const read = writable.has(name) ? `${set}?${name}=${value}:${name}` : name;
    return at === last ? read : `${slot}<${at + 1}?${read}:`;
  });
  return `${writable.size > 0 ? `(${slot},${set},${value})` : slot}=>${reads.join('')}`;
}

/** An anonymous function keeps the name its place gives it: a property of that name does the same as the variable would. */
function naming(hint: string | null | undefined): [open: string, close: string] {
  if (hint === undefined || hint === null) return ['', ''];
  const key = JSON.stringify(hint);
  if (hint === '__proto__') return [`{[${key}]:`, `}[${key}]`];
  return /^[a-zA-Z_$][\w$]*$/.test(hint) ? [`{${hint}:`, `}.${hint}`] : [`{${key}:`, `}[${key}]`];
}
