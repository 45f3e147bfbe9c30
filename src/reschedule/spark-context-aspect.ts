/**
 * The second aspect of the mission, on SparkContext construction: a context the author creates is captured under its run
 * id, gets a session, and gives both back when it stops.
 */
import { afterReturning, and, around, construct, execution, registerLoadTimeAspect, weave, within, type WeaveHandle } from '../aspects/index.ts';
import type { SparkContext } from '../scheduler/spark-context.ts';
import { captureContext, releaseContext } from './contexts.ts';
import { adviseBackend, releaseBackend } from './launch-tasks-aspect.ts';
import { RescheduleSession } from './session.ts';

/** Told of each captured context, in the order of registration. */
export type CaptureListener = (context: SparkContext, session: RescheduleSession) => void;

const listeners = new Set<CaptureListener>();
const stopWoven = new WeakMap<object, WeaveHandle>();
const sessions = new WeakMap<SparkContext, RescheduleSession>();

export function onCapture(listener: CaptureListener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Captures a context; the aspect's advice, also for contexts made where no aspect was. Idempotent. */
export function capture(context: SparkContext): RescheduleSession {
  const known = sessions.get(context);
  if (known !== undefined) return known;
  const session = new RescheduleSession(context, captureContext(context));
  sessions.set(context, session);
  adviseBackend(context.backend, session);
  const prototype = Object.getPrototypeOf(context) as object;
  if (!stopWoven.has(prototype)) {
    const handle = weave(
      prototype,
      execution('stop'),
      around(async (jp, proceed) => {
        await proceed();
        await release(jp.target as SparkContext);
      }),
    );
    stopWoven.set(prototype, handle);
  }
  for (const listener of listeners) listener(context, session);
  return session;
}

async function release(context: SparkContext): Promise<void> {
  releaseBackend(context.backend);
  releaseContext(context);
  await sessions.get(context)?.close();
}

let installed = false;

/** Weaves the capture into SparkContext as it is loaded: to be called by the preload, before any program runs. */
export function installSparkContextAspect(): void {
  if (installed) return;
  installed = true;
  registerLoadTimeAspect(
    [
      {
        pointcut: and(within('**/scheduler/spark-context.{ts,js}'), construct('SparkContext')),
        advice: afterReturning((_jp, context) => void capture(context as SparkContext)),
      },
    ],
    { optional: true },
  );
}
