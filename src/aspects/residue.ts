import { makeAdvice, type Advice, type AnyFunction } from './advice.ts';
import { endings } from './endings.ts';
import type { JoinPoint } from './join-point.ts';
import { flowsOf, type PartialShadow, type Pointcut } from './pointcut.ts';
import type { Entry } from './site.ts';
import type { Binding } from './weave.ts';

/** Names by which a pointcut may mean a receiver: its classes, nearest first. */
export type TypesOf = (jp: JoinPoint) => readonly string[];

/**
 * The entry as it is at one site. Where the shadow leaves something to be asked (AspectJ's residue: `cflow`, the receiver of a call), its
 * advice asks that first, and otherwise lets the call pass.
 */
export function atSite(entry: Entry, residue: Pointcut | true, shadow: PartialShadow, typesOf?: TypesOf): Entry {
  if (residue === true) return entry;
  const { advice } = entry;
  const run = advice.run as AnyFunction;
  const asked: PartialShadow = { ...shadow, running: true };
  const holds = (jp: JoinPoint): boolean => residue.evaluate(typesOf === undefined ? asked : { ...asked, types: typesOf(jp) }) === true;
  const guarded =
    advice.kind === 'around'
      ? function (this: unknown, jp: JoinPoint, proceed: () => unknown): unknown {
          return holds(jp) ? run.call(this, jp, proceed) : proceed();
        }
      : function (this: unknown, jp: JoinPoint, outcome: unknown): unknown {
          return holds(jp) ? run.call(this, jp, outcome) : undefined;
        };
  const { kind, order, name, aspect } = advice;
  return {
    advice: makeAdvice(kind, guarded, { order, name, ...(aspect === undefined ? {} : { aspect }) }) as Advice,
    pointcut: entry.pointcut,
    sequence: entry.sequence,
    base: entry,
    get enabled() {
      return entry.enabled;
    },
    set enabled(enabled: boolean) {
      entry.enabled = enabled;
    },
  };
}

/** Advice that marks the flow of each `cflow` that the pointcuts ask for: outside of all other advice. */
export function flowBindings(bindings: readonly Binding[]): readonly Binding[] {
  return bindings.flatMap(({ pointcut }) =>
    flowsOf(pointcut).map(({ of, enter }) => {
      const mark = (_jp: JoinPoint, proceed: () => unknown): unknown => enter(() => endings.resume(proceed(), enter));
      return { pointcut: of, advice: makeAdvice('around', mark, { order: -Infinity, name: `cflow(${String(of)})` }) as Advice, implied: true };
    }),
  );
}
