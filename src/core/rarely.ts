import { systemClock, type Clock } from './clock.ts';

/** Runs at most once in `ms` milliseconds, with the number of calls so far: for what would fill a log. */
export function rarely<A extends readonly unknown[]>(ms: number, act: (calls: number, ...args: A) => void, clock: Clock = systemClock): (...args: A) => void {
  let last = Number.NEGATIVE_INFINITY;
  let calls = 0;
  return (...args) => {
    calls += 1;
    const now = clock.now();
    if (now - last < ms) return;
    last = now;
    act(calls, ...args);
  };
}
