import { describe, expect, test } from 'vitest';
import type { SparkTaskEnd } from '../../src/apache-spark/events.ts';
import { MAX_AHEAD, RunAhead } from '../../src/apache-spark/run-ahead.ts';

const end = (stageId: number, runTimeMs: number, status = 'SUCCESS') => ({ stageId, runTimeMs, status }) as SparkTaskEnd;

/** Ends so many tasks; gives the changes. */
const ends = (ahead: RunAhead, stageId: number, count: number, runTimeMs: number): (number | undefined)[] =>
  Array.from({ length: count }, () => ahead.ended(end(stageId, runTimeMs))).filter((change) => change !== undefined);

describe('how many tasks wait at an executor', () => {
  test('none of a stage of which little is known, and many of one whose tasks are short', () => {
    const ahead = new RunAhead();
    ahead.captured(1, 1000);
    expect(ends(ahead, 1, 3, 1)).toEqual([]);
    expect(ends(ahead, 1, 10, 1)).toEqual([MAX_AHEAD]);
    expect(ahead.of(1)).toBe(MAX_AHEAD);
    expect(ahead.of(2)).toBe(0);
  });

  test('as many as end in a moment: fewer as tasks take longer, and none where they are long', () => {
    const ahead = new RunAhead();
    for (const stage of [1, 2, 3]) ahead.captured(stage, 1000);
    expect(ends(ahead, 1, 8, 5)).toEqual([4]);
    expect(ends(ahead, 2, 8, 20)).toEqual([1]);
    expect(ends(ahead, 3, 8, 21)).toEqual([]);
  });

  test('none any more after one task was long, or one waited for long', () => {
    const ahead = new RunAhead();
    for (const stage of [1, 2]) {
      ahead.captured(stage, 1000);
      ends(ahead, stage, 100, 1);
    }
    expect(ahead.ended(end(1, 200))).toBe(0);
    expect(ahead.tooLong(2)).toBe(0);
    for (const stage of [1, 2]) expect(ends(ahead, stage, 1000, 1)).toEqual([]);
    expect(ahead.tooLong(3)).toBeUndefined();
  });

  test('tasks that failed tell nothing, and large ones do not pile up', () => {
    const ahead = new RunAhead();
    ahead.captured(1, 1000);
    ahead.captured(2, 2 * 1024 * 1024);
    for (let i = 0; i < 20; i++) expect(ahead.ended(end(1, 0, 'FAILED'))).toBeUndefined();
    expect(ends(ahead, 2, 8, 1)).toEqual([2]);
  });

  test('a stage that is complete is forgotten, and the agent told', () => {
    const ahead = new RunAhead();
    ahead.captured(1, 1000);
    ends(ahead, 1, 8, 1);
    expect(ahead.completed(1)).toBe(0);
    expect(ahead.completed(1)).toBeUndefined();
    expect(ends(ahead, 1, 8, 1)).toEqual([]);
  });
});
