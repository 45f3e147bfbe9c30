import type { AdviceKind } from './advice.ts';
import type { JoinPointKind } from './join-point.ts';
import { loadTimeReport } from './load-time.ts';
import type { MatchedShadow, Skipped } from './report.ts';
import { allSites } from './site.ts';
import { unmatchedPointcuts, type Unmatched } from './weave.ts';

export interface ExplainedAdvice {
  readonly kind: AdviceKind;
  readonly name: string;
  readonly order: number;
  readonly pointcut: string;
  readonly enabled: boolean;
}

export interface ExplainedJoinPoint {
  /** Such as `Orders.submit`. */
  readonly joinPoint: string;
  readonly kind: JoinPointKind;
  readonly module: string | undefined;
  /** Outermost first. */
  readonly advice: readonly ExplainedAdvice[];
}

export interface Explanation {
  readonly joinPoints: readonly ExplainedJoinPoint[];
  /** Load time: what matched, or may, in the text of the modules loaded so far, also where it has not run yet. */
  readonly shadows: readonly MatchedShadow[];
  /** Load time: what pointcuts ask for and is not woven, and why. */
  readonly skipped: readonly Skipped[];
  /** Pointcuts that matched nothing of the target they were given. */
  readonly unmatched: readonly Unmatched[];
  /** Lines for people. */
  toString(): string;
}

/** What is woven now, in the order in which it runs, and which pointcuts found nothing. */
export function explain(): Explanation {
  const joinPoints = allSites()
    .filter((site) => site.entries.length > 0)
    .map((site) => ({
      joinPoint: site.signature.toString(),
      kind: site.signature.kind,
      module: site.signature.module,
      advice: site.entries.map((entry) => {
        const { advice, pointcut } = entry;
        return { kind: advice.kind, name: advice.name, order: advice.order, pointcut, enabled: site.runs(entry) };
      }),
    }));
  const unmatched = [...unmatchedPointcuts()];
  const { matched: shadows, skipped } = loadTimeReport();
  return {
    joinPoints,
    shadows,
    skipped,
    unmatched,
    toString: () =>
      [
        ...joinPoints.flatMap(({ joinPoint, module, advice }) => [
          `${joinPoint}${module === undefined ? '' : ` (${module})`}`,
          ...advice.map((a) => `  ${a.kind} ${a.name === '' ? '(anonymous)' : a.name} order=${a.order} by ${a.pointcut}${a.enabled ? '' : ' [disabled]'}`),
        ]),
        ...skipped.map(({ joinPoint, module, line, why }) => `skipped ${joinPoint} (${module}:${line}): ${why}`),
        ...unmatched.map((miss) => `${miss.pointcut} of ${miss.advice === '' ? '(anonymous)' : miss.advice}: nothing in ${miss.target}`),
      ].join('\n'),
  };
}
