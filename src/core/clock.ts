import { performance } from 'node:perf_hooks';

/** A timer that can be cancelled. */
export interface Timer {
  cancel(): void;
}

/** Time, injected: leases and time-outs use `now()`, which is monotonic, so a jump of the wall clock expires nothing. */
export interface Clock {
  /** Monotonic milliseconds. */
  now(): number;
  /** Milliseconds since the epoch, for people and for envelopes that cross machines. */
  wallTime(): number;
  /** Calls back once after `ms`. A background timer does not keep the process alive. */
  after(ms: number, callback: () => void, options?: { background?: boolean }): Timer;
  /** Calls back every `ms` until cancelled; never keeps the process alive. */
  every(ms: number, callback: () => void): Timer;
}

/** The real clock. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wallTime: () => Date.now(),
  after(ms, callback, options) {
    const handle = setTimeout(callback, ms);
    if (options?.background === true) handle.unref();
    return { cancel: () => clearTimeout(handle) };
  },
  every(ms, callback) {
    const handle = setInterval(callback, ms);
    handle.unref();
    return { cancel: () => clearInterval(handle) };
  },
};

/** Waits for `work`, for so long at most: for orderly ends that a lost connection must not hold up. What it rejects with is thrown. */
export async function atMost(clock: Clock, ms: number, work: Promise<unknown>): Promise<void> {
  let timer: Timer | undefined;
  const late = new Promise<void>((resolve) => (timer = clock.after(ms, resolve, { background: true })));
  try {
    await Promise.race([work, late]);
  } finally {
    timer?.cancel();
  }
}
