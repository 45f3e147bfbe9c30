/** Events of the listener bus, under the names of Spark's SparkListener. Times are milliseconds since the epoch. */
import type { TaskMetrics } from '../executor/plan.ts';

export interface StageInfo {
  readonly stageId: number;
  readonly attemptNumber: number;
  /** Call site of the stage's last RDD. */
  readonly name: string;
  readonly numTasks: number;
  readonly parentIds: readonly number[];
}

export interface TaskInfo {
  readonly taskId: number;
  readonly index: number;
  readonly attemptNumber: number;
  readonly launchTime: number;
  /** The executor that ran it: for a re-dispatched task, the worker. */
  readonly executorId: string;
}

export interface SparkListenerEvents {
  onApplicationStart: { readonly appId: string; readonly appName: string; readonly time: number };
  onApplicationEnd: { readonly appId: string; readonly time: number };
  onJobStart: {
    readonly jobId: number;
    readonly time: number;
    readonly stageInfos: readonly StageInfo[];
    readonly properties: Readonly<Record<string, string>>;
  };
  onJobEnd: { readonly jobId: number; readonly time: number; readonly error: Error | undefined };
  onStageSubmitted: { readonly stage: StageInfo; readonly time: number };
  onStageCompleted: { readonly stage: StageInfo; readonly time: number; readonly failureReason: string | undefined };
  onTaskStart: { readonly stageId: number; readonly stageAttemptId: number; readonly task: TaskInfo };
  onTaskEnd: {
    readonly stageId: number;
    readonly stageAttemptId: number;
    readonly task: TaskInfo;
    readonly state: 'FINISHED' | 'FAILED' | 'KILLED' | 'LOST';
    readonly finishTime: number;
    readonly metrics: TaskMetrics | undefined;
    readonly error: Error | undefined;
  };
  onExecutorAdded: { readonly executorId: string; readonly host: string; readonly cores: number; readonly time: number };
  onExecutorRemoved: { readonly executorId: string; readonly reason: string; readonly time: number };
  onUnpersistRDD: { readonly rddId: number };
}

/** Some of the events; `sc.addSparkListener({ onTaskEnd(event) {} })`. */
export type SparkListener = { readonly [K in keyof SparkListenerEvents]?: (event: SparkListenerEvents[K]) => void };
