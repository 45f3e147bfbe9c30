import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { sparkLabels, type SparkAsk } from '../../src/apache-spark/announcement.ts';
import { difference } from '../../src/apache-spark/differences.ts';
import { executorCommand, executorMemory, sparkMiB, splitOptions } from '../../src/apache-spark/executor-command.ts';
import { createSparkRunner, inspectHome, type SparkRunner, type SparkRunnerOptions } from '../../src/apache-spark/index.ts';
import { sealForWorkers, openForWorker } from '../../src/apache-spark/secret.ts';
import { newKeyLine, parseKeyRing } from '../../src/security/index.ts';
import { fittingVersion, parseVersionsLabel, versionsLabel } from '../../src/apache-spark/versions.ts';
import type { TaskDescription } from '../../src/protocol/task.ts';

const PROGRAM = fileURLToPath(new URL('./executor-program.ts', import.meta.url));

const ask = (application: string, more: Partial<SparkAsk> = {}): SparkAsk => ({
  application,
  sparkId: application,
  driverUrl: 'spark://CoarseGrainedScheduler@127.0.0.1:1',
  sparkVersion: '4.0.1',
  scalaVersion: '2.13.16',
  mode: 'external',
  settings: { 'spark.executor.memory': '600m' },
  sealedSecret: '',
  authenticated: false,
  ...more,
});

const joined = (one: SparkAsk, running = 0) =>
  ({
    type: 'joined',
    entry: { kind: 'application', id: one.application, host: '', pid: 1, version: '', slots: 0, kinds: ['spark'], labels: sparkLabels(one), queue: '' },
    load: { running, queued: 0, draining: false },
  }) as const;

const beat = (id: string, running: number) => ({ type: 'beat', id, load: { running, queued: 0, draining: false } }) as const;

const task = (taskId: number, executorId: string): TaskDescription => {
  const payload = Buffer.alloc(8);
  payload.writeBigInt64BE(BigInt(taskId));
  const name = `task ${taskId}.0 in stage 0.0`;
  return {
    taskId,
    attemptNumber: 0,
    executorId,
    name,
    index: 0,
    stageId: 0,
    stageAttemptNumber: 0,
    kind: 'spark',
    commons: [],
    payload,
    preferredLocations: [],
    timeoutMs: 0,
  };
};

const BLOBS = (hash: string): Uint8Array => Buffer.from(hash);

let directory: string;
let javaHome: string | undefined;
let runner: SparkRunner | undefined;

const until = async (what: () => boolean, message: string): Promise<void> => {
  const deadline = Date.now() + 30_000;
  while (!what()) {
    if (Date.now() > deadline) throw new Error(message);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
};

function makeHome(name: string, jar: string): string {
  const home = join(directory, name);
  mkdirSync(join(home, 'jars'), { recursive: true });
  writeFileSync(join(home, 'jars', jar), '');
  return home;
}

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'spark-proxy-runner-'));
  // Every executor is a program that speaks the link as the agent does: this is about the worker's side.
  const bin = join(directory, 'java', 'bin');
  mkdirSync(bin, { recursive: true });
  writeFileSync(join(bin, 'java'), `#!/bin/sh\nexec "${process.execPath}" "${PROGRAM}" "$@"\n`);
  chmodSync(join(bin, 'java'), 0o755);
  javaHome = process.env['JAVA_HOME'];
  process.env['JAVA_HOME'] = join(directory, 'java');
});

afterEach(async () => {
  await runner?.close();
  runner = undefined;
  if (javaHome === undefined) delete process.env['JAVA_HOME'];
  else process.env['JAVA_HOME'] = javaHome;
  rmSync(directory, { recursive: true, force: true });
});

async function start(more: Partial<SparkRunnerOptions> = {}): Promise<SparkRunner> {
  const installations = [inspectHome(makeHome('spark-4', 'spark-core_2.13-4.0.1.jar')), inspectHome(makeHome('spark-3', 'spark-core_2.12-3.5.9.jar'))];
  const work = join(directory, 'work');
  runner = await createSparkRunner({
    workerId: 'w1',
    slots: 2,
    memoryMiB: 4096,
    host: '127.0.0.1',
    directory: work,
    installations,
    idleMs: 0,
    agent: 'agent.jar',
    ...more,
  });
  return runner;
}

