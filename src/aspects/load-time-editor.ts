import type { ParsedModule, SourceEditor, SourceModule } from '../loader/contract.ts';
import type { PartialShadow, Pointcut } from './pointcut.ts';

/** Where woven modules find the framework. */
export const GLOBAL = 'spark-proxy.weave';

type Node = { readonly type: string; readonly start: number; readonly end: number; readonly [key: string]: unknown };

interface ClassNode extends Node {
  readonly id: (Node & { readonly name: string }) | null;
  readonly superClass: Node | null;
  readonly body: Node & { readonly body: readonly Node[] };
}

/** A class at the top level of a module, and the way to put the woven class in its place. */
interface Found {
  readonly name: string;
  readonly node: ClassNode;
  /** `declaration`: `class X`. `assigned`: a variable that may be assigned again. `wrapped`: an expression whose value is used as it is. */
  readonly form: 'declaration' | 'assigned' | 'wrapped' | 'defaultDeclaration' | 'defaultAnonymous';
  /** Where the weaving call goes: after this offset, or around this node. */
  readonly at: number;
  readonly around: Node;
}

/**
 * Makes classes that load-time pointcuts may match pass through the framework when their module runs. One statement is
 * appended behind the class, on its last line, so lines keep their numbers.
 */
export function createEditor(pointcuts: () => readonly Pointcut[]): SourceEditor {
  return {
    name: 'weave',
    wants(module: SourceModule): boolean {
      return candidatePointcuts(pointcuts(), module).length > 0 && module.source.includes('class');
    },
    edit(module: ParsedModule): boolean {
      const mine = candidatePointcuts(pointcuts(), module);
      let changed = false;
      for (const found of classesOf(module.program as unknown as { body: readonly Node[] })) {
        if (!mine.some((pointcut) => mayMatch(pointcut, found, module.url))) continue;
        const construct = mine.some((pointcut) => pointcut.evaluate(constructOf(found.name, module.url)) !== false);
        weaveClass(module, found, construct);
        changed = true;
      }
      return changed;
    },
  };
}

function candidatePointcuts(pointcuts: readonly Pointcut[], { url, source }: SourceModule): readonly Pointcut[] {
  return pointcuts.filter(
    (pointcut) =>
      pointcut.evaluate({ module: url }) !== false && (pointcut.requiredTexts === undefined || pointcut.requiredTexts.some((text) => source.includes(text))),
  );
}

const constructOf = (name: string, module: string): PartialShadow => ({ kind: 'construct', name, declaringType: name, isStatic: false, module });

/** Whether it may match in this class, going by what the class declares; what it inherits counts when the class is named. */
function mayMatch(pointcut: Pointcut, { name, node }: Found, module: string): boolean {
  if (pointcut.evaluate(constructOf(name, module)) !== false) return true;
  const type = { declaringType: name, module };
  if (pointcut.evaluate(type) === false) return false;
  if (node.superClass !== null && pointcut.evaluate({ declaringType: '', module }) === false) return true;
  return node.body.body.some((element) => {
    if (element.type !== 'MethodDefinition' || element['kind'] === 'constructor') return false;
    const kind = ({ get: 'get', set: 'set' } as Record<string, 'get' | 'set'>)[element['kind'] as string] ?? 'execution';
    const key = element['key'] as Node & { name?: string; value?: unknown };
    if (key.type === 'PrivateIdentifier') return false;
    const isStatic = element['static'] === true;
    const named = element['computed'] !== true && (key.name ?? (typeof key.value === 'string' ? key.value : undefined));
    return pointcut.evaluate({ kind, isStatic, ...type, ...(typeof named === 'string' ? { name: named } : {}) }) !== false;
  });
}

const isClass = (node: Node | null | undefined): node is ClassNode => node?.type === 'ClassDeclaration' || node?.type === 'ClassExpression';

function classesOf(program: { readonly body: readonly Node[] }): readonly Found[] {
  const found: Found[] = [];
  for (const statement of program.body) {
    if (statement.type === 'ExportDefaultDeclaration') {
      const node = statement['declaration'] as Node;
      if (!isClass(node)) continue;
      if (node.type === 'ClassExpression') found.push({ name: node.id?.name ?? 'default', node, form: 'wrapped', at: node.end, around: node });
      else if (node.id === null) found.push({ name: 'default', node, form: 'defaultAnonymous', at: node.end, around: statement });
      else found.push({ name: node.id.name, node, form: 'defaultDeclaration', at: lastAssignment(program, node.id.name) ?? node.end, around: statement });
      continue;
    }
    const declaration = (statement.type === 'ExportNamedDeclaration' ? statement['declaration'] : statement) as Node | null;
    if (declaration === null) continue;
    if (isClass(declaration)) {
      const { name } = declaration.id!;
      found.push({ name, node: declaration, form: 'declaration', at: lastAssignment(program, name) ?? declaration.end, around: declaration });
    } else if (declaration.type === 'VariableDeclaration') {
      found.push(...variables(program, declaration, found));
    } else if (declaration.type === 'ExpressionStatement') {
      found.push(...assignment(declaration['expression'] as Node));
    }
  }
  // A decorated class that its own alias stands for (esbuild: `let _X = class _X`, `let X = _X`) is woven once, where it is named.
  return found.filter((one) => !found.some((other) => other !== one && other.node === one.node && other.around.type === 'Identifier'));
}

