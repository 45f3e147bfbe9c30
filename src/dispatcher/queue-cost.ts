import { StageTask, type TaskDescription } from '../protocol/task.ts';

/** What a task takes of its worker's credit when nothing is known of how long it runs: all of a place. */
export const PLACE = 1024;
/** Short tasks a slot is sent at most: one frame of them. */
const MAX_QUEUED = 64;
/** Stages whose run times are remembered; beyond, all are learned anew. Known by their code: one that comes again is. */
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
  readonly #stages = new Map<string, RunTime>();

  learn(commons: readonly string[], meanMs: number): void {
    const code = commons[0] ?? '';
    const known = this.#stages.get(code);
    if (known !== undefined) {
      known.meanMs = meanMs;
      known.count++;
      return;
    }
    if (this.#stages.size >= MAX_STAGES) this.#stages.clear();
    this.#stages.set(code, { meanMs, count: 1 });
  }

  of(commons: readonly string[]): RunTime | undefined {
    return this.#stages.get(commons[0] ?? '');
  }
}

/**
 * What a task takes of its worker's credit, from 1 to `PLACE`. Tasks of a stage that has proved short share a place, as many
 * as run in its time, and no more for each slot than have ended: a slot waits for no message while there is work, and
 * nothing long is bound early. Calls that are offloaded one by one are no stage, so that none of them waits behind another
 * that happens to be long.
 */
export function costOf(task: TaskDescription, times: RunTimes, limits: QueueLimits): number {
  return task instanceof StageTask ? stageCost(task.commons, times, limits) : PLACE;
}

/** What a task of a stage takes of the credit of a worker, or of an application; the stage by the first of its common blobs, its code. */
export function stageCost(commons: readonly string[], times: RunTimes, { depth, ms }: QueueLimits): number {
  const time = times.of(commons);
  if (time === undefined || ms <= 0) return PLACE;
  const places = depth * PLACE;
  return Math.min(PLACE, Math.ceil(Math.max(places / Math.min(MAX_QUEUED, time.count), (places * time.meanMs) / ms)));
}
