import { afterEach, expect, test } from 'vitest';
import type { StageInfo } from '../../src/protocol/application.ts';
import { stageFeed } from '../../src/reschedule/stage-feed.ts';
import { SparkContext } from '../../src/scheduler/index.ts';

let sc: SparkContext | undefined;
afterEach(async () => {
  await sc?.stop();
  sc = undefined;
});

function fed(always = false): { readonly context: SparkContext; readonly told: StageInfo[][] } {
  const context = (sc = new SparkContext({ 'spark.app.name': 'feed', 'spark.master': 'local[2]' }));
  const told: StageInfo[][] = [];
  context.addSparkListener(stageFeed((stages) => void told.push([...stages]), always));
  return { context, told };
}

test('the graph of a job is told before its tasks, and each stage again when it has ended', async () => {
  const { context, told } = fed();
  const job = (): Promise<unknown> =>
    context
      .range(0, 40, 1, 4)
      .map((x): [number, number] => [x % 3, x])
      .reduceByKey((a, b) => a + b, 2)
      .collect();
  await job();
  const [first = []] = told;
  expect(first).toHaveLength(2);
  const [map, reduce] = first.toSorted((a, b) => a.stageId - b.stageId) as [StageInfo, StageInfo];
  expect(map).toMatchObject({ parents: [], tasks: 4, tasksRemaining: 4, meanMs: 0 });
  expect(reduce).toMatchObject({ parents: [map.stageId], tasks: 2, tasksRemaining: 2 });
  const ended = told.flat().filter(({ tasksRemaining }) => tasksRemaining === 0);
  expect(ended.map(({ stageId }) => stageId).sort()).toEqual([map.stageId, reduce.stageId].sort());
  // The same lines of the program again: how long their tasks took is known.
  const before = told.length;
  await job();
  expect(told[before]?.every(({ meanMs }) => meanMs > 0)).toBe(true);
});

test('jobs of one stage have no graph to tell, unless their tasks are counted', async () => {
  const quiet = fed();
  await quiet.context.range(0, 10, 1, 2).collect();
  expect(quiet.told).toEqual([]);
  await quiet.context.stop();
  const counted = fed(true);
  await counted.context.range(0, 10, 1, 2).collect();
  expect(counted.told[0]).toMatchObject([{ tasks: 2, tasksRemaining: 2 }]);
});
