/** What importing spark-proxy/dataset adds to SparkContext and RDD. */
import { SparkProxyError } from '../core/errors.ts';
import { RDD } from '../rdd/rdd.ts';
import { SparkContext } from '../scheduler/spark-context.ts';
import { parseName, requireKind } from './access.ts';
import { bindingOf } from './binding.ts';
import type { DatasetContext, Metrics, ReadOptions, RecordOf, SaveOptions, StreamEvent } from './contract.ts';
import { readRdd } from './rdd-read.ts';
import { writeRdd } from './rdd-write.ts';

declare module '../scheduler/spark-context.ts' {
  interface SparkContext {
    /**
     * Records of a dataset at the snapshot of each action: [key, value] of key/value tables, [key, row] of tables, records of file sets, events of streams.
     * A dataset that does not exist is an error of the first action.
     */
    fromDataset<N extends string>(name: N, options?: ReadOptions): RDD<RecordOf<N>>;
    fromDataset<T>(name: string, options?: ReadOptions): RDD<T>;
    /** Events from `from` up to, not including, `to`. */
    fromStream<T = unknown>(name: string, from: Date | number, to: Date | number, options?: ReadOptions): RDD<StreamEvent<T>>;
    /** The same object each time. */
    getMetrics(): Metrics;
    /** Datasets by name, on the driver and in closures. */
    readonly datasetContext: DatasetContext;
  }
}

declare module '../rdd/rdd.ts' {
  interface RDD<T> {
    /**
     * Writes the records in the transaction of this action, or of `execute` around it, and resolves when it has committed. Kinds take what
     * `fromDataset` gives. A dataset that does not exist is made: see `SaveOptions.create`.
     */
    saveAsDataset(name: string, options?: SaveOptions): Promise<void>;
  }
}

export function fromDataset<T>(sc: SparkContext, given: string, options: ReadOptions = {}): RDD<T> {
  return read(sc, 'fromDataset', given, options);
}

function read<T>(sc: SparkContext, method: string, given: string, options: Parameters<typeof readRdd>[1]['options'], stream = false): RDD<T> {
  const binding = bindingOf(sc);
  const { namespace, name } = parseName(given, binding.context.namespace);
  return readRdd<T>(sc, {
    method,
    options,
    find: async () => {
      const datasets = await binding.ready();
      const dataset = await datasets.admin.resolve(namespace, name);
      if (stream) requireKind(dataset, 'stream');
      return { dataset, split: (parts) => datasets.store.split(dataset, parts) };
    },
  });
}

export async function saveAsDataset<T>(rdd: RDD<T>, name: string, options: SaveOptions = {}): Promise<void> {
  const datasets = await bindingOf(rdd.context as SparkContext).ready();
  const { namespace, name: bare } = parseName(name, datasets.namespace);
  await datasets.action(async (transaction) => {
    const dataset = await datasets.admin.resolve(namespace, bare).catch((error: unknown) => {
      if (!SparkProxyError.is(error) || error.code !== 'SP_DATASET_NOT_FOUND') throw error;
      return datasets.admin.create(name, options.create ?? 'keyValue', { ifNotExists: true });
    });
    await writeRdd(rdd as RDD<unknown>, dataset, options, transaction);
  });
}

const methods = {
  fromDataset(this: SparkContext, name: string, options?: ReadOptions) {
    return fromDataset(this, name, options);
  },
  fromStream(this: SparkContext, name: string, from: Date | number, to: Date | number, options: ReadOptions = {}) {
    return read(this, 'fromStream', name, { ...options, time: [Number(from), Number(to)] }, true);
  },
  getMetrics(this: SparkContext) {
    return bindingOf(this).metrics();
  },
};

for (const [name, value] of Object.entries(methods)) Object.defineProperty(SparkContext.prototype, name, { value, configurable: true, writable: true });
Object.defineProperty(SparkContext.prototype, 'datasetContext', {
  configurable: true,
  get(this: SparkContext) {
    return bindingOf(this).context;
  },
});
Object.defineProperty(RDD.prototype, 'saveAsDataset', {
  configurable: true,
  writable: true,
  value(this: RDD<unknown>, name: string, options?: SaveOptions) {
    return saveAsDataset(this, name, options);
  },
});
