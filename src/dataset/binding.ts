/**
 * Ties a SparkContext to datasets without a change to the engine: its listener tells which stages belong to which job, and around `runJob` an action gets
 * its transaction, so that the action's promise waits for the commit.
 */
import { AsyncResource } from 'node:async_hooks';
import { newId } from '../core/ids.ts';
import { RDD } from '../rdd/rdd.ts';
import type { SparkContext } from '../scheduler/spark-context.ts';
import { TravellingContext } from './context.ts';
import type { DatasetContext, Datasets, Metrics } from './contract.ts';
import { createMetrics } from './metrics.ts';
import { DriverDatasets } from './open.ts';
import { SERVICE_PROPERTY, type TaskBinding } from './task.ts';

/** Local properties of jobs: the explicit transaction they join, the action they are a part of. */
export const TRANSACTION_PROPERTY = 'spark-proxy.dataset.transaction';
const ACTION_PROPERTY = 'spark-proxy.dataset.action';

const bindings = new WeakMap<object, Binding>();

export class Binding {
  readonly #sc: SparkContext;
  readonly #id = newId('datasets');
  readonly #given: DriverDatasets | undefined;
  readonly #versions: number;
  readonly context: DatasetContext;
  #opened: Promise<DriverDatasets> | undefined;
  #datasets: DriverDatasets | undefined;
  #metrics: Metrics | undefined;

  constructor(sc: SparkContext, given?: DriverDatasets) {
    this.#sc = sc;
    this.#given = this.#datasets = given;
    this.context = given?.context ?? new TravellingContext(sc.configuration.get('dataset.namespace'), this.#id);
    this.#versions = sc.accumulator<number, number[]>(
      {
        zero: () => [],
        add: (versions, version) => [...versions, version],
        merge: (none, versions) => {
          this.#datasets?.transactions.won(versions);
          return none;
        },
      },
      'dataset versions',
    ).id;
    sc.addSparkListener({
      onJobStart: ({ jobId, stageInfos, properties }) =>
        this.#datasets?.jobs.jobStarted({
          jobId,
          stageIds: stageInfos.map(({ stageId }) => stageId),
          transaction: properties[TRANSACTION_PROPERTY],
          action: properties[ACTION_PROPERTY],
        }),
      onJobEnd: ({ jobId, error }) => this.#datasets?.jobs.jobEnded(jobId, error),
    });
    this.#around();
  }

  /** The context's methods, replaced on this one object. */
  #around(): void {
    const sc = this.#sc;
    const runJob = sc.runJob.bind(sc);
    const stop = sc.stop.bind(sc);
    sc.runJob = async (...args) => {
      const datasets = await this.ready();
      const { url, token } = await datasets.service();
      const service = JSON.stringify({ url, token, versions: this.#versions } satisfies TaskBinding);
      await datasets.action(() => {
        const { transaction, action } = datasets.joined();
        // In a scope of its own, so that the properties are this job's only.
        return new AsyncResource('DatasetJob').runInAsyncScope(() => {
          sc.setLocalProperty(SERVICE_PROPERTY, service);
          if (transaction !== undefined) sc.setLocalProperty(TRANSACTION_PROPERTY, transaction.id);
          sc.setLocalProperty(ACTION_PROPERTY, action);
          return runJob(...args);
        });
      });
    };
    sc.stop = async () => {
      await stop();
      if (this.#given === undefined) await (await this.#opened?.catch(() => undefined))?.close();
    };
  }

  ready(): Promise<DriverDatasets> {
    if (this.#given !== undefined) return Promise.resolve(this.#given);
    this.#opened ??= DriverDatasets.open({}, this.#sc.configuration, this.#id).then(
      (datasets) => (this.#datasets = datasets),
      (error: unknown) => {
        this.#opened = undefined;
        throw error;
      },
    );
    return this.#opened;
  }

  metrics(): Metrics {
    return (this.#metrics ??= createMetrics(this.#sc));
  }
}

/** The binding of a context, made when it is first needed. */
export function bindingOf(sc: SparkContext): Binding {
  let binding = bindings.get(sc);
  if (binding === undefined) bindings.set(sc, (binding = new Binding(sc)));
  return binding;
}

/** Makes the actions of `sc` run in transactions of `datasets`, which stay open when `sc` stops. Once for a context, before it uses any. */
export function attachDatasets(sc: SparkContext, datasets: Datasets): void {
  if (bindings.has(sc)) throw new TypeError('datasets are attached to this context already');
  bindings.set(sc, new Binding(sc, datasets as DriverDatasets));
}

/** Those attached to `sc`; else opened from its configuration, and closed when it stops. */
export function datasetsOf(sc: SparkContext): Promise<DriverDatasets> {
  return bindingOf(sc).ready();
}

// `take` may run several jobs: they are one action. Other actions are one job, with what it must prepare.
const take = RDD.prototype.take;
RDD.prototype.take = async function <T>(this: RDD<T>, count: number): Promise<T[]> {
  const binding = bindings.get(this.context);
  if (binding === undefined) return take.call(this, count) as Promise<T[]>;
  return (await binding.ready()).action(() => take.call(this, count) as Promise<T[]>);
};
