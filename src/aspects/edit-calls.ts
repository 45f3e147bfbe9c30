import type { PartialShadow } from './pointcut.ts';
import { isIdentifier, isSimple, memberName, type MemberNode, type Node } from './syntax.ts';
import type { WovenText } from './woven-text.ts';

/** Calls that mean something else when they are written another way. */
const NOT_FUNCTIONS = new Set(['eval', 'require', 'import']);

/** How a receiver is named in the text, for pointcuts like `call('JSON.parse')`. */
const receiverName = (node: Node): string => (isIdentifier(node) ? node.name : node.type === 'ThisExpression' ? 'this' : '');

/**
 * Weaves calls (`x.f(a)` becomes `site.m(x,x.f,a)`) and accesses of fields (see `#access`) where they are written. Order of
 * evaluation stays; what is not simple is kept in a variable for the moment between. Nodes are visited after their children.
 */
export class CallEdits {
  readonly #text: WovenText;
  readonly #calls: boolean;
  readonly #gets: boolean;
  readonly #sets: boolean;
  /** Parts of something larger. */
  readonly #done = new Set<Node>();
  readonly #written = new Set<Node>();

  constructor(text: WovenText) {
    this.#text = text;
    const kinds = new Set(text.pointcuts.flatMap((pointcut) => [...pointcut.kinds]));
    this.#calls = kinds.has('call');
    this.#gets = kinds.has('get');
    this.#sets = kinds.has('set');
  }

  get wanted(): boolean {
    return this.#calls || this.#gets || this.#sets;
  }

  /** Before its children: a part of something larger is not a read of its own. */
  enter(node: Node): void {
    switch (node.type) {
      case 'CallExpression':
        this.#done.add(unwrapped(node['callee'] as Node));
        return;
      case 'AssignmentExpression':
        this.#target(node['left'] as Node);
        return;
      case 'UpdateExpression':
        this.#target(node['argument'] as Node);
        return;
      case 'UnaryExpression':
        if (node['operator'] === 'delete') this.#done.add(node['argument'] as Node);
        return;
      case 'NewExpression':
        // `new site.g(a,"B")()` would construct the site.
        for (let at = node['callee'] as Node | undefined; at?.type === 'MemberExpression'; at = at['object'] as Node | undefined) this.#done.add(at);
        return;
      case 'ForInStatement':
      case 'ForOfStatement':
        this.#target(node['left'] as Node);
        return;
      case 'ChainExpression':
        this.#chain(node['expression'] as Node);
        return;
      case 'TaggedTemplateExpression':
        this.#done.add(node['tag'] as Node);
        return;
      default:
    }
  }

  leave(node: Node, strict: boolean): void {
    if (node.type === 'CallExpression' && this.#calls) this.#call(node);
    else if (node.type === 'MemberExpression') this.#access(node as MemberNode, strict);
  }

  /** What is assigned, alone or as part of a pattern. */
  #target(node: Node): void {
    if (node.type === 'MemberExpression') this.#written.add(node);
    const parts =
      node.type === 'ArrayPattern'
        ? (node['elements'] as readonly (Node | null)[])
        : node.type === 'ObjectPattern'
          ? (node['properties'] as readonly Node[]).map((property) => (property['value'] ?? property['argument']) as Node)
          : node.type === 'AssignmentPattern'
            ? [node['left'] as Node]
            : node.type === 'RestElement'
              ? [node['argument'] as Node]
              : [];
    for (const part of parts) if (part !== null) this.#target(part);
  }

  /** `a?.b.c()`: short-circuits as a whole. */
  #chain(node: Node): void {
    for (let at: Node | undefined = node; at !== undefined; at = (at['callee'] ?? at['object'] ?? at['expression']) as Node | undefined) {
      if (at.type !== 'CallExpression' && at.type !== 'MemberExpression') break;
      this.#done.add(at);
      const name = at.type === 'MemberExpression' ? memberName(at) : undefined;
      if (name !== undefined && (this.#calls || this.#gets)) {
        for (const kind of ['call', 'get'] as const) this.#text.skip({ kind, name, isStatic: false }, at, 'it is part of an optional chain');
      }
    }
  }

