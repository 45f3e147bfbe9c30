import type { AnyFunction } from './advice.ts';
import { errors } from './errors.ts';
import type { JoinPointKind } from './join-point.ts';

/** Where advice could go: a join point in the program text (AspectJ's join point shadow). */
export interface Shadow {
  readonly kind: JoinPointKind;
  /** Private members have their `#`. */
  readonly name: string | symbol;
  readonly declaringType: string;
  readonly isStatic: boolean;
  /** URL of the module; undefined for what is woven after it was loaded. */
  readonly module: string | undefined;
  /** Names of the decorators and annotations on the member and on its class. @defaultValue none */
  readonly annotations?: readonly string[] | undefined;
}

/** What may be known before the whole shadow is; `undefined` as an answer means "not decided yet". */
export type PartialShadow = { readonly [K in keyof Shadow]?: Shadow[K] } & {
  /** At a call or a field access, which are known only when it runs: the names of the receiver's classes, and its own. */
  readonly types?: readonly string[];
  /** The join point runs now: `cflow` can be answered. */
  readonly running?: boolean;
};

declare const FUNCTION: unique symbol;

/** Which join points? Immutable; composes; two of the same shape are equal. `F`: type of the function it picks out, for the type checker. */
export interface Pointcut<F extends AnyFunction = AnyFunction> {
  /** True, false, or undefined when the fields given do not decide it. */
  evaluate(shadow: PartialShadow): boolean | undefined;
  /** As it would be answered if the join point ran now. */
  matches(shadow: Shadow): boolean;
  /** What is left to ask when the join point runs, once the shadow is known; true or false when that decides. */
  residue(shadow: PartialShadow): Pointcut | boolean;
  and(...others: readonly Pointcut[]): Pointcut<F>;
  or<G extends AnyFunction = AnyFunction>(...others: readonly Pointcut<G>[]): Pointcut<F | G>;
  not(): Pointcut;
  equals(other: unknown): boolean;
  /** In the text syntax: `parsePointcut(String(p)).equals(p)`, unless it names a symbol that only the program holds. */
  toString(): string;
  /** Whether a name is asked for exactly: then inherited members are found too. */
  namesExactly(name: string | symbol): boolean;
  /** One of these texts is in every module where it can match; undefined when nothing can be said. */
  readonly requiredTexts: readonly string[] | undefined;
  /** What it can match has one of these names; undefined when nothing can be said. */
  readonly names: ReadonlySet<string | symbol> | undefined;
  /** Whether it can only match in the modules of some `within`. */
  readonly boundToModule: boolean;
  /** Kinds of join points that it can match. */
  readonly kinds: ReadonlySet<JoinPointKind>;
  /** Only for type checking. */
  readonly [FUNCTION]?: F;
}

type Operator = 'and' | 'or' | 'not' | 'leaf';

export const ALL_KINDS: ReadonlySet<JoinPointKind> = new Set<JoinPointKind>(['execution', 'call', 'construct', 'get', 'set']);

interface Spec {
  readonly operator: Operator;
  readonly text: string;
  readonly parts?: readonly PointcutNode[];
  readonly symbol?: symbol | undefined;
  readonly exact?: string | symbol | undefined;
  readonly requiredTexts?: readonly string[] | undefined;
  readonly names?: ReadonlySet<string | symbol> | undefined;
  readonly boundToModule?: boolean;
  /** @defaultValue all */
  readonly kinds?: ReadonlySet<JoinPointKind>;
  /** The `cflow` that this leaf is. */
  readonly flow?: Flow;
  evaluate(shadow: PartialShadow): boolean | undefined;
}

/** Control flow below the join points of a pointcut: advice `enter`s it there. */
export interface Flow {
  readonly of: Pointcut;
  readonly enter: (run: () => unknown) => unknown;
}

export class PointcutNode implements Pointcut {
  readonly #spec: Spec;
  readonly requiredTexts: readonly string[] | undefined;
  readonly names: ReadonlySet<string | symbol> | undefined;
  readonly boundToModule: boolean;
  readonly kinds: ReadonlySet<JoinPointKind>;

  constructor(spec: Spec) {
    this.#spec = spec;
    this.requiredTexts = spec.requiredTexts;
    this.names = spec.names;
    this.boundToModule = spec.boundToModule ?? false;
    this.kinds = spec.kinds ?? ALL_KINDS;
  }