function variables(program: { readonly body: readonly Node[] }, declaration: Node, known: readonly Found[]): readonly Found[] {
  return (declaration['declarations'] as readonly Node[]).flatMap((declarator): readonly Found[] => {
    const id = declarator['id'] as Node & { name?: string };
    const init = declarator['init'] as (Node & { name?: string }) | null;
    if (id.type !== 'Identifier' || init === null) return [];
    const name = id.name!;
    if (isClass(init)) {
      if (declaration['kind'] === 'const') return [{ name, node: init, form: 'wrapped', at: init.end, around: init }];
      return [{ name, node: init, form: 'assigned', at: lastAssignment(program, name) ?? declaration.end, around: declaration }];
    }
    const alias = init.type === 'Identifier' ? known.find((one) => one.name === init.name && one.name === `_${name}`) : undefined;
    return alias === undefined ? [] : [{ name, node: alias.node, form: 'wrapped', at: init.end, around: init }];
  });
}

/** `exports.X = class`, `module.exports = class X`. */
function assignment(expression: Node): readonly Found[] {
  if (expression.type !== 'AssignmentExpression' || expression['operator'] !== '=') return [];
  const left = expression['left'] as Node;
  const right = expression['right'] as Node;
  if (left.type !== 'MemberExpression' || !isClass(right)) return [];
  const property = left['property'] as Node & { name?: string };
  const name = right.id?.name ?? (left['computed'] === true || property.name === 'exports' ? 'default' : property.name);
  return name === undefined ? [] : [{ name, node: right, form: 'wrapped', at: right.end, around: right }];
}

/** End of the last top-level `X = ...`: lowered class decorators assign the class anew. */
function lastAssignment(program: { readonly body: readonly Node[] }, name: string): number | undefined {
  let end: number | undefined;
  for (const statement of program.body) {
    const expression = statement.type === 'ExpressionStatement' ? (statement['expression'] as Node) : undefined;
    if (expression?.type !== 'AssignmentExpression') continue;
    const left = expression['left'] as Node & { name?: string };
    if (left.type === 'Identifier' && left.name === name) end = statement.end;
  }
  return end;
}

function weaveClass(module: ParsedModule, found: Found, construct: boolean): void {
  const { edit, url } = module;
  const { name, node, form, at, around } = found;
  const id = JSON.stringify(`${url}#${name}`);
  const weaver = `globalThis[Symbol.for("${GLOBAL}")]`;
  const call = (value: string, bodySeesWoven: boolean): string => `${weaver}?.(${id},${value}${bodySeesWoven ? ',1' : ''})??${value}`;
  switch (form) {
    case 'declaration':
    case 'defaultDeclaration': {
      const opened = construct && canOpen(node, name);
      const isDefault = form === 'defaultDeclaration';
      // The name inside a class declaration is a constant of its own. Only of an anonymous class does the body mean the variable,
      // which is what makes `new X()` in its own methods reach the woven class.
      if (opened) edit.overwrite(isDefault ? around.start : node.start, node.id!.end, `let ${name} = class`);
      edit.appendLeft(at, `;${name}=${call(name, opened)};${opened && isDefault ? `export{${name} as default};` : ''}`);
      return;
    }
    case 'assigned':
      edit.appendLeft(at, `;${name}=${call(name, node.id === null)};`);
      return;
    case 'defaultAnonymous':
      edit.appendRight(node.start, `((c)=>${call('c', false)})({default:`);
      edit.appendLeft(node.end, '}.default);');
      return;
    case 'wrapped': {
      // `{X: class {}}.X` names an anonymous class as the variable would.
      const anonymous = around === node && node.id === null && name !== 'default';
      edit.appendRight(around.start, `((c)=>${call('c', false)})(${anonymous ? `{${name}:` : ''}`);
      edit.appendLeft(around.end, anonymous ? `}.${name})` : ')');
    }
  }
}

/** Whether the class names itself in its body, and only where that runs after the class is complete. */
function canOpen(node: ClassNode, name: string): boolean {
  let mentions = false;
  let eager = false;
  const visit = (value: unknown, isEager: boolean): void => {
    if (Array.isArray(value)) {
      for (const one of value) visit(one, isEager);
      return;
    }
    if (typeof value !== 'object' || value === null || typeof (value as Node).type !== 'string') return;
    const one = value as Node & { name?: string };
    if (one.type === 'Identifier' && one.name === name) {
      mentions = true;
      eager ||= isEager;
    }
    const inside = isEager || one.type === 'StaticBlock' || (one.type === 'PropertyDefinition' && one['static'] === true);
    for (const [key, child] of Object.entries(one)) {
      const isName = (key === 'property' || key === 'key') && one['computed'] !== true;
      if (!isName && typeof child === 'object') visit(child, inside || (key === 'key' && one.type !== 'Property'));
    }
  };
  visit(node.superClass, true);
  visit(node.body.body, false);
  return mentions && !eager;
}
