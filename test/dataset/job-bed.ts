/** A context with two worker processes over tcp, its datasets, another driver that writes, and one in a process of its own that looks. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import type { Datasets } from '../../src/dataset/contract.ts';
import { datasetsOf, openDatasets } from '../../src/dataset/index.ts';
import type { DriverDatasets } from '../../src/dataset/open.ts';
import { SparkContext } from '../../src/scheduler/spark-context.ts';
import { startObserver, type Observer } from './observer.ts';
import type { StoreBed } from './stores.ts';

export type Pair = [string, number];

export interface JobBed {
  readonly sc: SparkContext;
  readonly datasets: DriverDatasets;
  readonly outside: Datasets;
  readonly observer: Observer;
  /** Directory for files by which tasks and tests tell each other things. */
  readonly marks: string;
  /** A name not used before. */
  fresh(): string;
  /** Keys 00000... */
  pairs(count: number, value?: number): Pair[];
  /** A new key/value table that holds these. */
  table(rows?: readonly Pair[]): Promise<string>;
  /** What another process sees. */
  read(name: string): Promise<Pair[]>;
  /** Transactions begun so far. */
  begun(): number;
}

/** Ready when tests run; its fields are set then. */
export function jobBed(bed: StoreBed): JobBed {
  let n = 0;
  const made = {
    fresh: () => `d${++n}`,
    pairs: (count: number, value = 1) => Array.from({ length: count }, (_, i): Pair => [String(i).padStart(5, '0'), value]),
    async table(rows: readonly Pair[] = []) {
      const name = made.fresh();
      await made.datasets.admin.create(name, 'keyValue');
      if (rows.length > 0) await made.sc.parallelize(rows, 3).saveAsDataset(name);
      return name;
    },
    read: (name: string) => made.observer.read<Pair>(name),
    begun: () => made.datasets.transactions.begun,
  } as { -readonly [K in keyof JobBed]: JobBed[K] };
  beforeAll(async () => {
    const store = await bed.url();
    made.marks = mkdtempSync(join(tmpdir(), 'spark-proxy-marks-'));
    made.sc = new SparkContext({
      'spark.app.name': 'datasets',
      'spark.master': 'local[2]',
      'worker.instances': '2',
      'dataset.store': store,
      'dataset.files': join(bed.directory(), 'job-files'),
      'spark.default.parallelism': '4',
    });
    made.datasets = await datasetsOf(made.sc);
    made.outside = await openDatasets({ store }, made.sc.configuration);
    made.observer = await startObserver(store);
    // Workers are there before the first test asks where it runs.
    await made.sc.range(4).count();
  }, 90_000);
  afterAll(async () => {
    await made.observer.close();
    await made.outside.close();
    await made.sc.stop();
    rmSync(made.marks, { recursive: true, force: true });
  }, 60_000);
  return made;
}
