import type { LatencySnapshot } from '../protocol/spark-application.ts';

/** Upper bounds of the buckets, milliseconds; the last bucket has none. */
export const LATENCY_BUCKETS_MS: readonly number[] = [0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 1024, 8192];

/** A histogram of fixed size. */
export class LatencyHistogram {
  readonly #buckets = Array.from({ length: LATENCY_BUCKETS_MS.length + 1 }, () => 0);
  #count = 0;
  #sumMs = 0;

  add(ms: number): void {
    let i = 0;
    while (i < LATENCY_BUCKETS_MS.length && ms > (LATENCY_BUCKETS_MS[i] as number)) i++;
    this.#buckets[i] = (this.#buckets[i] as number) + 1;
    this.#count++;
    this.#sumMs += ms;
  }

  snapshot(): LatencySnapshot {
    return { count: this.#count, sumMs: this.#sumMs, buckets: [...this.#buckets], p50Ms: this.#quantile(0.5), p99Ms: this.#quantile(0.99) };
  }

  #quantile(q: number): number {
    let left = q * this.#count;
    for (let i = 0; i < this.#buckets.length; i++) {
      left -= this.#buckets[i] as number;
      if (left <= 0) return LATENCY_BUCKETS_MS[i] ?? Infinity;
    }
    return 0;
  }
}
