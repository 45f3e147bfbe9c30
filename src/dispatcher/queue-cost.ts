import { StageTask, type TaskDescription } from '../protocol/task.ts';

/** What a task takes of its worker's credit when nothing is known of how long it runs: all of a place. */
export const PLACE = 1024;
/** Short tasks a slot is sent at most: one frame of them. */
const MAX_QUEUED = 64;
/** Stages whose run times are remembered; beyond, all are learned anew. */
const MAX_STAGES = 1024;

/** How much may wait at a worker for each of its slots. */
export interface QueueLimits {
  /** Tasks. */
  readonly depth: number;
  /** Milliseconds that short tasks may take together, so that more of them than `depth` are sent; 0: never more. */
  readonly ms: number;
}

interface RunTime {
  meanMs: number;
  /** Tasks that have ended. */
  count: number;
}

/** How long the tasks of an application's stages run, as workers say. */
export class RunTimes {
  readonly #stages = new Map<number, RunTime>();

  learn(stageId: number, meanMs: number): void {
    const known = this.#stages.get(stageId);
    if (known !== undefined) {
      known.meanMs = meanMs;
      known.count++;
      return;
    }
    if (this.#stages.size >= MAX_STAGES) this.#stages.clear();
    this.#stages.set(stageId, { meanMs, count: 1 });
  }

  of(stageId: number): RunTime | undefined {
    return this.#stages.get(stageId);
  }
}

/**
 * What a task takes of its worker's credit, from 1 to `PLACE`. Tasks of a stage that has proved short share a place, as many
 * as run in its time, and no more for each slot than have ended: a slot waits for no message while there is work, and
 * nothing long is bound early. Calls that are offloaded one by one are no stage, so that none of them waits behind another
 * that happens to be long.
 */
export function costOf(task: TaskDescription, times: RunTimes, limits: QueueLimits): number {
  return task instanceof StageTask ? stageCost(task.stageId, times, limits) : PLACE;
}

/** What a task of this stage takes of the credit of a worker, or of an application. */
export function stageCost(stageId: number, times: RunTimes, { depth, ms }: QueueLimits): number {
  const time = times.of(stageId);
  if (time === undefined || ms <= 0) return PLACE;
  const places = depth * PLACE;
  return Math.min(PLACE, Math.ceil(Math.max(places / Math.min(MAX_QUEUED, time.count), (places * time.meanMs) / ms)));
}
