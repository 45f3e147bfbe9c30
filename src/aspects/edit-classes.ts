import type { PartialShadow } from './pointcut.ts';
import { afterParameters, keyName, lengthOf, type ClassNode, type Node } from './syntax.ts';
import type { WovenText } from './woven-text.ts';

/** Private names that are read through another name, innermost class last. */
export type Renamed = ReadonlyMap<string, string>;

const KINDS = { method: 'execution', get: 'get', set: 'set' } as const;

interface PrivateMember {
  readonly name: string;
  readonly isStatic: boolean;
  readonly kinds: ReadonlyMap<'execution' | 'get' | 'set', boolean>;
}

/**
 * Weaves one class, wherever it is. Public members are replaced when the class is made, by a static block; the constructor's body becomes an
 * arrow that advice goes around; private methods are reached through an accessor beside them. `again`: text that
 * weaves the class again behind its decorators. Gives the private names that its body has to use instead.
 */
export function editClass(text: WovenText, node: ClassNode, name: string, again: (weave: string) => boolean): Renamed {
  const { edit } = text;
  const members = node.body.body;
  const own = { declaringType: name };
  const renamed = new Map<string, string>();
  let insert = '';

  const inherits = mayInherit(text, node, name);
  const asked = new Set<string>();
  let wanted = inherits;
  for (const member of members) {
    if (member.type !== 'MethodDefinition' || member['kind'] === 'constructor') continue;
    const key = keyName(member['key'] as Node, member['computed'] === true);
    if (key !== undefined && (key[0] === '#' || !text.mayBeCalled(key))) continue;
    const kind = KINDS[member['kind'] as keyof typeof KINDS];
    const shadow: PartialShadow = { kind, isStatic: member['static'] === true, ...own, ...(key === undefined ? {} : { name: key }) };
    if (!text.matches(shadow, member)) continue;
    wanted = true;
    if (key !== undefined) asked.add(key);
  }
  if (wanted) {
    // All names of a declared class are in its text.
    const site = text.declared && !inherits ? text.site('class', name, name, '', [...asked].join(' ')) : text.site('class', name, name);
    // Nothing of the class runs before what is behind it.
    if (text.declared && !members.some((member) => member.type === 'PropertyDefinition' && member['static'] === true))
      edit.appendLeft(node.end, `;${site}(${name});`);
    else if (!again(site)) insert += `static{${site}(this)}`;
  }

  for (const { name: key, isStatic, kinds } of text.declared ? [] : privateMembers(members)) {
    const used = [...kinds.keys()].filter((kind) => text.matches({ kind, name: key, isStatic, ...own }, node));
    if (used.length === 0) continue;
    const other = `${key}${text.prefix}`;
    renamed.set(key, other);
    const prefix = isStatic ? 'static ' : '';
    const flags = isStatic ? 's' : '';
    if (kinds.has('execution')) {
      insert += `${prefix}get ${other}(){const s=${text.site('private', key, name, flags)},f=this.${key};return f===s.o?s.f:s.p(f)}`;
      continue;
    }
    // An accessor is run through its site, where that is asked for; its other half passes.
    if (kinds.has('get')) {
      const site = used.includes('get') ? text.site('private', key, name, `${flags}g`) : undefined;
      insert += `${prefix}get ${other}(){return ${site === undefined ? `this.${key}` : `${site}.r(this,()=>this.${key})`}}`;
    }
    if (kinds.has('set')) {
      const site = used.includes('set') ? text.site('private', key, name, `${flags}t`) : undefined;
      insert += `${prefix}set ${other}(v){${site === undefined ? `this.${key}=v` : `${site}.r(this,(v)=>{this.${key}=v},v)`}}`;
    }
  }

  const construction: PartialShadow = { kind: 'construct', name, isStatic: false, ...own };
  if (text.matches(construction, node)) insert += editConstructor(text, node, name, construction);

  if (insert !== '') edit.appendLeft(node.body.start + 1, insert);
  return renamed;
}

/** A member that it only inherits is woven in it when the pointcut names the class. */
function mayInherit(text: WovenText, { superClass }: ClassNode, declaringType: string): boolean {
  if (superClass === null) return false;
  const at = { module: text.module.url };
  const kinds = ['execution', 'get', 'set'] as const;
  return text.pointcuts.some(
    (pointcut) =>
      kinds.some((kind) => pointcut.evaluate({ ...at, kind, declaringType }) !== false) &&
      kinds.every((kind) => pointcut.evaluate({ ...at, kind, declaringType: '' }) === false),
  );
}

function privateMembers(members: readonly Node[]): readonly PrivateMember[] {
  const found = new Map<string, { isStatic: boolean; kinds: Map<'execution' | 'get' | 'set', boolean> }>();
  for (const member of members) {
    const key = member['key'] as Node | undefined;
    if (member.type !== 'MethodDefinition' || key?.type !== 'PrivateIdentifier') continue;
    const name = keyName(key, false)!;
    const known = found.get(name) ?? { isStatic: member['static'] === true, kinds: new Map() };
    found.set(name, known);
    known.kinds.set(KINDS[member['kind'] as keyof typeof KINDS], true);
  }
  return [...found].map(([name, rest]) => ({ name, ...rest }));
}

/** Gives the constructor to insert where there is none. */
function editConstructor(text: WovenText, node: ClassNode, name: string, shadow: PartialShadow): string {
  const { edit, module, prefix } = text;
  const [site, body] = [`${prefix}s`, `${prefix}b`];
  const explicit = node.body.body.find((member) => member.type === 'MethodDefinition' && member['kind'] === 'constructor');
  const open = (length: number): string =>
    `(${Array.from({ length }, (_, i) => `${prefix}${i}`).join()}){const ${site}=${text.site('construct', name, name, '', length)},${body}=`;
  /** The body runs with its parameters one by one, as far as there is a number of them: nothing is spread that V8 would have to look at. */
  const close = (length: number, count: number | undefined, usesArguments: boolean): string => {
    const declared = Array.from({ length }, (_, i) => `${prefix}${i}`);
    const all = count === undefined ? '...arguments' : [...declared, ...Array.from({ length: count - length }, (_, i) => `arguments[${length + i}]`)].join();
    const instance = node.superClass === null ? `.n(${body},this` : `.d(${body},()=>this`;
    const invocation = `${site}${instance}${usesArguments ? ',arguments' : ''})`;
    const advised = `arguments.length===${length}?${invocation}.shell(${declared.join()}):${site}.f.apply(${invocation},arguments)`;
    return `;return ${site}.off?${body}(${all}):${advised}}`;
  };
  if (explicit === undefined) {
    if (node.superClass?.type === 'Literal') {
      text.skip(shadow, node, 'it extends null');
      return '';
    }
    return `constructor${open(0)}${node.superClass === null ? '()=>{}' : '(...a)=>{super(...a)}'}${close(0, node.superClass === null ? 0 : undefined, false)}`;
  }
  const value = explicit['value'] as Node & { readonly params: readonly Node[]; readonly body: Node };
  const parameters = afterParameters(module.source, value.params.at(-1)?.end ?? value.start + 1);
  if (parameters < 0 || parameters > value.body.start) {
    text.skip(shadow, explicit, 'its parameters are not understood');
    return '';
  }
  const usesArguments = /\barguments\b/.test(module.source.slice(value.start, value.end));
  edit.appendLeft(value.start, open(lengthOf(value.params)));
  edit.appendLeft(parameters, '=>');
  const count = value.params.at(-1)?.type === 'RestElement' ? undefined : value.params.length;
  edit.appendRight(value.end, close(lengthOf(value.params), count, usesArguments));
  return '';
}
