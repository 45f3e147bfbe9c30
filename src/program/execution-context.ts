import { createLogger, type Logger } from '../core/logger.ts';
import type { DatasetAdmin, DatasetContext, Datasets, ExecuteOptions, Metrics, ReadOptions, RecordOf, SaveOptions, StreamEvent } from '../dataset/contract.ts';
import type { RDD } from '../rdd/rdd.ts';
import type { SparkContext } from '../scheduler/spark-context.ts';
import type { SparkExecutionContext, WorkflowToken } from './contract.ts';
import { discoverService } from './services.ts';

type Body<R> = (datasets: DatasetContext) => R | Promise<R>;

export interface ExecutionContextOptions {
  readonly runId: string;
  readonly programName: string;
  readonly startTime: number;
  readonly arguments: Readonly<Record<string, string>>;
  readonly args: readonly string[];
  readonly signal: AbortSignal;
  readonly workflowToken: WorkflowToken | undefined;
  readonly datasets: Datasets;
  readonly home: string;
  /** The run's context, made if need be. */
  readonly sparkContext: () => SparkContext;
}

export class ExecutionContext implements SparkExecutionContext {
  readonly runId: string;
  readonly programName: string;
  readonly startTime: number;
  readonly arguments: Readonly<Record<string, string>>;
  readonly args: readonly string[];
  readonly logger: Logger;
  readonly signal: AbortSignal;
  readonly workflowToken: WorkflowToken | undefined;
  readonly #options: ExecutionContextOptions;

  constructor(options: ExecutionContextOptions) {
    this.#options = options;
    this.runId = options.runId;
    this.programName = options.programName;
    this.startTime = options.startTime;
    this.arguments = options.arguments;
    this.args = options.args;
    this.signal = options.signal;
    this.workflowToken = options.workflowToken;
    this.logger = createLogger(options.programName);
  }

  getSparkContext(): SparkContext {
    return this.#options.sparkContext();
  }

  fromDataset<N extends string>(sc: SparkContext, name: N, options?: ReadOptions): RDD<RecordOf<N>>;
  fromDataset<T>(sc: SparkContext, name: string, options?: ReadOptions): RDD<T>;
  fromDataset(sc: SparkContext, name: string, options?: ReadOptions): RDD<unknown> {
    return sc.fromDataset(name, options);
  }

  saveAsDataset<T>(_sc: SparkContext, rdd: RDD<T>, name: string, options?: SaveOptions): Promise<void> {
    return rdd.saveAsDataset(name, options);
  }

  fromStream<T = unknown>(sc: SparkContext, name: string, from: Date | number, to: Date | number): RDD<StreamEvent<T>> {
    return sc.fromStream<T>(name, from, to);
  }

  execute<R>(first: Body<R> | number, second?: Body<R> | ExecuteOptions): Promise<R> {
    if (typeof first === 'number') return this.#options.datasets.execute(second as Body<R>, { timeoutMs: first });
    return this.#options.datasets.execute(first, second as ExecuteOptions | undefined);
  }

  get datasetContext(): DatasetContext {
    return this.#options.datasets.context;
  }

  get admin(): DatasetAdmin {
    return this.#options.datasets.admin;
  }

  getMetrics(): Metrics {
    return this.getSparkContext().getMetrics();
  }

  discoverService(name: string): string | undefined {
    return discoverService(this.#options.home, name);
  }
}
