import { childKeys, exportName, keyName, nameOf, newUnit } from './unit.ts';
import type { Analysis, Binding, Form, Node, Unit, UnitKind } from './unit.ts';

/**
 * Free variables of every function and class of a program, in one walk over an ESTree program (scopes as in ECMA-262).
 * References are resolved after the walk, because `var` and function declarations are hoisted.
 */

interface Scope {
  readonly parent: Scope | undefined;
  readonly names: Map<string, Binding>;
  readonly unit: Unit | undefined;
  /** Outermost scope of its unit: a reference that leaves it is captured. */
  readonly root: boolean;
  /** Where `var` lands. */
  readonly hoist: boolean;
}

interface Reference {
  readonly name: string;
  readonly node: Node;
  readonly form: Form;
  readonly write: boolean;
  readonly scope: Scope;
  /** The class whose computed keys hold it; the class that does not need it. */
  readonly early: Unit | undefined;
  readonly unneeded: Unit | undefined;
}

function find(name: string, from: Scope): Binding | undefined {
  for (let scope: Scope | undefined = from; scope !== undefined; scope = scope.parent) {
    const found = scope.names.get(name);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** @param strict false: functions declared in blocks are variables of the function around, too (Annex B.3.3) */
export function analyze(program: Node, strict = true): Analysis {
  return new Walk(strict).run(program);
}

class Walk {
  readonly #units: Unit[] = [];
  readonly #references: Reference[] = [];
  readonly #imports: Binding[] = [];
  /** Exports of names declared further down. */
  readonly #pendingExports: [name: string, exported: string][] = [];
  #top!: Scope;
  /** The list whose statement is being visited; undefined deeper inside that statement. */
  #block: readonly Node[] | undefined;
  #literal: Node | undefined;
  /** The class whose computed keys are being walked. */
  #early: Unit | undefined;
  /** The class whose heritage or static state is being walked: it travels by value, so the class does not capture what made it. */
  #unneeded: Unit | undefined;
  /** Where the statement begins that is an expression and is being visited. */
  #statementAt = -1;
  readonly #strict: boolean;

  constructor(strict: boolean) {
    this.#strict = strict;
  }

  run(program: Node): Analysis {
    this.#top = { parent: undefined, names: new Map(), unit: undefined, root: true, hoist: true };
    this.#statements(program.body as Node[], this.#top);
    for (const [name, exported] of this.#pendingExports) {
      const binding = this.#top.names.get(name);
      if (binding !== undefined) binding.exported ??= exported;
    }
    const globals = new Set<string>();
    for (const { write, name, scope } of this.#references) {
      const binding = write ? find(name, scope) : undefined;
      if (binding !== undefined && binding.kind !== 'import' && binding.kind !== 'self') binding.mutated = true;
    }
    for (const reference of this.#references) this.#resolve(reference, globals);
    return { units: this.#units, imports: this.#imports, globals };
  }

  #resolve({ name, node, form, scope: from, early, unneeded }: Reference, globals: Set<string>): void {
    let found: Binding | undefined;
    const crossed: Unit[] = [];
    for (let scope: Scope | undefined = from; scope !== undefined; scope = scope.parent) {
      found = scope.names.get(name);
      if (found !== undefined) break;
      if (scope.root && scope.unit !== undefined) crossed.push(scope.unit);
    }
    for (const unit of crossed) {
      if (unit === unneeded) continue;
      if (found === undefined) unit.globals.add(name);
      else {
        unit.captured.set(name, found);
        if (found.mutated === true) unit.uses.push({ start: node.start, end: node.end, form });
      }
      if (unit === early) unit.early.add(name);
    }
    if (found === undefined) globals.add(name);
  }

  #scope(parent: Scope, unit = parent.unit, root = false, hoist = false): Scope {
    return { parent, names: new Map(), unit, root, hoist };
  }

  #list(nodes: readonly Node[], scope: Scope): void {
    for (const node of nodes) if (node !== null) this.#visit(node, scope);
  }

  /** Statements of a block, a body or the program. */
  #statements(nodes: readonly Node[], scope: Scope): void {
    const before = this.#block;
    for (const node of nodes) {
      this.#block = nodes;
      this.#visit(node, scope);
    }
    this.#block = before;
  }

  #declare(name: string, scope: Scope, kind: Binding['kind'], imported?: Binding['imported']): Binding {
    const known = scope.names.get(name);
    // An exported var or function may be declared twice; the first record is enough.
    if (known !== undefined && kind !== 'function') return known;
    const binding: Binding = { name, kind, top: scope === this.#top, ...(imported === undefined ? {} : { imported }) };
    if (known?.exported !== undefined) binding.exported = known.exported;
    scope.names.set(name, binding);
    return binding;
  }

  /** A function declared in a block is seen around it, too, if nothing between has its name. */
  #hoist(name: string, from: Scope): void {
    let scope = from;
    while (!scope.hoist && scope.parent !== undefined) {
      scope = scope.parent;
      if (!scope.hoist && scope.names.has(name)) return;
    }
    if (scope !== from) this.#declare(name, scope, 'variable');
  }

  #refer(node: Node, scope: Scope, form: Form = 'plain', write = false): void {
    this.#references.push({ name: node.name as string, node, form, write, scope, early: this.#early, unneeded: this.#unneeded });
  }

  /** What an assignment writes to. */
  #target(node: Node, scope: Scope): void {
    switch (node.type) {
      case 'Identifier':
        return this.#refer(node, scope, 'plain', true);
      case 'ObjectPattern':
        for (const property of node.properties as Node[]) {
          if (property.computed) this.#visit(property.key as Node, scope);
          const value = (property.type === 'RestElement' ? property.argument : property.value) as Node;
          const assigned = (value.type === 'AssignmentPattern' ? value.left : value) as Node;
          if (!property.shorthand) this.#target(value, scope);
          else {
            this.#refer(assigned, scope, 'shorthand', true);
            if (value !== assigned) this.#visit(value.right as Node, scope, nameOf(assigned));
          }
        }
        return;
      case 'ArrayPattern':
        for (const element of node.elements as (Node | null)[]) if (element !== null) this.#target(element, scope);
        return;
      case 'RestElement':
        return this.#target(node.argument as Node, scope);
      case 'AssignmentPattern':
        this.#target(node.left as Node, scope);
        return this.#visit(node.right as Node, scope, nameOf(node.left as Node));
      default:
        this.#visit(node, scope);
    }
  }

  #visit(node: Node, scope: Scope, hint?: string | null): void {
    const block = this.#block;
    if (node.type !== 'ExportNamedDeclaration' && node.type !== 'ExportDefaultDeclaration') this.#block = undefined;
    switch (node.type) {
      case 'Identifier':
        if (node.name === 'arguments') this.#lexical(scope, 'usesArguments');
        else this.#refer(node, scope);
        return;
      case 'ImportDeclaration':
        return this.#import(node, scope);
      case 'ExportNamedDeclaration':
        return this.#exportNamed(node, scope);
      case 'ExportDefaultDeclaration':
        return this.#exportDefault(node, scope);
      case 'ExportAllDeclaration':
        return;
      case 'VariableDeclaration':
        return this.#variables(node, scope, block !== undefined);
      case 'FunctionDeclaration': {
        const binding = node.id === null ? undefined : this.#declare(node.id.name as string, scope, 'function');
        if (binding !== undefined && !this.#strict && scope.unit?.strict !== true) this.#hoist(binding.name, scope);
        this.#function(node, scope, 'declaration', { binding, list: block });
        return;
      }
      case 'FunctionExpression':
        this.#function(node, scope, 'function', { hint });
        return;
      case 'ArrowFunctionExpression':
        this.#function(node, scope, 'arrow', { hint });
        return;
      case 'ClassDeclaration': {
        const binding = node.id === null ? undefined : this.#declare(node.id.name as string, scope, 'class');
        this.#class(node, scope, 'classDeclaration', binding);
        return;
      }
      case 'ClassExpression':
        return this.#class(node, scope, 'class', undefined);
      case 'BlockStatement':
        return this.#statements(node.body as Node[], this.#scope(scope));
      case 'ForStatement':
        return this.#children(node, this.#scope(scope));
      case 'ForInStatement':
      case 'ForOfStatement': {
        const inner = this.#scope(scope);
        if (node.left.type === 'VariableDeclaration') this.#visit(node.left as Node, inner);
        else this.#target(node.left as Node, inner);
        this.#visit(node.right as Node, inner);
        return this.#visit(node.body as Node, inner);
      }
      case 'SwitchStatement':
        this.#visit(node.discriminant as Node, scope);
        return this.#list(node.cases as Node[], this.#scope(scope));
      case 'CatchClause': {
        const inner = this.#scope(scope);
        if (node.param) this.#pattern(node.param as Node, inner, 'variable');
        return this.#visit(node.body as Node, inner);
      }
      case 'LabeledStatement':
        return this.#visit(node.body as Node, scope);
      case 'BreakStatement':
      case 'ContinueStatement':
        return;
      case 'MemberExpression':
        this.#visit(node.object as Node, scope);
        if (node.computed) this.#visit(node.property as Node, scope);
        else if (node.property.type === 'PrivateIdentifier') this.#private(scope, node.property.name as string);
        return;
      case 'PrivateIdentifier':
        return this.#private(scope, node.name as string);
      case 'ExpressionStatement':
        this.#statementAt = node.start;
        return this.#visit(node.expression as Node, scope);
      case 'ImportExpression':
        for (let unit = scope.unit; unit !== undefined; unit = unit.parent) unit.usesImport = true;
        return this.#children(node, scope);
      case 'ObjectExpression': {
        const before = this.#literal;
        for (const property of node.properties as Node[]) {
          this.#literal = node;
          this.#visit(property, scope);
        }
        this.#literal = before;
        return;
      }
      case 'Property':
        return this.#property(node, scope);
      case 'AssignmentExpression':
        this.#target(node.left as Node, scope);
        return this.#visit(node.right as Node, scope, nameOf(node.left as Node));
      case 'UpdateExpression':
        return this.#target(node.argument as Node, scope);
      case 'TaggedTemplateExpression':
        this.#callee(node.tag as Node, scope);
        return this.#visit(node.quasi as Node, scope);
      case 'CallExpression':
        return this.#call(node, scope);
      case 'ThisExpression':
        return this.#lexical(scope, 'usesThis');
      case 'Super':
        return this.#lexical(scope, 'usesSuper');
      case 'MetaProperty':
        return this.#meta(node, scope);
      default:
        this.#children(node, scope);
    }
  }

  #children(node: Node, scope: Scope): void {
    for (const key of childKeys(node.type)) {
      const child = node[key] as Node | Node[] | null | undefined;
      if (Array.isArray(child)) this.#list(child, scope);
      else if (child !== null && child !== undefined && typeof child.type === 'string') this.#visit(child, scope);
    }
  }

  #import(node: Node, scope: Scope): void {
    const specifier = node.source.value as string;
    for (const part of node.specifiers as Node[]) {
      const name = part.type === 'ImportDefaultSpecifier' ? 'default' : part.type === 'ImportNamespaceSpecifier' ? '*' : exportName(part.imported as Node);
      this.#imports.push(this.#declare(part.local.name as string, scope, 'import', { specifier, name }));
    }
  }

  #exportNamed(node: Node, scope: Scope): void {
    if (node.source) return;
    if (node.declaration) {
      const before = new Set(scope.names.keys());
      this.#visit(node.declaration as Node, scope);
      for (const [name, binding] of scope.names) if (!before.has(name) && !binding.exported) binding.exported = name;
    }
    for (const part of node.specifiers as Node[]) {
      const name = part.local.name as string;
      this.#refer(part.local as Node, scope);
      const known = scope.names.get(name);
      if (known !== undefined) known.exported = exportName(part.exported as Node);
      else this.#pendingExports.push([name, exportName(part.exported as Node)]);
    }
  }

  #exportDefault(node: Node, scope: Scope): void {
    const declaration = node.declaration as Node;
    this.#visit(declaration, scope, 'default');
    const name = (declaration.type === 'Identifier' ? declaration.name : declaration.id?.name) as string | undefined;
    if (name === undefined) {
      const unit = this.#units.at(-1);
      if (unit?.node === declaration) unit.binding ??= { name: '', kind: 'variable', top: true, exported: 'default' };
      return;
    }
    const known = scope.names.get(name);
    if (known === undefined) this.#pendingExports.push([name, 'default']);
    else known.exported ??= 'default';
  }

  #variables(node: Node, scope: Scope, statement: boolean): void {
    let target = scope;
    if (node.kind === 'var') while (!target.hoist && target.parent !== undefined) target = target.parent;
    for (const declarator of node.declarations as Node[]) {
      const id = declarator.id as Node;
      this.#pattern(id, target, 'variable', scope);
      if (!declarator.init) continue;
      this.#visit(declarator.init as Node, scope, nameOf(id));
      const unit = this.#units.at(-1);
      if (id.type === 'Identifier' && unit !== undefined && unit.node === declarator.init) {
        unit.binding = target.names.get(id.name as string);
        if (statement && node.declarations.length === 1) unit.statement = node;
      }
    }
  }

  /** Declares the names of a binding pattern in `scope`; defaults and computed keys are evaluated in `outer`. */
  #pattern(node: Node, scope: Scope, kind: Binding['kind'], outer = scope): void {
    switch (node.type) {
      case 'Identifier':
        this.#declare(node.name as string, scope, kind);
        return;
      case 'ObjectPattern':
        for (const property of node.properties as Node[]) {
          if (property.type === 'RestElement') this.#pattern(property.argument as Node, scope, kind, outer);
          else {
            if (property.computed) this.#visit(property.key as Node, outer);
            this.#pattern(property.value as Node, scope, kind, outer);
          }
        }
        return;
      case 'ArrayPattern':
        for (const element of node.elements as (Node | null)[]) if (element !== null) this.#pattern(element, scope, kind, outer);
        return;
      case 'RestElement':
        return this.#pattern(node.argument as Node, scope, kind, outer);
      case 'AssignmentPattern':
        this.#pattern(node.left as Node, scope, kind, outer);
        return this.#visit(node.right as Node, outer, nameOf(node.left as Node));
      default:
        this.#visit(node, outer);
    }
  }

  #property(node: Node, scope: Scope): void {
    if (node.computed) this.#visit(node.key as Node, scope);
    const value = node.value as Node;
    const kind = node.kind === 'get' ? 'getter' : node.kind === 'set' ? 'setter' : 'method';
    if (value.type === 'FunctionExpression' && (node.method || node.kind !== 'init')) this.#function(value, scope, kind, { member: node });
    else if (node.shorthand && value.type === 'Identifier' && value.name !== 'arguments') this.#refer(value, scope, 'shorthand');
    else this.#visit(value, scope, node.computed ? null : keyName(node.key as Node));
  }

  #function(
    node: Node,
    scope: Scope,
    kind: UnitKind,
    extra: { hint?: string | null | undefined; binding?: Binding | undefined; member?: Node; list?: readonly Node[] | undefined },
  ): void {
    const unit = newUnit(kind, node, scope.unit, extra.member, extra.member?.type === 'Property' ? this.#literal : undefined);
    unit.binding = extra.binding;
    unit.list = extra.list;
    unit.hint = node.id ? undefined : extra.hint;
    const outer = this.#scope(scope, unit, true);
    if (kind === 'function' && node.id) this.#declare(node.id.name as string, outer, 'self');
    const params = this.#scope(outer, unit);
    for (const param of node.params as Node[]) this.#pattern(param, params, 'param');
    const body = this.#scope(params, unit, false, true);
    const block = node.body as Node;
    if (block.type === 'BlockStatement') this.#statements(block.body as Node[], body);
    else this.#visit(block, body);
    this.#units.push(unit);
  }

  #class(node: Node, scope: Scope, kind: UnitKind, binding: Binding | undefined): void {
    const unit = newUnit(kind, node, scope.unit);
    unit.binding = binding;
    const inner = this.#scope(scope, unit, true);
    if (node.id) this.#declare(node.id.name as string, inner, 'self');
    const outerEarly = this.#early;
    if (node.superClass) this.#without(unit, () => this.#visit(node.superClass as Node, inner));
    for (const member of node.body.body as Node[]) {
      if (member.type === 'StaticBlock') {
        this.#without(unit, () => this.#statements(member.body as Node[], this.#scope(inner, unit, false, true)));
        continue;
      }
      if (member.computed) this.#during(unit, () => this.#visit(member.key as Node, inner));
      else if (member.key?.type === 'PrivateIdentifier') unit.usesPrivate = true;
      const value = member.value as Node | null;
      if (!value) continue;
      if (member.type === 'MethodDefinition') {
        const memberKind = member.kind === 'get' ? 'getter' : member.kind === 'set' ? 'setter' : 'method';
        this.#function(value, inner, memberKind, { member });
      } else {
        const initialise = (): void => this.#visit(value, this.#scope(inner, unit, false, true), member.computed ? null : keyName(member.key as Node));
        if (member.static) this.#without(unit, initialise);
        else initialise();
      }
    }
    this.#early = outerEarly;
    this.#units.push(unit);
  }

  #without(unit: Unit, walk: () => void): void {
    const before = this.#unneeded;
    this.#unneeded = unit;
    walk();
    this.#unneeded = before;
  }

  #during(unit: Unit, walk: () => void): void {
    const before = this.#early;
    this.#early = unit;
    walk();
    this.#early = before;
  }

  #call(node: Node, scope: Scope): void {
    const callee = node.callee as Node;
    this.#callee(callee, scope);
    if (callee.type === 'FunctionExpression' || callee.type === 'ArrowFunctionExpression') {
      const unit = this.#units.at(-1);
      if (unit?.node === callee) unit.immediate = true;
    }
    if (callee.type === 'Identifier' && callee.name === 'eval') for (let unit = scope.unit; unit !== undefined; unit = unit.parent) unit.usesEval = true;
    this.#list(node.arguments as Node[], scope);
  }

  #callee(node: Node, scope: Scope): void {
    if (node.type === 'Identifier' && node.name !== 'arguments') this.#refer(node, scope, node.start === this.#statementAt ? 'statement' : 'callee');
    else this.#visit(node, scope);
  }

  #meta(node: Node, scope: Scope): void {
    if (node.meta.name === 'import') {
      for (let unit = scope.unit; unit !== undefined; unit = unit.parent) unit.metas.push([node.start, node.end]);
    } else this.#lexical(scope, 'usesNewTarget');
  }

  /** Around the class that declares the name, everything is whole. */
  #private(scope: Scope, name: string): void {
    for (let unit = scope.unit; unit !== undefined; unit = unit.parent) {
      unit.usesPrivate = true;
      if (unit.kind !== 'class' && unit.kind !== 'classDeclaration') continue;
      const members = (unit.node.body as Node).body as Node[];
      if (members.some(({ key }) => (key as Node | undefined)?.type === 'PrivateIdentifier' && (key as Node).name === name)) return;
      unit.usesOuterPrivate = true;
    }
  }

  /** `this`, `super`, `new.target`: arrows take them from around. `super` belongs to the method, which is told too. */
  #lexical(scope: Scope, flag: 'usesThis' | 'usesSuper' | 'usesNewTarget' | 'usesArguments'): void {
    let unit = scope.unit;
    for (; unit?.kind === 'arrow'; unit = unit.parent) unit[flag] = true;
    if (unit !== undefined && unit.kind !== 'class' && unit.kind !== 'classDeclaration') unit[flag] = true;
  }
}
