import type { RddNode, ShuffleDependency } from '../rdd/node.ts';
import type { Sink } from '../executor/plan.ts';
import type { StageInfo } from './events.ts';

interface StageBase {
  readonly id: number;
  readonly node: RddNode;
  readonly parents: readonly Stage[];
  readonly numTasks: number;
  /** Jobs that need it. */
  readonly jobIds: Set<number>;
  /** Number of the next attempt. */
  nextAttempt: number;
  /** Attempts in a row that ended in a lost shuffle input. */
  fetchFailures: number;
  /** Blobs that the attempts hold in the blob store. */
  blobs: string[];
}

/** Ends in shuffle files for a later stage. */
export interface ShuffleMapStage extends StageBase {
  readonly kind: 'map';
  readonly shuffle: ShuffleDependency;
  /** Partitions of the current attempt whose task has not succeeded. */
  pending: Set<number>;
  /** Partitions whose accumulator updates are merged: computing one again counts nothing. */
  readonly counted: Set<number>;
}

/** Ends in the result of a job. */
export interface ResultStage extends StageBase {
  readonly kind: 'result';
  readonly sink: Sink;
  /** Partition of the RDD for each task of the stage. */
  readonly partitions: readonly number[];
}

export type Stage = ShuffleMapStage | ResultStage;

/** A job that has been submitted and not ended. */
export interface ActiveJob {
  readonly jobId: number;
  readonly finalStage: ResultStage;
  readonly finished: boolean[];
  numFinished: number;
  resultBytes: number;
  readonly properties: Readonly<Record<string, string>>;
  readonly onResult: (index: number, value: unknown) => void;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export function stageInfo(stage: Stage, attemptNumber: number, numTasks = stage.numTasks): StageInfo {
  return {
    stageId: stage.id,
    attemptNumber,
    name: stage.node.name === undefined ? stage.node.callSite : `${stage.node.name} (${stage.node.callSite})`,
    numTasks,
    parentIds: stage.parents.map((parent) => parent.id),
  };
}
