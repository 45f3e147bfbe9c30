/** Captured SparkContexts: run id -> context. */
import { newId } from '../core/ids.ts';
import type { SparkContext } from '../scheduler/spark-context.ts';

const captured = new Map<string, SparkContext>();

/** Adds a context under the configured run id, or a new one where that is taken; returns the id. */
export function captureContext(context: SparkContext): string {
  for (const [id, known] of captured) if (known === context) return id;
  const configured = context.configuration.get('run.id');
  const runId = configured !== undefined && !captured.has(configured) ? configured : newId(configured ?? 'run');
  captured.set(runId, context);
  return runId;
}

export function releaseContext(context: SparkContext): void {
  for (const [id, known] of captured) if (known === context) captured.delete(id);
}

/** The contexts of this process that were constructed and not stopped. */
export function capturedContexts(): ReadonlyMap<string, SparkContext> {
  return captured;
}
