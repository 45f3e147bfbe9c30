import type { OrderView } from './applications.ts';
import { bucketOrder } from './order-buckets.ts';
import type { TaskOrder, WaitingTask } from './order.ts';

/** The application with the highest priority first; equals by submission. A running task is never taken away. */
export function priorityOrder<T extends WaitingTask>(view: OrderView): TaskOrder<T> {
  return bucketOrder<T>({
    keyOf: (task) => task.application,
    isBefore: (a, b) => a.rank > b.rank,
    version: () => view.version,
    rank: ({ application }) => view.profile(application)?.priority ?? 0,
  });
}
