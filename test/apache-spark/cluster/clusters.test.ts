/** Other clusters, other versions, and encryption; all of `npm run test:spark` only. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { expect, test } from 'vitest';
import { newKeyLine } from '../../../src/security/index.ts';
import { fetchSpark, SPARK_COMPATIBILITY } from '../../../tools/spark.ts';
import { findCeleborn, startCeleborn, type CelebornFiles } from '../../support/celeborn.ts';
import { startRedis } from '../../support/redis.ts';
import { describeWith } from '../../support/requires.ts';
import {
  AGENT_JAR,
  CORPUS,
  insideTasks,
  sparkHome,
  startStandalone,
  submitApplication,
  type ApplicationResult,
  type SparkCluster,
} from '../../support/spark.ts';
import { startOutside, type Outside } from '../../support/spark-outside.ts';
import { startYarn } from '../../support/yarn.ts';

const full = process.env['SPARK_SUITE'] === 'full';
const LIMIT = 900_000;
const NEEDED = ['java', 'maven', 'python', 'spark'] as const;
const pi = (home: string): string => join(home, 'examples', 'src', 'main', 'python', 'pi.py');

function ranOutside({ stdout, log }: ApplicationResult, tasks?: number): void {
  expect(stdout).toMatch(/^Pi is roughly 3\.1\d+$/m);
  if (tasks !== undefined) expect(log.tasks).toHaveLength(tasks);
  expect(insideTasks(log)).toEqual([]);
}

describeWith(NEEDED, 'on YARN', () => {
  test.skipIf(!full)(
    'an application in client mode runs outside, the dispatcher named in common.properties of HADOOP_CONF_DIR',
    async () => {
      const yarn = await startYarn();
      const outside = await startOutside();
      try {
        writeFileSync(join(yarn.conf, 'common.properties'), `spark.proxy.dispatcher = ${outside.agent}\n`);
        const conf = {
          'spark.driver.defaultJavaOptions': `-javaagent:${AGENT_JAR}`,
          'spark.yarn.jars': `local:${sparkHome()}/jars/*`,
          'spark.executor.instances': '1',
          'spark.executor.cores': '2',
          'spark.yarn.am.memory': '300m',
        };
        ranOutside(await submitApplication({ master: 'yarn', env: { HADOOP_CONF_DIR: yarn.conf }, conf, application: [pi(sparkHome()), '20'] }).result(), 20);
      } finally {
        await outside.stop();
        await yarn.stop();
      }
    },
    LIMIT,
  );
});

describeWith(NEEDED, 'an executor that dies', () => {
  test.skipIf(!full)(
    'is gone for Spark as soon as its worker sees it, however long Spark itself would wait',
    async () => {
      const cluster = await startStandalone();
      const outside = await startOutside();
      const conf = { ...outside.conf, 'spark.standalone.executorRemoveDelayOnDisconnection': '1000s' };
      const application = submitApplication({ master: cluster.master, conf, application: [join(CORPUS, 'slow.py'), '.'] });
      try {
        const runs = (task: number): boolean => existsSync(join(application.directory, `runs.${task}`));
        await expect.poll(() => runs(1) && runs(2), { timeout: 120_000, interval: 50 }).toBe(true);
        process.kill(outside.executorPids()[0] as number, 'SIGKILL');
        await application.printed(/^RESULT sum 3$/m, 120_000);
        const { log } = await application.result();
        expect(log.removed.filter((id) => log.executors.get(id)?.external === true)).toHaveLength(1);
        expect(log.tasks.filter(({ ok }) => ok)).toHaveLength(2);
      } finally {
        await application.stop();
        await outside.stop();
        await cluster.stop();
      }
    },
    LIMIT,
  );
});

describeWith([...NEEDED, 'redis'], 'with spark.authenticate and encryption of the network', () => {
  test.skipIf(!full)(
    'external executors get the secret, sealed: no command line, log or broker shows it, and the application runs outside',
    async () => {
      const directory = mkdtempSync(join(tmpdir(), 'spark-proxy-key-'));
      const key = join(directory, 'key');
      writeFileSync(key, `${newKeyLine('test')}\n`, { mode: 0o600 });
      const secret = 'only-of-this-test';
      const redis = await startRedis();
      const client = new Redis(redis.url);
      const watching = await client.monitor();
      client.disconnect();
      const onBroker: string[] = [];
      watching.on('monitor', (_time: string, args: readonly string[]) => onBroker.push(args.join(' ')));
      let cluster: SparkCluster | undefined;
      let outside: Outside | undefined;
      try {
        cluster = await startStandalone({ conf: { 'spark.authenticate': 'true', 'spark.authenticate.secret': secret } });
        outside = await startOutside({ url: redis.url, settings: { 'key.file': key } });
        const secure = { 'spark.authenticate': 'true', 'spark.network.crypto.enabled': 'true', 'spark.io.encryption.enabled': 'true' };
        const lines = { ...secure, 'spark.authenticate.secret': secret, 'spark.proxy.key.file': key };
        writeFileSync(
          join(directory, 'spark-defaults.conf'),
          Object.entries(lines)
            .map(([name, value]) => `${name} ${value}\n`)
            .join(''),
        );
        const application = submitApplication({
          master: cluster.master,
          conf: outside.conf,
          env: { SPARK_CONF_DIR: directory },
          application: [join(CORPUS, 'all.py'), 'shared', 'udfs'],
        });
        await expect.poll(() => outside?.executorPids().length, { timeout: LIMIT, interval: 50 }).toBe(1);
        const commandLine = execFileSync('ps', ['-ww', '-o', 'args=', '-p', String(outside.executorPids()[0])], { encoding: 'utf8' });
        expect(commandLine).toContain('CoarseGrainedExecutorBackend');
        expect(commandLine).toContain('-Dspark.network.crypto.enabled=true');
        const { results, log, stdout, stderr } = await application.result();
        expect(results.length).toBeGreaterThan(5);
        expect(insideTasks(log)).toEqual([]);
        const said = [outside.dispatcher, ...outside.workers].map(({ output }) => output.stdout + output.stderr);
        expect(onBroker.length).toBeGreaterThan(100);
        for (const text of [commandLine, stdout, stderr, ...said, onBroker.join('\n')]) expect(text).not.toContain(secret);
      } finally {
        watching.disconnect();
        await outside?.stop();
        await cluster?.stop();
        await redis.stop();
        rmSync(directory, { recursive: true });
      }
    },
    LIMIT,
  );
});

describeWith(NEEDED, 'every Spark that the agent is for, with the same jar', () => {
  test.skipIf(!full)(
    'applications of all versions run side by side on one worker',
    async () => {
      const homes = SPARK_COMPATIBILITY.map((version) => fetchSpark(version));
      const outside = await startOutside({ homes });
      const clusters: SparkCluster[] = [];
      try {
        for (const home of homes) clusters.push(await startStandalone({ home }));
        const application = (home: string): string[] => [pi(home), '8'];
        const started = clusters.map(({ master, home }) => submitApplication({ master, home, conf: outside.conf, application: application(home) }).result());
        for (const result of await Promise.all(started)) ranOutside(result, 8);
        expect((await outside.applications()).map(({ sparkVersion }) => sparkVersion).toSorted()).toEqual(SPARK_COMPATIBILITY.toSorted());
      } finally {
        await outside.stop();
        for (const cluster of clusters) await cluster.stop();
      }
    },
    LIMIT,
  );

  test.skipIf(!full)(
    'an application whose Spark no worker has runs inside',
    async () => {
      const outside = await startOutside({ homes: [fetchSpark('3.5.9')], expected: 0 });
      const cluster = await startStandalone();
      try {
        const { log } = await submitApplication({ master: cluster.master, conf: outside.conf, application: [pi(sparkHome()), '4'] }).result();
        expect(insideTasks(log)).toHaveLength(4);
      } finally {
        await outside.stop();
        await cluster.stop();
      }
    },
    LIMIT,
  );
});

const celeborn = findCeleborn();
if (celeborn === undefined) console.warn('\n!!! SKIPPED: remote shuffle by Celeborn: name its directory in CELEBORN_HOME\n');
describeWith(NEEDED, 'with Celeborn as remote shuffle service', () => {
  test.skipIf(!full || celeborn === undefined)(
    'shuffle data lies in Celeborn, and an external executor killed between map and reduce costs no map stage',
    async () => {
      const cluster = await startStandalone();
      const service = await startCeleborn(celeborn as CelebornFiles);
      const outside = await startOutside({ workers: 2, slots: 1 });
      const application = submitApplication({
        master: cluster.master,
        conf: { ...outside.conf, ...service.conf },
        application: [join(CORPUS, 'moves.py'), '.'],
      });
      const open = (gate: string): void => writeFileSync(join(application.directory, `go.${gate}`), '');
      try {
        await application.printed(/^WAIT map$/m, LIMIT);
        open('map');
        await application.printed(/^WAIT reduce$/m, LIMIT);
        expect(service.shuffleFiles().length).toBeGreaterThan(0);
        const [victim] = outside.executorPids();
        process.kill(victim as number, 'SIGKILL');
        open('reduce');
        await application.printed(/^WAIT more$/m, LIMIT);
        open('more');
        const { results, log } = await application.result();
        expect(results[0]).toBe('mapped 13');
        expect(results.find((line) => line.startsWith('cached'))).toBe(`cached ${1999 * 1000}`);
        expect(insideTasks(log)).toEqual([]);
        expect(log.removed.filter((id) => log.executors.get(id)?.external === true)).not.toEqual([]);
        // Neither a second attempt of the map stage nor a map task that ran again after it had ended well.
        expect(log.stages.filter((stage) => stage.startsWith('0.'))).toEqual(['0.0']);
        expect(log.tasks.filter(({ stage, ok }) => stage === 0 && ok)).toHaveLength(4);
      } finally {
        await application.stop();
        await outside.stop();
        await service.stop();
        await cluster.stop();
      }
    },
    LIMIT,
  );
});
