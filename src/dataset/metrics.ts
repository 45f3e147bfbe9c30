import type { SparkContext } from '../scheduler/spark-context.ts';
import type { Accumulator } from '../storage/accumulator.ts';
import type { Metrics } from './contract.ts';

type Update = readonly [name: string, value: number, gauge: boolean];
type Totals = Map<string, readonly [value: number, gauge: boolean]>;

/** Plain data around an accumulator, so that it travels: the executor's side adds to the task's own totals. */
export class AccumulatedMetrics implements Metrics {
  readonly totals: Accumulator<Update, Totals>;

  constructor(totals: Accumulator<Update, Totals>) {
    this.totals = totals;
  }

  count(name: string, by = 1): void {
    this.totals.add([name, by, false]);
  }

  gauge(name: string, value: number): void {
    this.totals.add([name, value, true]);
  }

  values(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.totals.value].map(([name, [value]]) => [name, value]));
  }
}

export function createMetrics(sc: SparkContext): Metrics {
  const totals = sc.accumulator<Update, Totals>(
    {
      zero: () => new Map(),
      add: (sums, [name, value, gauge]) => sums.set(name, [gauge ? value : (sums.get(name)?.[0] ?? 0) + value, gauge]),
      merge: (sums, updates) => {
        for (const [name, [value, gauge]] of updates) sums.set(name, [gauge ? value : (sums.get(name)?.[0] ?? 0) + value, gauge]);
        return sums;
      },
    },
    'metrics',
  );
  return new AccumulatedMetrics(totals);
}
