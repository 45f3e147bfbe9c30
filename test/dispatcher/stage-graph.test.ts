import { expect, test } from 'vitest';
import { StageGraph } from '../../src/dispatcher/stage-graph.ts';

const stage = (stageId: number, parents: number[], tasksRemaining = 1, meanMs = 10) => ({ stageId, parents, tasksRemaining, meanMs });

test('the rank of a stage is its work and that of the longest way to the end', () => {
  const graph = new StageGraph();
  for (const one of [stage(0, [], 2), stage(1, [], 1, 100), stage(2, [0]), stage(3, [1, 2], 3)]) graph.set(one);
  expect([0, 1, 2, 3].map((id) => graph.rank(id, 1))).toEqual([60, 130, 40, 30]);
  expect(graph.rank(99, 1)).toBe(0);
});

test('with slots enough, a wide stage takes no longer than one of its tasks', () => {
  const graph = new StageGraph();
  for (const one of [stage(0, [], 1000, 10), stage(1, [], 1, 100), stage(2, [0, 1], 4, 10)]) graph.set(one);
  expect([0, 1, 2].map((id) => graph.rank(id, 1))).toEqual([10_040, 140, 40]);
  expect([0, 1, 2].map((id) => graph.rank(id, 200))).toEqual([60, 110, 10]);
});

test('stages may be told in any order, change and end', () => {
  const graph = new StageGraph();
  graph.set(stage(3, [2]));
  graph.set(stage(2, [1, 1]));
  graph.set(stage(1, []));
  expect(graph.rank(1, 1)).toBe(30);
  graph.set(stage(2, [1], 5));
  expect(graph.rank(1, 1)).toBe(70);
  expect(graph.get(2)).toMatchObject({ tasksRemaining: 5, tasks: 5 });
  graph.set(stage(2, [1], 2));
  expect(graph.get(2)?.tasks).toBe(5);
  graph.set(stage(1, [], 0));
  expect(graph.get(1)).toBeUndefined();
  expect(graph.rank(2, 1)).toBe(30);
  graph.set(stage(3, [], 0));
  graph.set(stage(2, [], 0));
  expect(graph.size).toBe(0);
});

test('a row of 10,000 stages is ranked without recursion, and a circle ends', () => {
  const graph = new StageGraph();
  for (let id = 0; id < 10_000; id++) graph.set(stage(id, id === 0 ? [] : [id - 1]));
  expect(graph.rank(0, 1)).toBe(100_000);
  graph.set(stage(0, [9999]));
  expect(graph.rank(0, 1)).toBe(10);
});

test('stages that cannot be are refused', () => {
  const graph = new StageGraph();
  for (const bad of [
    stage(1, [], -1),
    stage(1, [], NaN),
    stage(1, [], 1, -1),
    stage(
      1,
      Array.from({ length: 10_001 }, (_, i) => i),
    ),
  ]) {
    expect(() => graph.set(bad)).toThrow(expect.objectContaining({ code: 'SP_DISPATCHER_BAD_STAGE' }));
  }
});
