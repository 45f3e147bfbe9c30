import type { TaskDescription } from '../protocol/task.ts';

/** A submission that waits for a worker. */
export interface WaitingTask {
  readonly application: string;
  readonly task: TaskDescription;
  /** Place in the order of submission; unique, and kept when the task comes back from a lost worker. */
  readonly sequence: number;
  /** Links of the order that holds it; nobody else's. */
  before: WaitingTask | undefined;
  after: WaitingTask | undefined;
}

/**
 * Which task next? One order holds the waiting tasks of one runner kind. All operations must be O(log n) or better: a
 * million tasks may wait. An order does NOT select workers; of leases it is told only that they begin and end.
 * To add one: a file that exports a factory, and its name in orders.ts.
 */
export interface TaskOrder<T extends WaitingTask = WaitingTask> {
  readonly size: number;
  add(task: T): void;
  /** Returns a task that was taken to the place it would have, had it never been taken. */
  putBack(task: T): void;
  /** Removes and returns the next one. */
  take(): T | undefined;
  /** Removes a waiting task (it was cancelled). */
  remove(task: T): void;
  /** A lease of one of its tasks has begun. */
  leased?(task: T): void;
  /** That lease has ended, however it did. */
  released?(task: T): void;
}

export interface FifoOrder<T extends WaitingTask> extends TaskOrder<T> {
  /** The next one, which stays. */
  readonly first: T | undefined;
}

/** First submitted, first out: a list linked through the tasks themselves, so that removal is O(1) and nothing is moved. */
export function fifoOrder<T extends WaitingTask>(): FifoOrder<T> {
  let first: WaitingTask | undefined;
  let last: WaitingTask | undefined;
  let size = 0;

  const insert = (task: T, before: WaitingTask | undefined, after: WaitingTask | undefined): void => {
    task.before = before;
    task.after = after;
    if (before === undefined) first = task;
    else before.after = task;
    if (after === undefined) last = task;
    else after.before = task;
    size++;
  };
  const remove = (task: T): void => {
    if (task.before === undefined) first = task.after;
    else task.before.after = task.after;
    if (task.after === undefined) last = task.before;
    else task.after.before = task.before;
    task.before = undefined;
    task.after = undefined;
    size--;
  };

  return {
    get size() {
      return size;
    },
    get first() {
      return first as T | undefined;
    },
    add: (task) => insert(task, last, undefined),
    putBack(task) {
      // Only tasks that came back as well stand before it: never more than were under lease at once.
      let after = first;
      while (after !== undefined && after.sequence < task.sequence) after = after.after;
      insert(task, after === undefined ? last : after.before, after);
    },
    take() {
      if (first === undefined) return undefined;
      const task = first as T;
      remove(task);
      return task;
    },
    remove,
  };
}
