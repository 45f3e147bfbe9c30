/** What is known of an application of Apache Spark whose driver has our agent: places of its executors, counts of its tasks. */

export interface LatencySnapshot {
  readonly count: number;
  readonly sumMs: number;
  /** Tasks a bucket; one more than their bounds, LATENCY_BUCKETS_MS of src/apache-spark/metrics.ts. */
  readonly buckets: readonly number[];
  /** Upper bound of the bucket that holds it, milliseconds. */
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export interface SparkExecutor {
  readonly executorId: string;
  readonly workerId: string;
  readonly host: string;
  readonly cores: number;
}

export interface WorkerFigures {
  readonly workerId: string;
  readonly host: string;
  readonly captured: number;
  readonly finished: number;
  readonly fallenBack: number;
}

/** What `spark-proxy apps` shows. */
export interface SparkApplicationInfo {
  readonly id: string;
  readonly runId: string;
  readonly name: string;
  readonly user: string;
  readonly sparkVersion: string;
  readonly driverHost: string;
  readonly pid: number;
  readonly uiUrl: string;
  readonly mode: 'external' | 'internal';
  readonly linked: boolean;
  readonly startedMs: number;
  readonly activeJobs: number;
  readonly executors: readonly SparkExecutor[];
  readonly figures: SparkFigures;
}

export interface SparkFigures {
  /** Launches that the agent took. */
  readonly captured: number;
  /** Of these, those that ended on the executor they were sent to through the dispatcher. */
  readonly rerouted: number;
  /** Of these, those that went Spark's own way after all, to the same executor. */
  readonly fallenBack: number;
  /** Launches on external executors that were not taken: the link was down. */
  readonly direct: number;
  /** Tasks that the selector placed elsewhere than Spark had. */
  readonly moved: number;
  readonly live: number;
  /** Tasks by Spark's own listener events: ended on external executors, and on Spark's own. */
  readonly endedOutside: number;
  readonly endedInside: number;
  /** From the capture of a launch until Spark heard from the executor that the task runs. */
  readonly latency: LatencySnapshot;
  readonly workers: readonly WorkerFigures[];
}