/** Runs it as soon as its executor is linked. */
async function runSoon(one: SparkRunner, taskId: number, executorId: () => string): Promise<unknown> {
  for (let i = 0; ; i++) {
    try {
      return await one.run(task(taskId, executorId()), BLOBS);
    } catch (error) {
      if (i > 1000 || !/is not here/.test((error as Error).message)) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

describe('a worker with Apache Spark', () => {
  test('starts an executor for an application, runs its tasks, and starts another under a new id when it dies', async () => {
    const one = await start();
    one.applicationEvent(joined(ask('app-1'), 1));
    const first = one.executors()[0]?.executorId as string;
    expect(Number(first)).toBeGreaterThan(900_000_000);
    expect(await runSoon(one, 1, () => first)).toHaveLength(0);
    await expect(one.run(task(13, first), BLOBS)).rejects.toThrow(/task 13.0 in stage 0.0 ended as FAILED/);
    const dying = one.run(task(66, first), BLOBS);
    await expect(dying).rejects.toThrow(/has ended/);
    await until(() => one.executors().length === 1 && one.executors()[0]?.executorId !== first, 'no other executor was started');
    const second = one.executors()[0]?.executorId as string;
    await runSoon(one, 2, () => second);
    await expect(one.run(task(3, first), BLOBS)).rejects.toThrow(/has ended/);
  });

  test('runs no more tasks at a time than it has slots, whosever they are', async () => {
    const one = await start({ slots: 1 });
    for (const name of ['app-1', 'app-2']) one.applicationEvent(joined(ask(name), 1));
    const [id, other] = one.executors().map(({ executorId }) => executorId) as [string, string];
    await runSoon(one, 1, () => id);
    await runSoon(one, 3, () => other);
    const held = one.run(task(77, id), BLOBS);
    const order: number[] = [];
    const waiting = one.run(task(2, other), BLOBS).then(() => order.push(2));
    // Not ahead of what waits for another application.
    const dropped = task(4, id);
    const refused = one.run(dropped, BLOBS);
    one.kill(dropped, 'no more');
    await expect(refused).rejects.toThrow(/ended as KILLED/);
    expect(order).toEqual([]);
    expect(one.executors().map(({ tasks }) => tasks)).toEqual([1, 0]);
    writeFileSync(join(directory, 'release'), '');
    await held;
    await waiting;
    expect(order).toEqual([2]);
  });

  test('an executor that has the worker to itself is given more, up to a limit, and told how many of them to run at once', async () => {
    const one = await start({ slots: 4 });
    one.applicationEvent(joined(ask('app-1', { settings: { 'spark.executor.memory': '600m', 'spark.task.cpus': '2' } }), 1));
    const id = one.executors()[0]?.executorId as string;
    await runSoon(one, 1, () => id);
    const held = Array.from({ length: 4 }, (_, i) => one.run(task(1000 + i, id), BLOBS));
    expect(one.executors()[0]?.tasks).toBe(4);
    const more = Array.from({ length: 200 }, (_, i) => one.run(task(2000 + i, id), BLOBS));
    const given = one.executors()[0]?.tasks as number;
    expect(given).toBeGreaterThan(16);
    expect(given).toBeLessThanOrEqual(one.capacity as number);
    expect(readFileSync(join(directory, 'work', `app-1-${id}`, 'most'), 'utf8')).toBe('2');
    writeFileSync(join(directory, 'release'), '');
    await Promise.all([...held, ...more]);
    expect(one.executors()[0]?.tasks).toBe(0);
  });

  test('a task that is told by its base reaches its executor whole, and one that is told wrongly ends alone', async () => {
    const one = await start();
    one.applicationEvent(joined(ask('app-1'), 1));
    const id = one.executors()[0]?.executorId as string;
    await runSoon(one, 1, () => id);
    const whole = (taskId: number): Buffer => Buffer.concat([task(taskId, id).payload, Buffer.from(' in common'.repeat(20))]);
    const payload = difference(whole(2), whole(3)) as Buffer;
    const based = (told: Uint8Array) => one.run({ ...task(3, id), payload: told, commons: ['base'] }, () => whole(2));
    expect(await based(payload)).toHaveLength(0);
    await expect(based(Buffer.alloc(12, 1))).rejects.toThrow(/malformed/);
    expect(one.executors()[0]?.tasks).toBe(0);
    const seen = readFileSync(join(directory, 'work', `app-1-${id}`, 'tasks'), 'utf8').split('\n');
    expect(seen).toEqual(['1', `3${' in common'.repeat(20)}`, '']);
  });

  test('stops an executor whose application idles, and starts one again with its next job', async () => {
    const one = await start({ idleMs: 50 });
    one.applicationEvent(joined(ask('app-1')));
    const id = one.executors()[0]?.executorId;
    await until(() => one.executors().length === 0, 'it was not stopped');
    one.applicationEvent(beat('app-1', 1));
    expect(one.executors()[0]?.executorId).not.toBe(id);
  });

  test('makes room for another application where one idles, and refuses what does not fit', async () => {
    const one = await start({ memoryMiB: 1200 });
    one.applicationEvent(joined(ask('app-1')));
    one.applicationEvent(joined(ask('app-2'), 1));
    await until(() => one.executors().every(({ application }) => application === 'app-2'), 'the idle executor stayed');
    one.applicationEvent(joined(ask('app-3'), 1));
    expect(one.executors().map(({ application }) => application)).toEqual(['app-2']);
  });

  test('starts nothing for a version it lacks, a mode internal, or a secret it cannot open', async () => {
    const one = await start();
    one.applicationEvent(joined(ask('app-1', { sparkVersion: '3.4.0' }), 1));
    one.applicationEvent(joined(ask('app-2', { mode: 'internal' }), 1));
    one.applicationEvent(joined(ask('app-3', { authenticated: true }), 1));
    expect(one.executors()).toEqual([]);
  });

  test('keeps its executor while only the dispatcher is gone, and cleans up when the driver is', async () => {
    const one = await start({ lingerMs: 60_000 });
    one.applicationEvent(joined(ask('app-1'), 1));
    const id = one.executors()[0]?.executorId as string;
    await runSoon(one, 1, () => id);
    one.applicationEvent({ type: 'left', id: 'app-1', reason: 'expired' });
    expect(await one.run(task(2, id), BLOBS)).toHaveLength(0);
    one.applicationEvent(joined(ask('app-1'), 1));
    expect(one.executors().map(({ executorId }) => executorId)).toEqual([id]);
    one.applicationEvent({ type: 'left', id: 'app-1', reason: 'left' });
    // Spark's executor ends with its driver.
    await expect(one.run(task(66, id), BLOBS)).rejects.toThrow(/has ended/);
    await until(() => one.executors().length === 0 && readdirSync(join(directory, 'work')).length === 0, 'something stayed');
  });

  test('gives the secret of an application in the environment only', async () => {
    const ring = parseKeyRing(newKeyLine('one'), 'the test');
    const one = await start({ unseal: (sealed, application) => openForWorker(sealed, application, ring) });
    one.applicationEvent(joined(ask('app-1', { authenticated: true, sealedSecret: sealForWorkers('hush', 'app-1', ring) }), 1));
    const id = one.executors()[0]?.executorId as string;
    await runSoon(one, 1, () => id);
    const [seen] = [JSON.parse(readFileSync(join(directory, 'work', `app-1-${id}`, 'seen.json'), 'utf8')) as { args: string[]; secret: string; home: string }];
    expect(seen.secret).toBe('hush');
    expect(seen.args.join(' ')).not.toContain('hush');
    expect(seen.home).toBe(join(directory, 'spark-4'));
  });
});

describe('versions and commands', () => {
  test('the same version is taken, else one of the same line, never another Scala', () => {
    const installed = parseVersionsLabel('4.0.1/2.13,4.0.3/2.13,3.5.9/2.12,3.5.9/2.13');
    expect(fittingVersion(installed, '4.0.3', '2.13.16')?.version).toBe('4.0.3');
    expect(fittingVersion(installed, '4.0.9', '2.13.16')?.version).toBe('4.0.1');
    expect(fittingVersion(installed, '3.5.9', '2.13.8')?.scala).toBe('2.13');
    expect(fittingVersion(installed, '4.1.0', '2.13.16')).toBeUndefined();
    expect(versionsLabel([{ home: '/s', version: '4.0.1', scala: '2.13' }])).toBe('4.0.1/2.13');
    expect(() => inspectHome(join(directory, 'nothing'))).toThrow(/is no Apache Spark/);
  });

  test("memory is Spark's: heap, overhead of a tenth or 384 MiB, Python beside it", () => {
    expect([sparkMiB('2g', 0), sparkMiB('512', 0), sparkMiB('1t', 0), sparkMiB('x', 7)]).toEqual([2048, 512, 1_048_576, 7]);
    expect(executorMemory({})).toEqual({ heapMiB: 1024, totalMiB: 1408 });
    expect(executorMemory({ 'spark.executor.memory': '8g', 'spark.executor.pyspark.memory': '1g' })).toEqual({ heapMiB: 8192, totalMiB: 8192 + 820 + 1024 });
  });

  test('what the application says of its executors is kept, an agent of its own is not', () => {
    const settings = {
      'spark.executor.extraJavaOptions': `-Da="b c" -javaagent:other.jar -Did={{EXECUTOR_ID}}`,
      'spark.executor.extraClassPath': '/extra.jar',
      'spark.executorEnv.COLOUR': 'green',
    };
    const { args, env } = executorCommand({
      ask: ask('app-1', { settings }),
      spark: { home: '/spark', version: '4.0.1', scala: '2.13' },
      executorId: '900001',
      workerId: 'w1',
      host: '127.0.0.1',
      cores: 3,
      directory: '/work',
      link: '127.0.0.1:1',
      token: 'token',
      secret: undefined,
      agent: '/agent.jar',
      javaOptions: ['-XX:+UseSerialGC'],
      classPath: ['/of/the/worker.jar', '/celeborn.jar'],
    });
    expect(args[1]).toBe('/extra.jar:/of/the/worker.jar:/celeborn.jar:/spark/conf:/spark/jars/*');
    expect(args).toEqual(expect.arrayContaining(['-XX:+UseSerialGC', '-Da=b c', '-Did=900001', '-javaagent:/agent.jar', '-Xmx1024m']));
    expect(args.join(' ')).not.toMatch(/other\.jar|token/);
    expect(args.slice(-6)).toEqual(['--cores', '3', '--app-id', 'app-1', '--resourceProfileId', '0']);
    expect(env).toMatchObject({ COLOUR: 'green', SPARK_HOME: '/spark', SPARK_EXECUTOR_ATTRIBUTE_SPARK_PROXY_WORKER: 'w1', SPARK_PROXY_TOKEN: 'token' });
    expect(env).not.toHaveProperty('_SPARK_AUTH_SECRET');
    expect(splitOptions(`-a 'b c'  "d"`)).toEqual(['-a', 'b c', 'd']);
  });
});
