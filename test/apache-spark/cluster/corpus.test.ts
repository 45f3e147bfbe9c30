import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { sharedRabbitmq } from '../../support/rabbitmq.ts';
import { startRedis } from '../../support/redis.ts';
import { describeWith } from '../../support/requires.ts';
import { AGENT_JAR, CORPUS, insideTasks, sparkHome, startStandalone, submitApplication, type EventLog, type SparkCluster } from '../../support/spark.ts';
import { startOutside, type OutsideOptions } from '../../support/spark-outside.ts';

const NAMES = ['joins', 'sorts', 'caching', 'skew', 'failures', 'shared', 'udfs', 'results', 'cancel', 'queries', 'ahead'];
/** `npm run test:spark` runs all applications in every way; the default run a few in each. */
const full = process.env['SPARK_SUITE'] === 'full';
const MINUTES = 60_000;
const LIMIT = 8 * MINUTES;

/** What they print on Apache Spark alone, by application (DONE lines of all.py); the first test below compares it. */
const expected = new Map<string, string[]>();
for (const line of readFileSync(join(CORPUS, 'expected.txt'), 'utf8').trimEnd().split('\n')) {
  const at = line.indexOf(' ');
  const name = line.slice(0, at);
  expected.set(name, [...(expected.get(name) ?? []), line.slice(at + 1)]);
}
const expectedOf = (names: readonly string[]): string[] => names.flatMap((name) => expected.get(name) as string[]);
const application = (names: readonly string[]): string[] => [join(CORPUS, 'all.py'), ...names];

describeWith(['java', 'maven', 'python', 'spark'], 'unmodified applications', () => {
  let cluster: SparkCluster;
  beforeAll(async () => {
    cluster = await startStandalone();
  }, 4 * MINUTES);
  afterAll(() => cluster.stop());

  /** All results are those of Apache Spark alone, and Spark's own record names no executor of its own. */
  async function runsOutside(names: readonly string[], options: OutsideOptions): Promise<EventLog> {
    const outside = await startOutside(options);
    try {
      const { results, log } = await submitApplication({ master: cluster.master, conf: outside.conf, application: application(names) }).result();
      expect(results).toEqual(expectedOf(names));
      expect(insideTasks(log)).toEqual([]);
      expect(log.tasks.length).toBeGreaterThan(0);
      const [known] = await outside.applications();
      expect(known?.figures).toMatchObject({ endedInside: 0, endedOutside: log.tasks.length });
      expect(known?.figures.workers.map(({ captured }) => captured).reduce((a, b) => a + b, 0)).toBe(known?.figures.captured);
      return log;
    } finally {
      await outside.stop();
    }
  }

  test.skipIf(!full)(
    'print what is expected on Apache Spark alone',
    async () => {
      const { results, log } = await submitApplication({ master: cluster.master, application: application(NAMES) }).result();
      expect(results).toEqual(expectedOf(NAMES));
      expect(insideTasks(log)).toHaveLength(log.tasks.length);
    },
    LIMIT,
  );

  test(
    'give the same results outside, over tcp, short tasks being launched ahead',
    async () => {
      const { tasks } = await runsOutside(full ? NAMES : ['failures', 'shared', 'udfs', 'ahead'], {});
      const launchedAt = (time: number): number => tasks.filter(({ launched, finished }) => launched <= time && time < finished).length;
      expect(Math.max(...tasks.map(({ launched }) => launchedAt(launched)))).toBeGreaterThan(5);
    },
    LIMIT,
  );

  test.skipIf(!full)('give the same results on two workers', async () => void (await runsOutside(NAMES, { workers: 2, slots: 1 })), LIMIT);

  describeWith(['redis'], 'over Redis', () => {
    // By default chaos.test.ts goes over Redis.
    test.skipIf(!full)(
      'give the same results',
      async () => {
        const redis = await startRedis();
        try {
          await runsOutside(NAMES, { url: redis.url });
        } finally {
          await redis.stop();
        }
      },
      LIMIT,
    );
  });

  describeWith(['rabbitmq'], 'over RabbitMQ', () => {
    test('give the same results', async () => void (await runsOutside(full ? NAMES : ['shared'], { url: await sharedRabbitmq() })), LIMIT);
  });

  test(
    "Spark's own pi.py by spark-submit, with nothing but -javaagent in spark-defaults.conf",
    async () => {
      const conf = mkdtempSync(join(tmpdir(), 'spark-proxy-conf-'));
      const outside = await startOutside();
      try {
        writeFileSync(join(conf, 'spark-defaults.conf'), `spark.driver.defaultJavaOptions -javaagent:${AGENT_JAR}\n`);
        writeFileSync(join(conf, 'common.properties'), `spark.proxy.dispatcher = ${outside.agent}\n`);
        const pi = join(sparkHome(), 'examples', 'src', 'main', 'python', 'pi.py');
        const { stdout, log } = await submitApplication({ master: cluster.master, env: { SPARK_CONF_DIR: conf }, application: [pi, '6'] }).result();
        expect(stdout).toMatch(/^Pi is roughly 3\.1\d+$/m);
        expect(log.tasks).toHaveLength(6);
        expect(insideTasks(log)).toEqual([]);
      } finally {
        await outside.stop();
        rmSync(conf, { recursive: true });
      }
    },
    LIMIT,
  );
});
