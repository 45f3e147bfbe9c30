import { createRequire } from 'node:module';

/** An ESTree node as the parser gives it. */
export interface Node {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly [key: string]: any;
}

/** Where a name comes from. */
export interface Binding {
  readonly name: string;
  readonly kind: 'import' | 'variable' | 'function' | 'class' | 'param' | 'self';
  /** At the top level of the module. */
  readonly top: boolean;
  /** kind 'import': `name` of the other module, 'default' or '*'. */
  readonly imported?: { readonly specifier: string; readonly name: string };
  /** Name under which the module exports it. */
  exported?: string;
  /** Assigned after its declaration: functions that capture it must go on sharing it. */
  mutated?: boolean;
}

/**
 * How a reference to a mutated binding is rewritten: `n` becomes `n.v`, `{n}` becomes `{n:n.v}`, `n()` becomes `(0,n.v)()`;
 * where a statement begins with it, `0,(0,n.v)()`, because the line before may end without a semicolon.
 */
export type Form = 'plain' | 'shorthand' | 'callee' | 'statement';

export interface Use {
  readonly start: number;
  readonly end: number;
  readonly form: Form;
}

export type UnitKind = 'arrow' | 'function' | 'declaration' | 'method' | 'getter' | 'setter' | 'class' | 'classDeclaration';

/** A function or class of the program. Class members are units of their own, and what they use counts for their class too. */
export interface Unit {
  readonly kind: UnitKind;
  readonly node: Node;
  /** The Property or MethodDefinition around a method. */
  readonly member: Node | undefined;
  readonly parent: Unit | undefined;
  readonly captured: Map<string, Binding>;
  /** Names bound nowhere in the program. */
  readonly globals: Set<string>;
  /** Names a class needs while it is being defined: those of computed keys. */
  readonly early: Set<string>;
  /** `import.meta` inside, as offsets. */
  readonly metas: [start: number, end: number][];
  /** References to captured bindings that are mutated. */
  readonly uses: Use[];
  usesThis: boolean;
  usesArguments: boolean;
  usesNewTarget: boolean;
  usesSuper: boolean;
  usesPrivate: boolean;
  usesEval: boolean;
  /** A class that uses #private names of a class around it. */
  usesOuterPrivate: boolean;
  /** `import()` inside. */
  usesImport: boolean;
  /** By its own directive, or by what is around it in the module. */
  readonly strict: boolean;
  /** Called where it stands; nobody else can have it. */
  immediate: boolean;
  /** Name that an anonymous function gets from where it stands; null when only running tells. */
  hint: string | null | undefined;
  /** Binding of a declaration, or of the variable it initialises. */
  binding: Binding | undefined;
  /** The object literal around a method. */
  readonly literal: Node | undefined;
  /** Statement list that a declaration is hoisted to the start of. */
  list: readonly Node[] | undefined;
  /** The `const f = ...;` statement that holds nothing else. */
  statement: Node | undefined;
}

export interface Analysis {
  /** Inner units before the units around them. */
  readonly units: readonly Unit[];
  readonly imports: readonly Binding[];
  /** Names used and bound nowhere. */
  readonly globals: ReadonlySet<string>;
}

const require = createRequire(import.meta.url);
let keys: Record<string, readonly string[]> | undefined;

/** Child keys of each node type, from oxc-parser. */
export function childKeys(type: string): readonly string[] {
  keys ??= (require('oxc-parser') as { visitorKeys: Record<string, string[]> }).visitorKeys;
  return keys[type] ?? [];
}

/** Whether a body or a program begins with 'use strict'. */
export function isStrict(body: Node): boolean {
  return body.type === 'BlockStatement' && (body.body as Node[]).some(({ directive }) => directive === 'use strict');
}

/** A unit of which nothing is known yet. */
export function newUnit(kind: UnitKind, node: Node, parent: Unit | undefined, member?: Node, literal?: Node): Unit {
  return {
    kind,
    node,
    member,
    parent,
    captured: new Map(),
    globals: new Set(),
    early: new Set(),
    metas: [],
    uses: [],
    usesThis: false,
    usesArguments: false,
    usesNewTarget: false,
    usesSuper: false,
    usesPrivate: false,
    usesEval: false,
    usesOuterPrivate: false,
    usesImport: false,
    strict: kind === 'class' || kind === 'classDeclaration' || parent?.strict === true || isStrict(node.body),
    immediate: false,
    hint: undefined,
    binding: undefined,
    literal,
    list: undefined,
    statement: undefined,
  };
}

/** Name in an import or export specifier. */
export function exportName(node: Node): string {
  return (node.type === 'Identifier' ? node.name : node.value) as string;
}

/** Name that an assignment gives an anonymous function. */
export function nameOf(target: Node): string | undefined {
  return target.type === 'Identifier' ? (target.name as string) : undefined;
}

/** Property name of a key that is not computed. */
export function keyName(key: Node): string {
  if (key.type === 'Identifier') return key.name as string;
  if (key.type === 'PrivateIdentifier') return `#${String(key.name)}`;
  return String(key.value);
}
