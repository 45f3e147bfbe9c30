import type { TaskEntry } from './task-entry.ts';

/** Stages remembered; the one that was used longest ago goes first. */
const MAX_STAGES = 1024;
/** Durations kept of a stage, the latest. */
const MAX_DURATIONS = 1024;

interface StageClock {
  submitted: number;
  finished: number;
  /** Milliseconds, in the order in which tasks finished; a ring. */
  readonly durations: number[];
  readonly running: Set<TaskEntry>;
}

/**
 * Which tasks are slow? After Spark's TaskSetManager.checkSpeculatableTasks: once `quantile` of a stage has finished, a task
 * that has run for `multiplier` times the median, and at least `minTaskRuntimeMs`, may get a copy on another worker.
 * Knows only the tasks of applications that ask for speculation; for others it costs nothing.
 */
export class Speculation {
  readonly #stages = new Map<string, StageClock>();

  submitted(entry: TaskEntry): void {
    this.#stage(entry).submitted++;
  }

  /** Its worker said that it runs. */
  started(entry: TaskEntry): void {
    this.#stage(entry).running.add(entry);
  }

  /** Its lease has ended. */
  ended(entry: TaskEntry): void {
    this.#stages.get(keyOf(entry))?.running.delete(entry);
  }

  /** It, or its copy, has finished after this long. */
  finished(entry: TaskEntry, durationMs: number): void {
    const stage = this.#stage(entry);
    stage.durations[stage.finished % MAX_DURATIONS] = durationMs;
    stage.finished++;
  }

  /** Tasks without a copy that are slow now. */
  *slow(now: number): Iterable<TaskEntry> {
    for (const { submitted, finished, durations, running } of this.#stages.values()) {
      const [first] = running;
      if (first === undefined || finished === 0) continue;
      const { profile, stages } = first.owner;
      if (profile.speculation === undefined) continue;
      const { quantile, multiplier, minTaskRuntimeMs } = profile.speculation;
      const tasks = Math.max(submitted, stages.get(first.task.stageId)?.tasks ?? 0);
      if (finished < Math.max(1, Math.floor(quantile * tasks))) continue;
      const sorted = Float64Array.from(durations).sort();
      const threshold = Math.max(multiplier * (sorted[sorted.length >> 1] as number), minTaskRuntimeMs);
      for (const entry of running) {
        if (entry.phase === 'RUNNING' && entry.of === undefined && entry.copy === undefined && now - entry.startedAt > threshold) yield entry;
      }
    }
  }

  #stage(entry: TaskEntry): StageClock {
    const key = keyOf(entry);
    let stage = this.#stages.get(key);
    if (stage === undefined) {
      stage = { submitted: 0, finished: 0, durations: [], running: new Set() };
      if (this.#stages.size >= MAX_STAGES) this.#stages.delete(this.#stages.keys().next().value as string);
      this.#stages.set(key, stage);
    }
    return stage;
  }
}

function keyOf({ application, task }: TaskEntry): string {
  return `${task.stageId}.${task.stageAttemptNumber} ${application}`;
}
