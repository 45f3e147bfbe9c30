import { fifoOrder, type FifoOrder, type TaskOrder, type WaitingTask } from './order.ts';

/** Tasks that are alike for an order: first in, first out among themselves. */
export class Bucket<T extends WaitingTask> {
  readonly key: string;
  /** The application of its tasks. */
  readonly application: string;
  readonly stageId: number;
  readonly tasks: FifoOrder<T> = fifoOrder<T>();
  /** What the order computed of it; higher or lower, as the order says. */
  rank = 0;
  /** Place in the heap; -1: nothing waits in it. */
  at = -1;

  constructor(key: string, task: T) {
    this.key = key;
    this.application = task.application;
    this.stageId = task.task.stageId;
  }

  get sequence(): number {
    return this.tasks.first?.sequence ?? Infinity;
  }
}

export interface BucketRules<T extends WaitingTask> {
  /** Must not change while the task waits. */
  keyOf(task: T): string;
  /** True when `a` goes before `b`; equals go by submission. */
  isBefore(a: Bucket<T>, b: Bucket<T>): boolean;
  /** Changes when all ranks must be computed anew. */
  version(): number;
  /** Called for a new bucket, and for all when the version has changed (before any comparison). */
  rank(bucket: Bucket<T>): number;
  /** The version has changed, and ranks are about to be computed. */
  refresh?(): void;
}

export interface BucketOrder<T extends WaitingTask> extends TaskOrder<T> {
  /** What `isBefore` sees of these tasks has changed. */
  touch(key: string): void;
}

/** What FAIR, PRIORITY and CRITICAL_PATH share: a binary heap of buckets. O(log buckets) per operation. */
export function bucketOrder<T extends WaitingTask>(rules: BucketRules<T>): BucketOrder<T> {
  const buckets = new Map<string, Bucket<T>>();
  const heap: Bucket<T>[] = [];
  let size = 0;
  let version = -1;

  const isBefore = (a: Bucket<T>, b: Bucket<T>): boolean => {
    if (rules.isBefore(a, b)) return true;
    return !rules.isBefore(b, a) && a.sequence < b.sequence;
  };
  const put = (bucket: Bucket<T>, at: number): void => {
    heap[at] = bucket;
    bucket.at = at;
  };
  const siftUp = (bucket: Bucket<T>): void => {
    let i = bucket.at;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      const above = heap[parent] as Bucket<T>;
      if (!isBefore(bucket, above)) break;
      put(above, i);
      i = parent;
    }
    put(bucket, i);
  };
  const siftDown = (bucket: Bucket<T>): void => {
    let i = bucket.at;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Bucket<T>, heap[child] as Bucket<T>)) child++;
      const below = heap[child] as Bucket<T>;
      if (!isBefore(below, bucket)) break;
      put(below, i);
      i = child;
    }
    put(bucket, i);
  };
  /** Puts a bucket where it belongs after it, or its first task, has changed. */
  const settle = (bucket: Bucket<T>): void => {
    if (bucket.tasks.size > 0) {
      if (bucket.at < 0) put(bucket, heap.length);
      siftUp(bucket);
      siftDown(bucket);
      return;
    }
    buckets.delete(bucket.key);
    const last = heap.pop() as Bucket<T>;
    if (last !== bucket) {
      put(last, bucket.at);
      siftUp(last);
      siftDown(last);
    }
    bucket.at = -1;
  };
  /** When what is known of applications has changed, the heap is built anew: O(buckets), and rare. */
  const refresh = (): void => {
    if (version === rules.version()) return;
    version = rules.version();
    rules.refresh?.();
    for (const bucket of heap) bucket.rank = rules.rank(bucket);
    for (let i = (heap.length >> 1) - 1; i >= 0; i--) siftDown(heap[i] as Bucket<T>);
  };
  const bucketOf = (task: T): Bucket<T> => {
    const key = rules.keyOf(task);
    let bucket = buckets.get(key);
    if (bucket === undefined) {
      bucket = new Bucket(key, task);
      bucket.rank = rules.rank(bucket);
      buckets.set(key, bucket);
    }
    return bucket;
  };
  const insert = (task: T, how: 'add' | 'putBack'): void => {
    refresh();
    const bucket = bucketOf(task);
    bucket.tasks[how](task);
    size++;
    settle(bucket);
  };

  return {
    get size() {
      return size;
    },
    add: (task) => insert(task, 'add'),
    putBack: (task) => insert(task, 'putBack'),
    take() {
      refresh();
      const bucket = heap[0];
      const task = bucket?.tasks.take();
      if (bucket === undefined || task === undefined) return undefined;
      size--;
      settle(bucket);
      return task;
    },
    remove(task) {
      refresh();
      const bucket = bucketOf(task);
      bucket.tasks.remove(task);
      size--;
      settle(bucket);
    },
    touch(key) {
      const bucket = buckets.get(key);
      if (bucket !== undefined && version === rules.version()) settle(bucket);
    },
  };
}
