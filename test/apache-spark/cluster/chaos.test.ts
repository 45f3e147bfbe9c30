import { afterAll, beforeAll, expect, test } from 'vitest';
import { SPARK_FAULTS, SparkChaos } from '../../chaos/spark.ts';
import { describeWith } from '../../support/requires.ts';

const LIMIT = 900_000;

describeWith(['java', 'maven', 'python', 'spark', 'redis'], 'a Spark application lives on, its results right and its tasks out again', () => {
  let chaos: SparkChaos;
  beforeAll(async () => {
    chaos = await SparkChaos.start();
  }, LIMIT);
  afterAll(() => chaos.stop(), LIMIT);

  const how = { executor: 'an external executor', worker: 'a worker', dispatcher: 'the dispatcher', broker: 'the broker' };
  test.each(SPARK_FAULTS.map((fault) => [how[fault], fault] as const))(
    'when %s is killed in mid-job',
    async (_, fault) => {
      try {
        await chaos.strike(fault);
      } catch (error) {
        throw new Error(`${(error as Error).message}\n${chaos.story()}`, { cause: error });
      }
    },
    LIMIT,
  );

  test(
    'and it ends well, most of its tasks outside',
    async () => {
      const { tasks, inside } = await chaos.finish();
      expect(inside).toBeLessThan(tasks / 2);
    },
    LIMIT,
  );
});
