/** How many tasks may wait at an executor, so that it needs not wait for them. */
import type { SparkTaskEnd } from './events.ts';

/** Most tasks that wait for each core. */
export const MAX_AHEAD = 8;
/** As many wait as end in so long, milliseconds. */
const WAIT_MS = 20;
/** A stage that has one task as long as this is not short, milliseconds. */
const LONG_MS = 200;
/** Ended tasks of a stage before it is judged. */
const ENOUGH = 4;
/** Share of the latest task in the mean. */
const WEIGHT = 1 / 8;

/** Stages kept; each goes when it is complete. */
const MAX_STAGES = 1024;

interface Stage {
  seen: number;
  meanMs: number;
  /** Bytes of its tasks as they travel. */
  bytes: number;
  ahead: number;
  long: boolean;
}

/** What waits at an executor takes no more memory than this for each core, bytes. */
const MAX_BYTES = 4 * 1024 * 1024;

/**
 * By stage, from the run times of its ended tasks: the executor of a stage of short tasks would otherwise idle while each
 * of them travels, and each would travel alone. A stage with a long task, or of which little is known, has nothing wait.
 */
export class RunAhead {
  readonly #stages = new Map<number, Stage>();

  /** The stage's tasks take so many bytes. */
  captured(stageId: number, bytes: number): void {
    const stage = this.#stages.get(stageId);
    if (stage !== undefined) {
      stage.bytes = bytes;
      return;
    }
    this.#stages.set(stageId, { seen: 0, meanMs: 0, bytes, ahead: 0, long: false });
    if (this.#stages.size > MAX_STAGES) this.#stages.delete(this.#stages.keys().next().value as number);
  }

  /** The stage's tasks for each core of an executor that may wait, where that has changed. */
  ended({ stageId, runTimeMs, status }: SparkTaskEnd): number | undefined {
    const stage = this.#stages.get(stageId);
    if (stage === undefined || status !== 'SUCCESS') return undefined;
    stage.seen++;
    stage.meanMs += (runTimeMs - stage.meanMs) * Math.max(WEIGHT, 1 / stage.seen);
    stage.long ||= runTimeMs >= LONG_MS;
    if (stage.seen < ENOUGH) return undefined;
    const fits = Math.min(WAIT_MS / Math.max(1, stage.meanMs), MAX_BYTES / Math.max(1, stage.bytes), MAX_AHEAD);
    return this.#change(stage, stage.long ? 0 : Math.floor(fits));
  }

  /** Something of it waited too long: from now on nothing does. */
  tooLong(stageId: number): number | undefined {
    const stage = this.#stages.get(stageId);
    if (stage === undefined) return undefined;
    stage.long = true;
    return this.#change(stage, 0);
  }

  /** How many of its tasks may wait for each core now. */
  of(stageId: number): number {
    return this.#stages.get(stageId)?.ahead ?? 0;
  }

  completed(stageId: number): number | undefined {
    const stage = this.#stages.get(stageId);
    this.#stages.delete(stageId);
    return stage === undefined ? undefined : this.#change(stage, 0);
  }

  /** Small changes are not worth a word. */
  #change(stage: Stage, ahead: number): number | undefined {
    const before = stage.ahead;
    if (ahead === before || (ahead > 0 && before > 0 && Math.abs(ahead - before) === 1)) return undefined;
    return (stage.ahead = ahead);
  }
}
