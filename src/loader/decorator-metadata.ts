import type MagicString from 'magic-string';
import { nodeRequire } from '../core/require.ts';
import { parser } from './format.ts';

/**
 * `emitDecoratorMetadata`, which esbuild leaves out: `design:type`, `design:paramtypes` and `design:returntype` of decorated members, written as
 * one more (innermost) decorator each, before esbuild lowers them. Types become values by the rules of TypeScript's own emitter; a
 * type that only a type checker knows (interface, alias, type import, type parameter) is Object.
 */

// oxlint-disable-next-line typescript/no-explicit-any
type Node = any;

/** The TypeScript source with metadata decorators added on the lines of those that are there. */
export function addDesignMetadata(path: string, source: string): string {
  const { program, errors } = parser().parseSync(path, source, { astType: 'ts', preserveParens: false });
  if (errors.length > 0) return source;
  const Edits = (nodeRequire('magic-string') as { default: typeof MagicString }).default;
  const edits = new Edits(source);
  const emitter = new Emitter(edits);
  emitter.collect(program.body as Node[]);
  walk(program, (node) => {
    if (node.type === 'ClassDeclaration' || node.type === 'ClassExpression') emitter.emit(node);
  });
  return edits.toString();
}

class Emitter {
  readonly #edits: MagicString;
  /** Names that stand for types only, and enums with what their values are. */
  readonly #known = new Map<string, string>();

  constructor(edits: MagicString) {
    this.#edits = edits;
  }

  collect(body: readonly Node[]): void {
    for (const statement of body) {
      const node = statement.declaration ?? statement;
      if (node.type === 'TSInterfaceDeclaration' || node.type === 'TSTypeAliasDeclaration') this.#known.set(node.id.name as string, 'Object');
      if (node.type === 'TSEnumDeclaration') this.#known.set(node.id.name as string, enumType(node));
      for (const part of node.type === 'ImportDeclaration' ? node.specifiers : []) {
        if (node.importKind === 'type' || part.importKind === 'type') this.#known.set(part.local.name as string, 'Object');
      }
    }
  }

  emit(cls: Node): void {
    const members = cls.body.body as Node[];
    const constructor = members.find((member) => member.type === 'MethodDefinition' && member.kind === 'constructor')?.value;
    const parameters = new Set<string>(typeParameters(cls));
    if (constructor !== undefined && (cls.decorators.length > 0 || hasParameterDecorators(constructor))) {
      this.#add(cls, [['design:paramtypes', this.#list(constructor, parameters)]], cls.decorators.length > 0 ? undefined : cls.start);
    }
    for (const member of members) {
      const fn = member.type === 'MethodDefinition' && member.kind !== 'constructor' ? member.value : undefined;
      if (member.decorators === undefined || (member.decorators.length === 0 && (fn === undefined || !hasParameterDecorators(fn)))) continue;
      const scope = new Set([...parameters, ...(fn === undefined ? [] : typeParameters(fn))]);
      const at = member.decorators.length > 0 ? undefined : (member.start as number);
      if (fn === undefined) this.#add(member, [['design:type', this.#type(member.typeAnnotation, scope, 'Object')]], at);
      else if (member.kind === 'method') {
        const returned = this.#type(fn.returnType, scope, fn.async ? 'Promise' : 'void 0');
        this.#add(
          member,
          [
            ['design:type', 'Function'],
            ['design:paramtypes', this.#list(fn, scope)],
            ['design:returntype', returned],
          ],
          at,
        );
      } else {
        const annotation = member.kind === 'get' ? fn.returnType : parameterOf(fn.params[0])?.typeAnnotation;
        this.#add(
          member,
          [
            ['design:type', this.#type(annotation, scope, 'Object')],
            ['design:paramtypes', this.#list(fn, scope)],
          ],
          at,
        );
      }
    }
  }

  /** After the last decorator, so that it is applied first; `at` where there is none (parameters only are decorated). */
  #add(owner: Node, entries: readonly (readonly [key: string, value: string])[], at: number | undefined): void {
    const text = entries.map(([key, value]) => `@((Reflect as any).metadata?.("${key}",${value})??(()=>{}))`).join(' ');
    if (at === undefined) this.#edits.appendLeft(owner.decorators.at(-1).end as number, ` ${text}`);
    else this.#edits.appendLeft(at, `${text} `);
  }