  get #parts(): readonly PointcutNode[] {
    return this.#spec.parts ?? [];
  }

  evaluate(shadow: PartialShadow): boolean | undefined {
    return this.#spec.evaluate(shadow);
  }

  matches(shadow: Shadow): boolean {
    return this.#spec.evaluate({ annotations: NONE, ...shadow, running: true }) === true;
  }

  residue(shadow: PartialShadow): Pointcut | boolean {
    const decided = this.evaluate(shadow);
    if (decided !== undefined) return decided;
    const { operator } = this.#spec;
    if (operator === 'leaf') return this;
    const open = this.#parts.map((part) => part.residue(shadow)).filter((part) => typeof part !== 'boolean');
    return operator === 'not' ? open[0]!.not() : combine(operator, open);
  }

  and(...others: readonly Pointcut[]): Pointcut {
    return combine('and', [this, ...others]);
  }

  or(...others: readonly Pointcut[]): Pointcut {
    return combine('or', [this, ...others]);
  }

  not(): Pointcut {
    return new PointcutNode({
      operator: 'not',
      text: `!${this.#spec.operator === 'leaf' ? this.#spec.text : `(${this.#spec.text})`}`,
      parts: [this],
      evaluate: (shadow) => {
        const inner = this.evaluate(shadow);
        return inner === undefined ? undefined : !inner;
      },
    });
  }

  equals(other: unknown): boolean {
    if (!(other instanceof PointcutNode)) return false;
    const a = this.#spec;
    const b = other.#spec;
    return (
      a.operator === b.operator &&
      a.text === b.text &&
      a.symbol === b.symbol &&
      (a.flow === undefined || a.flow.of.equals(b.flow?.of)) &&
      this.#parts.length === other.#parts.length &&
      this.#parts.every((part, i) => part.equals(other.#parts[i]))
    );
  }

  toString(): string {
    return this.#spec.text;
  }

  namesExactly(name: string | symbol): boolean {
    const { operator, exact } = this.#spec;
    if (operator === 'leaf') return exact === name;
    return operator !== 'not' && this.#parts.some((part) => part.namesExactly(name));
  }

  /** The flows it asks for, those of the pointcuts of flows included. */
  flows(): readonly Flow[] {
    const { flow } = this.#spec;
    return [...(flow === undefined ? [] : [flow, ...flowsOf(flow.of)]), ...this.#parts.flatMap((part) => part.flows())];
  }

  static text(node: PointcutNode, inside: Operator): string {
    const { operator, text } = node.#spec;
    return operator === 'leaf' || operator === 'not' || operator === inside ? text : `(${text})`;
  }

  static partsOf(node: PointcutNode, operator: Operator): readonly PointcutNode[] {
    return node.#spec.operator === operator ? node.#parts : [node];
  }
}

const NONE: readonly string[] = [];

export const flowsOf = (pointcut: Pointcut): readonly Flow[] => (pointcut as PointcutNode).flows();

/** @throws SP_ASPECTS_BAD_POINTCUT */
export function toPointcut(value: unknown): Pointcut {
  if (!(value instanceof PointcutNode)) throw errors.BAD_POINTCUT({ what: typeof value === 'symbol' ? String(value) : `${typeof value} ${String(value)}` });
  return value;
}

function combine(operator: 'and' | 'or', given: readonly Pointcut[]): Pointcut {
  const parts = given.flatMap((part) => PointcutNode.partsOf(toPointcut(part) as PointcutNode, operator));
  if (parts.length === 1) return parts[0]!;
  const decides = operator === 'or';
  const required = parts.map((part) => part.requiredTexts);
  const names = parts.map((part) => part.names);
  const kinds = [...ALL_KINDS].filter((kind) => (decides ? parts.some((part) => part.kinds.has(kind)) : parts.every((part) => part.kinds.has(kind))));
  return new PointcutNode({
    operator,
    text: parts.map((part) => PointcutNode.text(part, operator)).join(operator === 'and' ? ' && ' : ' || '),
    parts,
    requiredTexts:
      operator === 'and' ? required.find((texts) => texts !== undefined) : required.every((texts) => texts !== undefined) ? required.flat() : undefined,
    names:
      operator === 'and'
        ? names.find((some) => some !== undefined)
        : names.every((some) => some !== undefined)
          ? new Set(names.flatMap((some) => [...some]))
          : undefined,
    boundToModule: operator === 'and' ? parts.some((part) => part.boundToModule) : parts.every((part) => part.boundToModule),
    kinds: new Set(kinds),
    evaluate(shadow) {
      let answer: boolean | undefined = !decides;
      for (let i = 0; i < parts.length; i++) {
        const value = parts[i]!.evaluate(shadow);
        if (value === decides) return decides;
        if (value === undefined) answer = undefined;
      }
      return answer;
    },
  });
}

/** All of them. */
export const and = <F extends AnyFunction>(first: Pointcut<F>, ...others: readonly Pointcut[]): Pointcut<F> => toPointcut(first).and(...others) as Pointcut<F>;
/** Any of them. */
export const or = (first: Pointcut, ...others: readonly Pointcut[]): Pointcut => toPointcut(first).or(...others);
export const not = (pointcut: Pointcut): Pointcut => toPointcut(pointcut).not();