  #call(node: Node): void {
    if (this.#done.has(node)) return;
    const callee = node['callee'] as Node;
    const { edit, prefix, module } = this.#text;
    const given = node['arguments'] as readonly Node[];
    const member = callee.type === 'MemberExpression' ? (callee as MemberNode) : undefined;
    const name = member === undefined ? (isIdentifier(callee) ? callee.name : undefined) : memberName(member);
    if (name === undefined || (member === undefined && NOT_FUNCTIONS.has(name)) || module.source[callee.end] === undefined) return;
    const shadow: PartialShadow = { kind: 'call', name, isStatic: false };
    const receiver = member === undefined ? '' : receiverName(member.object);
    const types = member === undefined ? [''] : undefined;
    if (!this.#text.matches(types === undefined ? shadow : { ...shadow, types }, node)) return;
    const open = module.source.indexOf('(', callee.end);
    // Type arguments, comments and parentheses around the callee are left alone.
    if (open < 0 || module.source.slice(callee.end, open).trim() !== '' || this.#parenthesized(node, callee)) {
      this.#text.skip(shadow, node, 'something stands between the function and its arguments');
      return;
    }
    const site = this.#text.site('call', name, '', '', receiver);
    const comma = given.length > 0 ? ',' : '';
    if (member === undefined) edit.prependRight(callee.start, `${site}.m(void 0,`);
    else if (isSimple(member.object)) {
      const self = member.object.type === 'Super' ? 'this' : module.source.slice(member.object.start, member.object.end);
      edit.prependRight(callee.start, `${site}.m(${self},`);
    } else {
      edit.prependRight(callee.start, `${site}.m(${prefix}t=`);
      edit.appendLeft(memberStart(member, module.source), `,${prefix}t`);
    }
    edit.update(open, open + 1, comma);
  }

  #parenthesized(node: Node, callee: Node): boolean {
    return this.#text.module.source.slice(node.start, callee.start).includes('(');
  }

  #shadow(kind: 'get' | 'set', node: MemberNode): PartialShadow | undefined {
    const name = memberName(node);
    // A field of a class is at hand by its name; `a[i]`, `import.meta.x` and `super.x` are no fields.
    if (name === undefined || node.computed || node.object.type === 'MetaProperty' || node.object.type === 'Super') return undefined;
    return { kind, name, isStatic: false };
  }

  /** A read becomes `site.g(x,"f")`; what is written `site.s(x,"f").v`, so that `=`, `+=`, `??=`, `++` and patterns do what they do. */
  #access(node: MemberNode, strict: boolean): void {
    if (this.#done.has(node)) return;
    const isWritten = this.#written.has(node);
    if (!(isWritten ? this.#sets : this.#gets)) return;
    const shadow = this.#shadow(isWritten ? 'set' : 'get', node);
    if (shadow === undefined || !this.#text.mayMatch(shadow)) return;
    if (node.property.type === 'PrivateIdentifier') {
      this.#text.skip(shadow, node, 'it is a private field');
      return;
    }
    this.#text.matches(shadow, node);
    const name = String(shadow.name);
    const { edit, module } = this.#text;
    const site = this.#text.site(isWritten ? 'set' : 'get', name, '', strict ? '' : 'l', receiverName(node.object));
    edit.prependRight(node.start, `${site}.${isWritten ? 's' : 'g'}(`);
    const from = memberStart(node, module.source);
    const newlines = module.source.slice(from, node.end).replace(/[^\n]/g, '');
    edit.update(from, node.end, `,${JSON.stringify(name)}${newlines})${isWritten ? '.v' : ''}`);
  }
}

/** Where `.name` or `[name]` begins, behind the parentheses around the object. */
const memberStart = (node: MemberNode, source: string): number => source.lastIndexOf(node.computed ? '[' : '.', node.property.start - 1);

/** A callee without what only TypeScript or parentheses put around it. */
const unwrapped = (node: Node): Node => (node.type === 'ParenthesizedExpression' ? unwrapped(node['expression'] as Node) : node);
