/** Spark's listener events, as the agent in a driver tells them. Times are milliseconds since the epoch, durations milliseconds. */

export interface SparkJobStart {
  readonly type: 'jobStart';
  readonly jobId: number;
  readonly time: number;
  readonly stageIds: readonly number[];
}

export interface SparkJobEnd {
  readonly type: 'jobEnd';
  readonly jobId: number;
  readonly time: number;
  readonly succeeded: boolean;
  /** Empty when it succeeded. */
  readonly reason: string;
}

export interface SparkStage {
  readonly type: 'stageSubmitted' | 'stageCompleted';
  readonly stageId: number;
  readonly attempt: number;
  readonly name: string;
  readonly tasks: number;
  /** Why it failed; empty when it did not. */
  readonly failureReason: string;
}

export interface SparkTaskStart {
  readonly type: 'taskStart';
  readonly taskId: number;
  readonly stageId: number;
  readonly stageAttempt: number;
  readonly index: number;
  readonly attempt: number;
  readonly executorId: string;
  readonly host: string;
  readonly locality: string;
  readonly speculative: boolean;
}

export interface SparkTaskEnd {
  readonly type: 'taskEnd';
  readonly taskId: number;
  readonly stageId: number;
  readonly stageAttempt: number;
  readonly index: number;
  readonly attempt: number;
  readonly executorId: string;
  readonly host: string;
  /** Spark's: SUCCESS, FAILED, KILLED. */
  readonly status: string;
  readonly durationMs: number;
  readonly runTimeMs: number;
  readonly resultBytes: number;
  /** Empty when it succeeded. */
  readonly reason: string;
}

export interface SparkExecutorAdded {
  readonly type: 'executorAdded';
  readonly executorId: string;
  readonly host: string;
  readonly cores: number;
  /** Started by a worker of spark-proxy. */
  readonly external: boolean;
}

export interface SparkExecutorRemoved {
  readonly type: 'executorRemoved';
  readonly executorId: string;
  readonly reason: string;
}

export interface SparkApplicationEnd {
  readonly type: 'applicationEnd';
  readonly time: number;
}

export type SparkEvent =
  SparkJobStart | SparkJobEnd | SparkStage | SparkTaskStart | SparkTaskEnd | SparkExecutorAdded | SparkExecutorRemoved | SparkApplicationEnd;

/** What the agent says of a captured task beside Spark's own events. */
export type AgentEvent =
  /** Spark heard from its executor, microseconds after it was captured. */
  | { readonly type: 'started'; readonly taskId: number; readonly micros: number }
  /** It was sent Spark's own way after all, to the same executor. */
  | { readonly type: 'fallenBack'; readonly taskId: number; readonly executorId: string }
  /** It went Spark's own way at once: the mode or the link had just changed. */
  | { readonly type: 'direct'; readonly executorId: string }
  /** Spark kills it, and has told the executor itself. */
  | { readonly type: 'kill'; readonly taskId: number; readonly reason: string }
  /** An external executor has started. */
  | { readonly type: 'attached'; readonly executorId: string; readonly workerId: string; readonly host: string; readonly cores: number };

const STAGE = 'stageInfo.stageId stageInfo.attemptNumber stageInfo.name stageInfo.numTasks stageInfo.failureReason';
const TASK = 'taskInfo.taskId stageId stageAttemptId taskInfo.index taskInfo.attemptNumber taskInfo.executorId taskInfo.host';

/** Which of Spark's listener events an agent tells, by their class: the type, and the paths of accessors that give its words. */
export const TOLD_EVENTS: Readonly<Record<string, string>> = {
  SparkListenerJobStart: 'jobStart jobId time stageIds',
  SparkListenerJobEnd: 'jobEnd jobId time jobResult',
  SparkListenerStageSubmitted: `stageSubmitted ${STAGE}`,
  SparkListenerStageCompleted: `stageCompleted ${STAGE}`,
  SparkListenerTaskStart: `taskStart ${TASK} taskInfo.taskLocality taskInfo.speculative`,
  SparkListenerTaskEnd: `taskEnd ${TASK} taskInfo.status taskInfo.duration taskMetrics.executorRunTime taskMetrics.resultSize reason`,
  SparkListenerExecutorAdded: 'executorAdded executorId executorInfo.executorHost executorInfo.totalCores',
  SparkListenerExecutorRemoved: 'executorRemoved executorId reason',
  SparkListenerApplicationEnd: 'applicationEnd time',
};

/** Ids of external executors: such as Spark's own never reach, and that fit its int. */
export const FIRST_EXECUTOR_ID = 900_000_001;

const number = (word: string | undefined): number => {
  const value = Number(word);
  return Number.isFinite(value) ? value : 0;
};

function stage(type: SparkStage['type'], words: readonly string[]): SparkStage {
  const [stageId, attempt, name = '', tasks, failureReason = ''] = words;
  return { type, stageId: number(stageId), attempt: number(attempt), name, tasks: number(tasks), failureReason };
}

const place = (words: readonly string[]) => {
  const [taskId, stageId, stageAttempt, index, attempt, executorId = '', host = ''] = words;
  return {
    taskId: number(taskId),
    stageId: number(stageId),
    stageAttempt: number(stageAttempt),
    index: number(index),
    attempt: number(attempt),
    executorId,
    host,
  };
};

/** Words of an event frame with their type, as TOLD_EVENTS asks for them; undefined: an event that this version does not know. */
export function parseEvent(frame: readonly string[]): SparkEvent | AgentEvent | undefined {
  const [type, ...words] = frame;
  const [first = '', second = '', third = ''] = words;
  switch (type) {
    case 'jobStart':
      return { type, jobId: number(first), time: number(second), stageIds: third === '' ? [] : third.split(',').map(Number) };
    case 'jobEnd':
      return { type, jobId: number(first), time: number(second), succeeded: third === 'JobSucceeded', reason: third === 'JobSucceeded' ? '' : third };
    case 'stageSubmitted':
    case 'stageCompleted':
      return stage(type, words);
    case 'taskStart':
      return { type, ...place(words), locality: words[7] ?? '', speculative: words[8] === 'true' };
    case 'taskEnd':
      return {
        type,
        ...place(words),
        status: words[7] ?? '',
        durationMs: number(words[8]),
        runTimeMs: number(words[9]),
        resultBytes: number(words[10]),
        reason: words[11] === 'Success' ? '' : (words[11] ?? ''),
      };
    case 'executorAdded':
      return { type, executorId: first, host: second, cores: number(third), external: number(first) >= FIRST_EXECUTOR_ID };
    case 'executorRemoved':
      return { type, executorId: first, reason: second };
    case 'applicationEnd':
      return { type, time: number(first) };
    case 'started':
      return { type, taskId: number(first), micros: number(second) };
    case 'fallenBack':
      return { type, taskId: number(first), executorId: second };
    case 'direct':
      return { type, executorId: first };
    case 'kill':
      return { type, taskId: number(first), reason: second };
    case 'attached':
      return { type, executorId: first, workerId: second, host: third, cores: number(words[3]) };
    default:
      return undefined;
  }
}
