import type { OrderView } from './applications.ts';
import { dispatcherErrors } from './errors.ts';
import { criticalPathOrder } from './order-critical-path.ts';
import { fairOrder } from './order-fair.ts';
import { priorityOrder } from './order-priority.ts';
import { fifoOrder, type TaskOrder, type WaitingTask } from './order.ts';

type Factory = <T extends WaitingTask>(view: OrderView) => TaskOrder<T>;

/** Name (as configuration spells it) -> factory. A new order is a line here. */
const FACTORIES: ReadonlyMap<string, Factory> = new Map<string, Factory>([
  ['FIFO', fifoOrder],
  ['FAIR', fairOrder],
  ['PRIORITY', priorityOrder],
  ['CRITICAL_PATH', criticalPathOrder],
]);

export const ORDER_NAMES: readonly string[] = [...FACTORIES.keys()];

/** The order of this name. @throws SP_DISPATCHER_UNKNOWN_ORDER, listing the known */
export function orderFactory(name: string): Factory {
  const factory = FACTORIES.get(name);
  if (factory === undefined) throw dispatcherErrors.UNKNOWN_ORDER({ name, known: ORDER_NAMES.join(', ') });
  return factory;
}

export { criticalPathOrder, fairOrder, fifoOrder, priorityOrder };
