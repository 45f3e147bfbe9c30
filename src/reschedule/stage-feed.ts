/** Tells the dispatcher the stage graph of each job, from the events of the scheduler: a few messages a stage, none a task. */
import type { StageInfo } from '../protocol/application.ts';
import type { SparkListener } from '../scheduler/events.ts';

interface OpenStage {
  readonly name: string;
  readonly parents: readonly number[];
  readonly tasks: number;
  remaining: number;
}

/** Call sites whose mean task duration is remembered, for when the same stage comes again. */
const MAX_MEANS = 1024;

/**
 * Graphs of one stage say nothing to an order and are told only when `always` is set (speculation counts their tasks).
 * Durations are those that the last stage of the same call site had; 0 while there was none.
 */
export function stageFeed(tell: (stages: readonly StageInfo[]) => void, always: boolean): SparkListener {
  const open = new Map<number, OpenStage>();
  const jobs = new Map<number, readonly number[]>();
  const means = new Map<string, { sum: number; count: number }>();
  const infoOf = (stageId: number, { name, parents, tasks, remaining }: OpenStage): StageInfo => {
    const mean = means.get(name);
    return { stageId, parents, tasks, tasksRemaining: remaining, meanMs: mean === undefined ? 0 : mean.sum / mean.count };
  };
  const close = (ids: readonly number[]): void => {
    const ended = ids.filter((id) => open.delete(id));
    if (ended.length > 0) tell(ended.map((stageId) => ({ stageId, parents: [], tasksRemaining: 0, meanMs: 0 })));
  };

  return {
    onJobStart({ jobId, stageInfos }) {
      if (stageInfos.length < 2 && !always) return;
      for (const { stageId, name, numTasks, parentIds } of stageInfos) {
        if (numTasks > 0) open.set(stageId, { name, parents: parentIds, tasks: numTasks, remaining: numTasks });
      }
      jobs.set(
        jobId,
        stageInfos.map(({ stageId }) => stageId),
      );
      const stages = [...open].filter(([id]) => jobs.get(jobId)?.includes(id)).map(([id, stage]) => infoOf(id, stage));
      if (stages.length > 0) tell(stages);
    },
    onTaskEnd({ stageId, state, metrics }) {
      const stage = open.get(stageId);
      if (stage === undefined || state !== 'FINISHED') return;
      if (stage.remaining > 1) stage.remaining--;
      let mean = means.get(stage.name);
      if (mean === undefined) {
        if (means.size >= MAX_MEANS) means.delete(means.keys().next().value as string);
        means.set(stage.name, (mean = { sum: 0, count: 0 }));
      }
      mean.sum += metrics?.runMs ?? 0;
      mean.count++;
    },
    onStageSubmitted({ stage: { stageId } }) {
      const stage = open.get(stageId);
      if (stage !== undefined) tell([infoOf(stageId, stage)]);
    },
    onStageCompleted({ stage, failureReason }) {
      if (failureReason === undefined) close([stage.stageId]);
    },
    onJobEnd({ jobId }) {
      close(jobs.get(jobId) ?? []);
      jobs.delete(jobId);
    },
  };
}
