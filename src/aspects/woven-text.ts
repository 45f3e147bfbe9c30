import type { ParsedModule, SourceEdits, SourceModule } from '../loader/contract.ts';
import type { PartialShadow, Pointcut } from './pointcut.ts';
import type { Report } from './report.ts';
import type { Node } from './syntax.ts';

/** Where woven modules find the framework. */
export const GLOBAL = 'spark-proxy.weave';

/** What woven text tells of one of its sites: by position, as it is part of the text. */
export type SiteText = readonly [
  what: 'class' | 'object' | 'construct' | 'private' | 'function' | 'call' | 'get' | 'set',
  name: string,
  declaringType: string,
  /** `s`: static, `l`: sloppy mode, `g`/`t`: accessor (get, set). */
  flags?: string,
  /** Of a class: the names of its members that are woven, where these are all that may be. Of a constructor: its length. Of a call or an access: the receiver as the text names it. */
  more?: number | string,
];

/**
 * The edits of one module. Sites are numbered; `ref(n)` is the text that finds the n-th at run time, through a function declared
 * behind the last statement (hoisted, so that it is there in circular imports too, and lazy, so that it may run before its module).
 */
export class WovenText {
  readonly module: SourceModule;
  readonly edit: SourceEdits;
  readonly #program: { readonly body: readonly Node[] };
  readonly #bindings: readonly { readonly pointcut: Pointcut; readonly label: string }[];
  readonly #report: Report;
  readonly #sites: SiteText[] = [];
  /** Each site is found where it is: its class is declared, and so made once. */
  readonly declared: boolean;
  #prefix: string | undefined;

  constructor(module: ParsedModule, bindings: readonly { readonly pointcut: Pointcut; readonly label: string }[], report: Report) {
    this.module = module;
    this.edit = module.edit;
    this.#program = module.program as unknown as { body: readonly Node[] };
    this.#bindings = bindings;
    this.#report = report;
    this.declared = module.declared === true;
  }

  /** A prefix of identifiers that the source does not use. */
  get prefix(): string {
    if (this.#prefix === undefined) {
      this.#prefix = '$sp';
      for (let n = 0; this.module.source.includes(this.#prefix); n++) this.#prefix = `$sp${n}`;
    }
    return this.#prefix;
  }

  get body(): readonly Node[] {
    return this.#program.body;
  }

  get changed(): boolean {
    return this.#sites.length > 0;
  }

  /** Whether what is called so may be asked for: most members of a class are called otherwise. */
  mayBeCalled(name: string): boolean {
    const bindings = this.#bindings;
    for (let i = 0; i < bindings.length; i++) if (bindings[i]!.pointcut.names?.has(name) !== false) return true;
    return false;
  }

  /** Whether some pointcut may match; said to the report with its place. */
  matches(shadow: PartialShadow, node: Node): boolean {
    // Asked of each member of a class: no closures.
    const { kind, name, declaringType, isStatic } = shadow;
    const at = { kind, name, declaringType, isStatic, module: this.module.url } as PartialShadow;
    const bindings = this.#bindings;
    let labels: string[] | undefined;
    for (let i = 0; i < bindings.length; i++) {
      const { pointcut, label } = bindings[i]!;
      if (pointcut.evaluate(at) !== false) (labels ??= []).push(label);
    }
    if (labels === undefined) return false;
    this.#report.matched(this.module, node.start, shadow, labels);
    return true;
  }

  /** Whether some pointcut may match, asked for a group whose members are told one by one. */
  mayMatch(shadow: PartialShadow): boolean {
    return this.#bindings.some(({ pointcut }) => pointcut.evaluate({ ...shadow, module: this.module.url }) !== false);
  }

  /** Pointcuts that may match here. */
  get pointcuts(): readonly Pointcut[] {
    return this.#bindings.map(({ pointcut }) => pointcut);
  }

  skip(shadow: PartialShadow, node: Node, why: string): void {
    const hits = this.#bindings.filter(({ pointcut }) => pointcut.evaluate({ ...shadow, module: this.module.url }) !== false);
    if (hits.length > 0) this.#report.skipped(this.module, node.start, shadow, why);
  }

  site(...site: SiteText): string {
    const n = this.#sites.push(site) - 1;
    return this.declared ? `${this.#open([site])}[0]` : `${this.prefix}(${n})`;
  }

  /** The sites as handlers; undefined, with all that is behind it, without the framework. */
  #open(sites: readonly SiteText[]): string {
    return `globalThis[Symbol.for(${JSON.stringify(GLOBAL)})]?.(${JSON.stringify(this.module.url)},${JSON.stringify(sites)})`;
  }

  /** The function that finds sites. Without the framework (another realm, a dump that is run by itself) every site is inert. */
  finish(): void {
    if (this.declared) return;
    const { prefix } = this;
    const inert =
      'Object.assign((f)=>f,{off:!0,p:(f)=>f,m:(t,f,...a)=>Reflect.apply(f,t,a),g:(t,k)=>t[k],s:(t,k)=>({get v(){return t[k]},set v(v){t[k]=v}}),r:(t,f,...a)=>f(...a)})';
    const open = this.#open(this.#sites);
    // What runs at each join point is short, so that V8 inlines it.
    const text = `;var ${prefix}m,${prefix}t;function ${prefix}o(){return ${prefix}m=${open}??Array(${this.#sites.length}).fill(${inert})}function ${prefix}(i){return(${prefix}m??${prefix}o())[i]}${prefix}(0);`;
    this.edit.appendRight(this.body.at(-1)!.end, text);
  }
}
