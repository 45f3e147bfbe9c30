/** No-op SQL tasks on Apache Spark, native and re-routed alternating in one run, each driver with its own executor of two cores. */
import { fileURLToPath } from 'node:url';
import { COMPONENTS } from '../../tools/components.ts';
import { startRedis, type RedisServer } from '../../test/support/redis.ts';
import { sparkEnvironment, startStandalone, type SparkCluster } from '../../test/support/spark.ts';
import { startOutside, type Outside } from '../../test/support/spark-outside.ts';
import { pysparkEnvironment } from '../support/peers.ts';
import { compare, median, rounded, type BenchOptions, type Row } from '../support/row.ts';
import { Subject } from '../support/subject.ts';

const BENCH = 'apache-spark';
const PROGRAM = fileURLToPath(new URL('noop.py', import.meta.url));
const TASKS = 2000;
const CORES = 2;
/** Jobs until the just-in-time compilers of driver and executor have settled. */
const WARM_UP = 5;
const ROUNDS = 6;
const QUICK = { warmUp: 4, rounds: 3 };
const TIMEOUT_MS = 300_000;
const TARGET = { tcp: 0.95, redis: 0.9 };

interface Way {
  readonly name: string;
  readonly target: number | undefined;
  readonly subject: Subject;
  readonly ms: number[];
}

function driver(name: string, cluster: SparkCluster, conf: Readonly<Record<string, string>>): Subject {
  const settings = {
    'spark.ui.enabled': 'false',
    'spark.driver.host': '127.0.0.1',
    'spark.cores.max': String(CORES),
    'spark.executor.memory': '1g',
    'spark.driver.memory': '1g',
    ...conf,
  };
  // Not by spark-submit, which gives a Python program no standard input; and the arguments are split as a shell would.
  const flags = Object.entries(settings).map(([key, value]) => `--conf '${key}=${value}'`);
  const python = COMPONENTS.python.find() as string;
  const env = {
    ...sparkEnvironment(cluster.home),
    ...pysparkEnvironment(python),
    SPARK_HOME: cluster.home,
    PYSPARK_SUBMIT_ARGS: `--master ${cluster.master} ${flags.join(' ')} pyspark-shell`,
  };
  return new Subject(name, { command: python, args: [PROGRAM, String(TASKS)], env }, TIMEOUT_MS);
}

export async function run({ quick }: BenchOptions): Promise<readonly Row[]> {
  const lacking = [COMPONENTS.java, COMPONENTS.maven, COMPONENTS.python, COMPONENTS.spark].filter((component) => component.find() === undefined);
  if (lacking.length > 0) {
    const what = `install ${lacking.map(({ name }) => name).join(', ')} (npm run services)`;
    return [{ bench: BENCH, case: `${TASKS} no-op SQL tasks`, unit: 'tasks/s', missing: what }];
  }
  const { warmUp, rounds } = quick ? QUICK : { warmUp: WARM_UP, rounds: ROUNDS };
  const withRedis = COMPONENTS.redis.find() !== undefined;
  const ends: (() => Promise<void>)[] = [];
  try {
    const cluster = await startStandalone({ cores: CORES * 3, memory: '4g' });
    ends.push(cluster.stop);
    const tcp = await startOutside({ slots: CORES });
    ends.push(tcp.stop);
    const ways: Way[] = [{ name: 'native', target: undefined, subject: driver('native', cluster, {}), ms: [] }];
    const add = (name: string, target: number, outside: Outside): void => {
      ways.push({ name, target, subject: driver(name, cluster, outside.conf), ms: [] });
    };
    add('re-routed over tcp', TARGET.tcp, tcp);
    if (withRedis) {
      const redis: RedisServer = await startRedis();
      ends.push(redis.stop);
      const outside = await startOutside({ slots: CORES, url: redis.url });
      ends.push(outside.stop);
      add('re-routed over Redis', TARGET.redis, outside);
    }
    for (const { subject } of ways) ends.push(() => subject.close());
    for (const { subject } of ways) await subject.mark();
    for (let round = -warmUp; round < rounds; round++) {
      // Whoever comes first in a round comes last in the next.
      for (const way of round % 2 === 0 ? ways : ways.toReversed()) {
        const ms = Number((await way.subject.ask('run')).split(' ')[1]);
        if (round >= 0) way.ms.push(ms);
      }
    }
    const [native] = ways as [Way];
    const rows = ways.map((way): Row => {
      const rate = (TASKS * 1000) / median(way.ms);
      const row = { bench: BENCH, case: `${TASKS} no-op SQL tasks, ${way.name}`, unit: 'tasks/s', value: rounded(rate) };
      if (way.target === undefined) return row;
      // Each round against the native job of the same round, so that what slows both does not count.
      const ratio = median(way.ms.map((ms, i) => (native.ms[i] as number) / ms));
      return { ...row, ...compare(ratio, 1, 'native', { atLeast: way.target }) };
    });
    if (!withRedis)
      rows.push({ bench: BENCH, case: `${TASKS} no-op SQL tasks, re-routed over Redis`, unit: 'tasks/s', missing: 'install Redis (npm run services)' });
    return rows;
  } finally {
    for (const end of ends.toReversed()) await end();
  }
}
