import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeWith } from '../support/requires.ts';
import { CORPUS, insideTasks, startStandalone, submitApplication, type SparkCluster } from '../support/spark.ts';

const expected = readFileSync(join(CORPUS, 'expected.txt'), 'utf8').trimEnd().split('\n');
/** With `npm run test:spark`, all applications; else those that start soonest. */
const ALL = ['joins', 'sorts', 'caching', 'skew', 'failures', 'shared', 'udfs', 'results', 'cancel', 'queries'];
const full = process.env['SPARK_SUITE'] === 'full';

describeWith(['java', 'python', 'spark'], 'applications of the corpus', () => {
  let cluster: SparkCluster;
  beforeAll(async () => {
    cluster = await startStandalone();
  }, 120_000);
  afterAll(() => cluster.stop());

  test.skipIf(!full)(
    'print what is expected on Apache Spark alone',
    async () => {
      const { results, log } = await submitApplication({ master: cluster.master, application: [join(CORPUS, 'all.py'), ...ALL] }).result();
      expect(results).toEqual(expected);
      expect(insideTasks(log)).toHaveLength(log.tasks.length);
    },
    300_000,
  );
});
