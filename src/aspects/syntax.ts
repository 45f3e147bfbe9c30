/** ESTree, as far as weaving reads it. */
export type Node = { readonly type: string; readonly start: number; readonly end: number; readonly [key: string]: unknown };

export interface IdentifierNode extends Node {
  readonly name: string;
}

export interface ClassNode extends Node {
  readonly id: IdentifierNode | null;
  readonly superClass: Node | null;
  readonly body: Node & { readonly body: readonly Node[] };
}

export interface MemberNode extends Node {
  readonly object: Node;
  readonly property: Node & { readonly name: string; readonly value?: unknown };
  readonly computed: boolean;
  readonly optional: boolean;
}

export const isNode = (value: unknown): value is Node => typeof value === 'object' && value !== null && typeof (value as Node).type === 'string';

export const isClass = (node: unknown): node is ClassNode => isNode(node) && (node.type === 'ClassDeclaration' || node.type === 'ClassExpression');

export const isFunctionExpression = (node: unknown): node is Node =>
  isNode(node) && (node.type === 'FunctionExpression' || node.type === 'ArrowFunctionExpression');

export const isIdentifier = (node: unknown): node is IdentifierNode => isNode(node) && node.type === 'Identifier';

/** Whether reading it again changes nothing and gives the same. */
export const isSimple = (node: Node): boolean => node.type === 'ThisExpression' || node.type === 'Identifier' || node.type === 'Super';

/** Name of a key that the text says; undefined for what is computed, private names with their `#`. */
export function keyName(key: Node, computed: boolean): string | undefined {
  const { name, value } = key as Node & { name?: string; value?: unknown };
  if (key.type === 'PrivateIdentifier') return `#${name}`;
  if (key.type === 'Literal') return typeof value === 'string' || typeof value === 'number' ? String(value) : undefined;
  return computed ? undefined : name;
}

/** `Type.member` of nodes such as `x.y` and `this.#y`. */
export const memberName = (node: Node): string | undefined => keyName(node['property'] as Node, node['computed'] === true);

/** The children of a node, in the order of the text as far as the parser keeps it. */
export function children(node: Node): Node[] {
  const found: Node[] = [];
  for (const value of Object.values(node)) {
    if (Array.isArray(value)) {
      for (const one of value) if (isNode(one)) found.push(one);
    } else if (isNode(value)) found.push(value);
  }
  return found;
}

/** Offset behind the `)` that closes the parameters of a function: behind `from`, comments skipped. */
export function afterParameters(source: string, from: number): number {
  let depth = 0;
  for (let i = from; i < source.length; i++) {
    const c = source[i];
    if (c === '/' && source[i + 1] === '/') i = source.indexOf('\n', i);
    else if (c === '/' && source[i + 1] === '*') i = source.indexOf('*/', i) + 1;
    else if (c === '(') depth++;
    else if (c === ')' && --depth < 0) return i + 1;
    if (i < 0) break;
  }
  return -1;
}

/** What `length` of a function with these parameters is. */
export function lengthOf(params: readonly Node[]): number {
  const at = params.findIndex((param) => param.type === 'AssignmentPattern' || param.type === 'RestElement');
  return at < 0 ? params.length : at;
}
