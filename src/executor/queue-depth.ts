/** Tasks shorter than this (mean, milliseconds) are queued deep; up to ten times longer, two at a time; else one. */
const SHORT_TASK_MS = 0.5;
/** What is queued deep, in tasks; and where they are shorter still, in milliseconds of work. */
const DEEP = 16;
const DEEP_MS = 2;
/** Stages whose run times are remembered; beyond, all are learned anew. */
const MAX_STAGES = 256;
/** Weight of the newest run time. */
const NEWEST = 0.2;

/**
 * How many tasks a thread is given at a time: the shorter they have proved, the more, so that it never waits for its next
 * one and what it is told comes in large messages. What a stage's tasks take is not concluded from those of another: many
 * that turn out to be long would be bound to threads that are busy, while others idle.
 */
export class QueueDepth {
  readonly #most: number;
  /** Moving mean of all run times, milliseconds; begins long, so that nothing waits behind a task of unknown length. */
  #meanMs = 100;
  readonly #stages = new Map<string, number>();
  /** The stage of the last result, which is nearly always that of the next, and its mean. */
  #stage = '';
  #stageMs: number | undefined;

  /** @param most tasks of a thread, however short they are */
  constructor(most: number) {
    this.#most = most;
  }

  /** Of a stage's tasks of late, milliseconds; undefined: none has ended. */
  meanMs(stage: string): number | undefined {
    return stage === this.#stage ? this.#stageMs : this.#stages.get(stage);
  }

  /** Tasks of unknown stages worth having for each thread. */
  get any(): number {
    return this.#depth(this.#meanMs, this.#most);
  }

  /** Tasks a thread may hold when it is given one of this stage. */
  of(stage: string): number {
    const meanMs = this.meanMs(stage);
    return meanMs === undefined ? this.#depth(this.#meanMs, DEEP) : this.#depth(meanMs, this.#most);
  }

  learn(stage: string, runMs: number): void {
    this.#meanMs += (runMs - this.#meanMs) * NEWEST;
    if (stage !== this.#stage) this.#turnTo(stage);
    this.#stageMs = this.#stageMs === undefined ? runMs : this.#stageMs + (runMs - this.#stageMs) * NEWEST;
  }

  #turnTo(stage: string): void {
    if (this.#stages.size >= MAX_STAGES) this.#stages.clear();
    if (this.#stageMs !== undefined) this.#stages.set(this.#stage, this.#stageMs);
    this.#stage = stage;
    this.#stageMs = this.#stages.get(stage);
  }

  #depth(meanMs: number, most: number): number {
    if (meanMs < SHORT_TASK_MS) return Math.min(this.#most, most, Math.max(DEEP, Math.floor(DEEP_MS / meanMs)));
    return Math.min(this.#most, meanMs < SHORT_TASK_MS * 10 ? 2 : 1);
  }
}
