import type { Clock, Timer } from '../../src/core/clock.ts';

interface Scheduled {
  at: number;
  readonly everyMs: number | undefined;
  readonly callback: () => void;
}

/** A clock that stands still until told. */
export class FakeClock implements Clock {
  #now = 1000;
  readonly #timers = new Set<Scheduled>();

  now(): number {
    return this.#now;
  }

  wallTime(): number {
    return 1_700_000_000_000 + this.#now;
  }

  after(ms: number, callback: () => void): Timer {
    return this.#schedule({ at: this.#now + ms, everyMs: undefined, callback });
  }

  every(ms: number, callback: () => void): Timer {
    return this.#schedule({ at: this.#now + ms, everyMs: ms, callback });
  }

  /** Timers that wait. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Goes forward step by step, running what falls due on the way. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const next = [...this.#timers].sort((a, b) => a.at - b.at)[0];
      if (next === undefined || next.at > end) break;
      this.#now = next.at;
      this.#run(next);
    }
    this.#now = end;
  }

  /** Goes forward at once, as for a process that stood still: each timer that fell due meanwhile runs once, late. */
  block(ms: number): void {
    this.#now += ms;
    for (const timer of [...this.#timers].filter((each) => each.at <= this.#now)) this.#run(timer);
  }

  #run(timer: Scheduled): void {
    if (!this.#timers.has(timer)) return;
    if (timer.everyMs === undefined) this.#timers.delete(timer);
    else timer.at = this.#now + timer.everyMs;
    timer.callback();
  }

  #schedule(timer: Scheduled): Timer {
    this.#timers.add(timer);
    return { cancel: () => void this.#timers.delete(timer) };
  }
}
