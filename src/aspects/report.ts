import type { SourceModule } from '../loader/contract.ts';
import type { JoinPointKind } from './join-point.ts';
import { Signature } from './join-point.ts';
import type { PartialShadow } from './pointcut.ts';

/** A join point in the text of a module, and the advice that was found for it. */
export interface MatchedShadow {
  readonly joinPoint: string;
  readonly kind: JoinPointKind;
  readonly module: string;
  /** From 1. */
  readonly line: number;
  /** The pointcuts that match, or may, when the join point runs. */
  readonly pointcuts: readonly string[];
}

/** A join point, or a whole module, that a pointcut asks for and that stays as it is. */
export interface Skipped {
  /** Empty: the module. */
  readonly joinPoint: string;
  readonly module: string;
  readonly line: number;
  readonly why: string;
}

const MAX_ROWS = 10_000;

/** What load-time weaving found in the text of modules: for `explain()`. Bounded: of a very large program, the first rows. */
export class Report {
  readonly #matched: (Omit<MatchedShadow, 'joinPoint' | 'kind'> & { readonly shadow: PartialShadow })[] = [];
  readonly #skipped: Skipped[] = [];
  readonly #hit = new Set<string>();

  matched(module: SourceModule, offset: number, shadow: PartialShadow, pointcuts: readonly string[]): void {
    for (const pointcut of pointcuts) this.#hit.add(pointcut);
    if (this.#matched.length >= MAX_ROWS) return;
    this.#matched.push({ shadow, module: module.url, line: lineOf(module.source, offset), pointcuts });
  }

  skipped(module: SourceModule, offset: number, shadow: PartialShadow | undefined, why: string): void {
    if (this.#skipped.length >= MAX_ROWS) return;
    this.#skipped.push({ joinPoint: shadow === undefined ? '' : describe(shadow), module: module.url, line: lineOf(module.source, offset), why });
  }

  hit(pointcut: string): boolean {
    return this.#hit.has(pointcut);
  }

  get rows(): { readonly matched: readonly MatchedShadow[]; readonly skipped: readonly Skipped[] } {
    // Told when asked, not when a program starts.
    const matched = this.#matched.map(({ shadow, ...rest }): MatchedShadow => ({ joinPoint: describe(shadow), kind: shadow.kind!, ...rest }));
    return { matched, skipped: this.#skipped };
  }

  clear(): void {
    this.#matched.length = 0;
    this.#skipped.length = 0;
    this.#hit.clear();
  }
}

const describe = ({ kind = 'execution', name = '*', declaringType = '', isStatic = false }: PartialShadow): string =>
  new Signature({ kind, name, declaringType, isStatic }).toString();

/** By what is native: asked of each join point of a module that is loaded. */
const lineOf = (source: string, offset: number): number => source.slice(0, offset).split('\n').length;
