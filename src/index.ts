/** spark-proxy: the embedded engine and what programs write. Subpaths give single parts (see package.json exports). */
export { SparkContext } from './scheduler/spark-context.ts';
export { SparkConf } from './scheduler/spark-conf.ts';
export type { SparkListener, SparkListenerEvents, StageInfo, TaskInfo } from './scheduler/events.ts';
export { RDD, type SortOptions } from './rdd/rdd.ts';
export { TaskContext, type TaskContextInfo } from './storage/task-context.ts';
export type { Accumulator, AccumulatorParam } from './storage/accumulator.ts';
export type { Broadcast } from './storage/broadcast.ts';
export { SparkProxyError } from './core/errors.ts';
