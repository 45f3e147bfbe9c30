/** A progress line per stage, Spark's habit: `[Stage 0:=====>  (3 + 2) / 8]`. Plain lines where the stream is no terminal. */
import { systemClock } from '../core/clock.ts';
import type { EventBus } from '../core/events.ts';
import type { SparkListenerEvents, StageInfo } from '../scheduler/events.ts';

export interface ProgressStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

interface StageProgress {
  readonly info: StageInfo;
  running: number;
  done: number;
  /** Last time a plain line was written. */
  shown: number;
}

/** A bar is redrawn, and a plain line repeated, no more often than this. */
const REDRAW_MS = 100;
const PLAIN_MS = 1000;

/** Attaches to a context's events; the returned function detaches. */
export function consoleProgress(
  events: EventBus<SparkListenerEvents>,
  stream: ProgressStream = process.stderr,
  now: () => number = systemClock.now,
): () => void {
  const stages = new Map<number, StageProgress>();
  const terminal = stream.isTTY === true;
  let drawn = 0;
  let visible = false;

  const line = (stage: StageProgress, width: number): string => {
    const { stageId, numTasks } = stage.info;
    const head = `[Stage ${stageId}:`;
    const tail = `(${stage.done} + ${stage.running}) / ${numTasks}]`;
    const room = Math.max(4, width - head.length - tail.length);
    const filled = Math.min(room - 1, Math.floor((room * stage.done) / Math.max(1, numTasks)));
    return `${head}${`${'='.repeat(filled)}>`.padEnd(room)}${tail}`;
  };
  const clear = (): void => {
    if (visible) stream.write('\r\u001b[2K');
    visible = false;
  };
  const draw = (force: boolean): void => {
    const time = now();
    if (!force && time - drawn < REDRAW_MS) return;
    drawn = time;
    const active = [...stages.values()];
    if (active.length === 0) return clear();
    const width = Math.max(20, Math.floor(((stream.columns ?? 80) - 1) / active.length));
    stream.write(`\r\u001b[2K${active.map((stage) => line(stage, width)).join('')}`);
    visible = true;
  };
  const plain = (stage: StageProgress, force: boolean): void => {
    const time = now();
    if (!force && time - stage.shown < PLAIN_MS) return;
    stage.shown = time;
    stream.write(`${line(stage, 60)} ${stage.info.name}\n`);
  };
  const changed = (stage: StageProgress): void => {
    if (terminal) draw(false);
    else plain(stage, false);
  };

  const removals = [
    events.on('onStageSubmitted', ({ stage: info }) => {
      const stage = { info, running: 0, done: 0, shown: now() };
      stages.set(info.stageId, stage);
      if (terminal) draw(true);
    }),
    events.on('onTaskStart', ({ stageId }) => {
      const stage = stages.get(stageId);
      if (stage === undefined) return;
      stage.running += 1;
      changed(stage);
    }),
    events.on('onTaskEnd', ({ stageId, state }) => {
      const stage = stages.get(stageId);
      if (stage === undefined) return;
      stage.running = Math.max(0, stage.running - 1);
      if (state === 'FINISHED') stage.done += 1;
      changed(stage);
    }),
    events.on('onStageCompleted', ({ stage: { stageId } }) => {
      const stage = stages.get(stageId);
      if (stage === undefined) return;
      stages.delete(stageId);
      if (terminal) {
        clear();
        draw(true);
      } else plain(stage, true);
    }),
  ];
  return () => {
    clear();
    removals.forEach((remove) => remove());
  };
}
