/**
 * The first aspect of the mission, around the scheduler's backend: offers name the dispatcher's credit, launched tasks are
 * captured, cancellations follow them. Woven once a backend class; a backend without a session proceeds untouched.
 */
import { around, execution, weave, type WeaveHandle } from '../aspects/index.ts';
import type { TaskDescription } from '../protocol/task.ts';
import type { SchedulerBackend, WorkerOffer } from '../scheduler/backend.ts';
import type { RescheduleSession } from './session.ts';

const sessions = new WeakMap<object, RescheduleSession>();
const woven = new WeakMap<object, WeaveHandle[]>();

/** Lets a session advise a backend. */
export function adviseBackend(backend: SchedulerBackend, session: RescheduleSession): void {
  sessions.set(backend, session);
  const prototype = Object.getPrototypeOf(backend) as object;
  if (!woven.has(prototype)) woven.set(prototype, weaveBackend(prototype));
}

export function releaseBackend(backend: SchedulerBackend): void {
  sessions.delete(backend);
}

function weaveBackend(prototype: object): WeaveHandle[] {
  return [
    weave(
      prototype,
      execution('launchTasks'),
      around((jp, proceed) => {
        const session = sessions.get(jp.target as object);
        if (session === undefined) return proceed();
        const tasks = jp.args[0] as readonly TaskDescription[];
        const inside = session.capture(tasks);
        if (inside === tasks) return proceed();
        return inside.length === 0 ? undefined : jp.proceedWith([...inside]);
      }),
    ),
    weave(
      prototype,
      execution('executorOffers'),
      around((jp, proceed) => (sessions.get(jp.target as object)?.offers() ?? proceed()) as WorkerOffer[]),
    ),
    weave(
      prototype,
      execution('killTask'),
      around((jp, proceed) => {
        const [taskId, , reason] = jp.args as [number, string, string];
        return sessions.get(jp.target as object)?.kill(taskId, reason) === true ? undefined : proceed();
      }),
    ),
    weave(
      prototype,
      execution('defaultParallelism'),
      around((jp, proceed) => Math.max(proceed() as number, sessions.get(jp.target as object)?.plannedSlots() ?? 0)),
    ),
  ];
}
