import type { OrderView } from './applications.ts';
import { bucketOrder } from './order-buckets.ts';
import type { TaskOrder, WaitingTask } from './order.ts';

interface FairPool {
  readonly name: string;
  weight: number;
  minShare: number;
  running: number;
  readonly applications: Set<string>;
}

/** True when `a` goes before `b`: Spark's FairSchedulingAlgorithm. */
function isNeedier(a: FairPool, b: FairPool): boolean {
  const needyA = a.running < a.minShare;
  const needyB = b.running < b.minShare;
  if (needyA !== needyB) return needyA;
  const shareA = needyA ? a.running / Math.max(a.minShare, 1) : a.running / a.weight;
  const shareB = needyB ? b.running / Math.max(b.minShare, 1) : b.running / b.weight;
  return shareA === shareB ? a.name < b.name : shareA < shareB;
}

/**
 * Each pool gets its share of what runs: first those below their `minShare`, then by running tasks a unit of weight.
 * Applications that name the same pool share it, first in first out; one that names none has a pool of its own.
 */
export function fairOrder<T extends WaitingTask>(view: OrderView): TaskOrder<T> {
  /** Application -> tasks under lease. */
  const running = new Map<string, number>();
  const pools = new Map<string, FairPool>();
  const poolOf = (application: string): FairPool => {
    const profile = view.profile(application);
    const name = profile?.pool ?? application;
    let pool = pools.get(name);
    if (pool === undefined) pools.set(name, (pool = { name, weight: 0, minShare: 0, running: 0, applications: new Set() }));
    if (!pool.applications.has(application)) {
      pool.applications.add(application);
      pool.running += running.get(application) ?? 0;
      pool.weight = Math.max(pool.weight, profile?.weight ?? 1);
      pool.minShare = Math.max(pool.minShare, profile?.minShare ?? 0);
    }
    return pool;
  };
  const order = bucketOrder<T>({
    keyOf: (task) => task.application,
    isBefore(a, b) {
      const poolA = poolOf(a.application);
      const poolB = poolOf(b.application);
      return poolA !== poolB && isNeedier(poolA, poolB);
    },
    version: () => view.version,
    rank: () => 0,
    refresh: () => pools.clear(),
  });
  const count = (application: string, change: 1 | -1): void => {
    const pool = poolOf(application);
    pool.running += change;
    const now = (running.get(application) ?? 0) + change;
    if (now > 0) running.set(application, now);
    else running.delete(application);
    for (const member of pool.applications) order.touch(member);
    // Forgotten when nothing of it runs or waits; found again when it submits.
    if (now === 0 && pool.running === 0 && order.size === 0) pools.delete(pool.name);
  };
  order.leased = (task) => count(task.application, 1);
  order.released = (task) => count(task.application, -1);
  return order;
}
