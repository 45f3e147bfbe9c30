import type { PartialShadow } from './pointcut.ts';
import { isFunctionExpression, isIdentifier, keyName, memberName, type Node } from './syntax.ts';
import type { WovenText } from './woven-text.ts';

/**
 * Weaves functions at the top level of a module: declarations (assigned anew before anything else runs; who calls
 * them earlier, in a circular import, gets them without advice), functions and arrows bound to names, object literals bound to
 * names, and what is assigned to `exports.f`, `X.f` and `X.prototype.f`.
 */
export function editFunctions(text: WovenText): void {
  const first: string[] = [];
  for (const statement of text.body) {
    if (statement.type === 'ExportDefaultDeclaration') editDefault(text, statement['declaration'] as Node, first);
    else {
      const declaration = statement.type === 'ExportNamedDeclaration' ? (statement['declaration'] as Node | null) : statement;
      if (declaration?.type === 'FunctionDeclaration') editDeclaration(text, declaration, first);
      else if (declaration?.type === 'VariableDeclaration') editVariables(text, declaration);
      else if (declaration?.type === 'ExpressionStatement') editAssignment(text, declaration['expression'] as Node);
    }
  }
  if (first.length > 0) insertFirst(text, first.join(''));
}

const shadowOf = (name: string, declaringType = ''): PartialShadow => ({ kind: 'execution', name, declaringType, isStatic: false });

function editDeclaration(text: WovenText, node: Node, first: string[]): void {
  const { name } = node['id'] as Node & { name: string };
  if (text.matches(shadowOf(name), node)) first.push(`${name}=${text.site('function', name, '')}(${name});`);
}

function editDefault(text: WovenText, node: Node, first: string[]): void {
  if (node.type === 'FunctionDeclaration' || node.type === 'TSDeclareFunction') {
    if (node['id'] !== null) {
      editDeclaration(text, node, first);
      return;
    }
    if (!text.matches(shadowOf('default'), node)) return;
    // It needs a binding to be assigned to; its name stays `default`.
    const binding = `${text.prefix}d`;
    const keyword = /^(?:async\s+)?function\s*\*?/.exec(text.module.source.slice(node.start))![0];
    text.edit.appendLeft(node.start + keyword.length, ` ${binding}`);
    first.push(`${binding}=${text.site('function', 'default', '', 'd')}(${binding});`);
  } else editValue(text, node, 'default', '', 'default');
}

function editVariables(text: WovenText, declaration: Node): void {
  for (const declarator of declaration['declarations'] as readonly Node[]) {
    const id = declarator['id'] as Node;
    const init = declarator['init'] as Node | null;
    if (isIdentifier(id) && init !== null) editValue(text, init, id.name, '', id.name);
  }
}

function editAssignment(text: WovenText, expression: Node): void {
  if (expression.type !== 'AssignmentExpression' || expression['operator'] !== '=') return;
  const left = expression['left'] as Node;
  const right = expression['right'] as Node;
  if (right.type === 'AssignmentExpression') editAssignment(text, right);
  if (left.type !== 'MemberExpression') {
    if (isIdentifier(left)) editValue(text, right, left.name, '', left.name);
    return;
  }
  const member = memberName(left);
  if (member === undefined) return;
  const owner = left['object'] as Node;
  if (isIdentifier(owner)) {
    if (owner.name === 'module' && member === 'exports') editValue(text, right, 'default', '', undefined);
    else editValue(text, right, member, owner.name === 'exports' ? '' : owner.name, undefined);
  } else if (owner.type === 'MemberExpression') {
    const parent = owner['object'] as Node;
    const between = memberName(owner);
    if (isIdentifier(parent) && parent.name === 'module' && between === 'exports') editValue(text, right, member, '', undefined);
    else if (isIdentifier(parent) && between === 'prototype') editValue(text, right, member, parent.name, undefined);
  }
}

/** `binding`: the name that an anonymous function takes from its place. */
function editValue(text: WovenText, node: Node, name: string, declaringType: string, binding: string | undefined): void {
  const isObject = node.type === 'ObjectExpression';
  if (isFunctionExpression(node)) {
    if (text.matches(shadowOf(name, declaringType), node)) wrap(text, node, text.site('function', name, declaringType), binding);
  } else if (isObject) {
    const wanted = (node['properties'] as readonly Node[]).filter((property) => {
      const key = property.type === 'Property' ? keyName(property['key'] as Node, property['computed'] === true) : undefined;
      const kind = property['kind'] === 'get' || property['kind'] === 'set' ? property['kind'] : 'execution';
      if (key === undefined || (kind === 'execution' && !isFunctionExpression(property['value']))) return false;
      return text.matches({ kind, name: key, declaringType: name === 'default' ? '' : name, isStatic: false }, property);
    });
    const type = name === 'default' ? '' : name;
    if (wanted.length > 0) wrap(text, node, text.site('object', type, type), undefined);
  }
}

/** Around the node and what other editors put around it: their ends are left of the offset, ours is right of it. */
function wrap(text: WovenText, node: Node, site: string, binding: string | undefined): void {
  const { edit, module } = text;
  const named = binding !== undefined && (node['id'] === null || node['id'] === undefined) && node.type !== 'ObjectExpression';
  // An anonymous function keeps the name that its place gives it: a property of that name does the same.
  const [open, close] = named ? [`{${JSON.stringify(binding)}:`, `}[${JSON.stringify(binding)}]`] : ['', ''];
  // Parentheses around it, if any, stay outside.
  const space = /[\w$]/.test(module.source[node.start - 1] ?? '') ? ' ' : '';
  edit.prependRight(node.start, `${space}${site}(${open}`);
  edit.prependRight(node.end, `${close})`);
}

/** Before anything runs: behind directives and imports, on the line of the last of them, so that no other line changes. */
function insertFirst(text: WovenText, statements: string): void {
  const { edit, body } = text;
  let last: Node | undefined;
  let next: Node | undefined;
  for (const statement of body) {
    if (typeof statement['directive'] === 'string' || statement.type === 'ImportDeclaration') last = statement;
    else {
      next = statement;
      break;
    }
  }
  if (last !== undefined) edit.appendLeft(last.end, `;${statements}`);
  else if (next !== undefined) edit.prependLeft(next.start, statements);
}