  #list(fn: Node, scope: ReadonlySet<string>): string {
    return `[${(fn.params as Node[]).map((param) => this.#parameter(param, scope)).join()}]`;
  }

  #parameter(param: Node, scope: ReadonlySet<string>): string {
    const inner = parameterOf(param);
    if (inner.type !== 'RestElement') return this.#type(inner.typeAnnotation, scope, 'Object');
    const element = inner.typeAnnotation?.typeAnnotation?.elementType;
    return element === undefined ? 'Object' : this.#serialize(element, scope);
  }

  #type(annotation: Node, scope: ReadonlySet<string>, absent: string): string {
    return annotation ? this.#serialize(annotation.typeAnnotation ?? annotation, scope) : absent;
  }

  #serialize(type: Node, scope: ReadonlySet<string>): string {
    switch (type.type as string) {
      case 'TSStringKeyword':
      case 'TSTemplateLiteralType':
        return 'String';
      case 'TSNumberKeyword':
        return 'Number';
      case 'TSBooleanKeyword':
      case 'TSTypePredicate':
        return 'Boolean';
      case 'TSBigIntKeyword':
        return 'BigInt';
      case 'TSSymbolKeyword':
        return 'Symbol';
      case 'TSVoidKeyword':
      case 'TSUndefinedKeyword':
      case 'TSNullKeyword':
      case 'TSNeverKeyword':
        return 'void 0';
      case 'TSArrayType':
      case 'TSTupleType':
        return 'Array';
      case 'TSFunctionType':
      case 'TSConstructorType':
        return 'Function';
      case 'TSParenthesizedType':
        return this.#serialize(type.typeAnnotation, scope);
      case 'TSTypeOperator':
        return type.operator === 'readonly' ? this.#serialize(type.typeAnnotation, scope) : 'Object';
      case 'TSLiteralType':
        return literalType(type.literal);
      case 'TSUnionType': {
        const kinds = new Set((type.types as Node[]).map((part) => this.#serialize(part, scope)).filter((kind) => kind !== 'void 0'));
        return kinds.size === 1 ? ([...kinds][0] as string) : 'Object';
      }
      case 'TSTypeReference':
        return this.#reference(type.typeName, scope);
      default:
        return 'Object';
    }
  }

  #reference(name: Node, scope: ReadonlySet<string>): string {
    const path = entityName(name);
    const [root] = path;
    if (root === undefined || scope.has(root)) return 'Object';
    const known = this.#known.get(root);
    if (known !== undefined) return known;
    return `(typeof ${root}==="undefined"?Object:${path.join('?.')}??Object)`;
  }
}

function walk(node: Node, visit: (node: Node) => void): void {
  if (Array.isArray(node)) for (const part of node) walk(part, visit);
  else if (typeof node === 'object' && node !== null) {
    if (typeof node.type === 'string') visit(node);
    for (const part of Object.values(node)) if (typeof part === 'object') walk(part, visit);
  }
}

function parameterOf(param: Node): Node {
  if (param?.type === 'TSParameterProperty') return parameterOf(param.parameter);
  return param?.type === 'AssignmentPattern' ? param.left : param;
}

function hasParameterDecorators(fn: Node): boolean {
  return (fn.params as Node[]).some((param) => (param.decorators?.length ?? 0) > 0 || (parameterOf(param).decorators?.length ?? 0) > 0);
}

function typeParameters(node: Node): string[] {
  return ((node.typeParameters?.params ?? []) as Node[]).map(
    (parameter) => (typeof parameter.name === 'string' ? parameter.name : parameter.name.name) as string,
  );
}

function entityName(name: Node): string[] {
  if (name.type === 'Identifier') return [name.name as string];
  return name.type === 'TSQualifiedName' ? [...entityName(name.left), name.right.name as string] : [];
}

function literalType(literal: Node): string {
  const value = literal.type === 'UnaryExpression' ? 0 : literal.value;
  if (literal.type === 'TemplateLiteral' || typeof value === 'string') return 'String';
  return typeof value === 'number' ? 'Number' : typeof value === 'boolean' ? 'Boolean' : typeof value === 'bigint' ? 'BigInt' : 'void 0';
}

function enumType(node: Node): string {
  const kinds = new Set(
    ((node.body?.members ?? node.members) as Node[]).map(({ initializer }) => (typeof initializer?.value === 'string' ? 'String' : 'Number')),
  );
  return kinds.size === 1 ? ([...kinds][0] as string) : 'Object';
}
