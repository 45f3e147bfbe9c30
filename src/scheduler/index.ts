export type { SchedulerBackend, TaskSchedulerPort, WorkerOffer } from './backend.ts';
export type { SparkListener, SparkListenerEvents, StageInfo, TaskInfo } from './events.ts';
export { LocalSchedulerBackend } from './local-backend.ts';
export { SparkConf } from './spark-conf.ts';
export { SparkContext } from './spark-context.ts';
