import type { OrderView } from './applications.ts';
import { bucketOrder } from './order-buckets.ts';
import type { TaskOrder, WaitingTask } from './order.ts';

/**
 * The stage with the longest way from it to the end of its job first: the upward rank of HEFT (Topcuoglu, Hariri, Wu: "Performance-Effective
 * and Low-Complexity Task Scheduling for Heterogeneous Computing", 2002), over the stage graph that the application has told.
 * Without a graph all ranks are 0, and tasks go by submission.
 */
export function criticalPathOrder<T extends WaitingTask>(view: OrderView): TaskOrder<T> {
  return bucketOrder<T>({
    keyOf: (task) => `${task.task.stageId} ${task.application}`,
    isBefore: (a, b) => a.rank > b.rank,
    version: () => view.version,
    rank: ({ application, stageId }) => view.rank(application, stageId),
  });
}
