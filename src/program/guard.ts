/** One context a run: the aspect on SparkContext construction that says so, and keeps the one there is. */
import { and, before, construct, registerLoadTimeAspect, within } from '../aspects/index.ts';
import { onCapture } from '../reschedule/index.ts';
import type { SparkContext } from '../scheduler/spark-context.ts';
import { PROGRAM_ERRORS } from './errors.ts';

export interface ContextGuard {
  /** Contexts of this run that were made, in order. */
  readonly contexts: readonly SparkContext[];
  /** No more than one from now on. */
  limit(): void;
  /** None from now on. */
  close(): void;
}

/** Install before anything loads the engine. */
export function guardContexts(runId: string, captured: (context: SparkContext) => void): ContextGuard {
  const contexts: SparkContext[] = [];
  let limited = false;
  let closed = false;
  registerLoadTimeAspect([
    {
      pointcut: and(within('**/scheduler/spark-context.{ts,js}'), construct('SparkContext')),
      advice: before(() => {
        if (closed) throw PROGRAM_ERRORS.STOPPED({ runId });
        if (limited && contexts.length > 0) throw PROGRAM_ERRORS.CONTEXT_EXISTS({ runId });
      }),
    },
  ]);
  onCapture((context) => {
    contexts.push(context);
    captured(context);
  });
  return {
    contexts,
    limit: () => void (limited = true),
    close: () => void (closed = true),
  };
}
