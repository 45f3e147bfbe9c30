import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, watch } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import { capture, capturedContexts, type RescheduleSession } from '../../src/reschedule/index.ts';
import { SparkContext } from '../../src/scheduler/spark-context.ts';
import { run, start, workerPids } from './run-program.ts';

const CLI = fileURLToPath(new URL('../../bin/spark-proxy.js', import.meta.url));
const WORDS = fileURLToPath(new URL('programs/wordcount.ts', import.meta.url));
const TEXT = 'node_modules/**/{*.md,*.d.ts,LICENSE*}';

const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

function context(conf: Record<string, string>): { sc: SparkContext; session: RescheduleSession } {
  const sc = new SparkContext({ 'spark.master': 'local[2]', 'registry.beat': '100ms', 'registry.ttl': '500ms', ...conf });
  ends.push(() => sc.stop());
  return { sc, session: capture(sc) };
}

async function worker(url: string, ...options: string[]): Promise<{ pid: number; kill: (signal: NodeJS.Signals) => Promise<unknown> }> {
  // Killed workers leave their files: they go with this directory.
  const local = mkdtempSync(join(tmpdir(), 'killed-'));
  ends.push(async () => rmSync(local, { recursive: true, force: true }));
  const conf = ['registry.beat=100ms', 'registry.ttl=500ms', 'log.level=info', `spark.local.dir=${local}`].flatMap((setting) => ['--conf', setting]);
  const child = spawn(process.execPath, [CLI, 'worker', '--url', url, ...conf, ...options], { stdio: ['ignore', 'ignore', 'pipe'] });
  const exited = once(child, 'exit');
  const kill = async (signal: NodeJS.Signals): Promise<unknown> => {
    child.kill(signal);
    return (await exited)[0];
  };
  ends.push(() => kill('SIGKILL'));
  let said = '';
  await new Promise<void>((resolve, reject) => {
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
      if (said.includes('ready')) resolve();
    });
    void exited.then(() => reject(new Error(`the worker ended before it was ready: ${said}`)));
  });
  return { pid: child.pid as number, kill };
}

/** Resolves when as many workers are known to the session. */
async function workers(session: RescheduleSession, count: number): Promise<void> {
  while ((session.stats().dispatcher?.workers.filter((w) => w.alive).length ?? 0) !== count) await session.changed();
}

const ranOn = (sc: SparkContext): Map<string, number> => {
  const tasks = new Map<string, number>();
  sc.addSparkListener({ onTaskEnd: ({ task }) => void tasks.set(task.executorId, (tasks.get(task.executorId) ?? 0) + 1) });
  return tasks;
};

test('the context is captured under its run id, and let go when it stops', async () => {
  const { sc, session } = context({ 'run.id': 'run-42' });
  expect(session.runId).toBe('run-42');
  expect(capturedContexts().get('run-42')).toBe(sc);
  await sc.stop();
  expect(capturedContexts().has('run-42')).toBe(false);
});

test('without a worker tasks run inside; with one they go out; when it is gone they run inside again', async () => {
  const { sc, session } = context({ 'transport.url': 'tcp://127.0.0.1:0' });
  const tasks = ranOn(sc);
  const job = async (): Promise<string[]> => {
    tasks.clear();
    expect(
      await sc
        .range(0, 100, 1, 4)
        .map((x) => x * 2)
        .reduce((a, b) => a + b),
    ).toBe(9900);
    return [...tasks.keys()];
  };
  expect(await job()).toEqual(['driver']);
  const one = await worker(await session.url());
  await workers(session, 1);
  expect((await job()).every((id) => id.startsWith('worker-'))).toBe(true);
  expect(await one.kill('SIGTERM')).toBe(0);
  await workers(session, 0);
  expect(await job()).toEqual(['driver']);
});

test('internal: nothing leaves, though a worker is there', async () => {
  const { sc } = context({ 'reschedule.dst.executor': 'internal', 'worker.instances': '1' });
  const tasks = ranOn(sc);
  await sc.range(10).count();
  expect([...tasks.keys()]).toEqual(['driver']);
});

test('a shuffle written inside is read outside, and the other way round', async () => {
  const { sc, session } = context({ 'transport.url': 'tcp://127.0.0.1:0' });
  const pairs = sc.range(0, 1000, 1, 4).map((x): [number, number] => [x % 10, x]);
  const inside = pairs.reduceByKey((a, b) => a + b, 3);
  const expected = (await inside.collect()).sort();
  const one = await worker(await session.url());
  await workers(session, 1);
  expect((await inside.collect()).sort()).toEqual(expected);
  const outside = pairs.reduceByKey((a, b) => a + b, 3);
  expect((await outside.collect()).sort()).toEqual(expected);
  await one.kill('SIGTERM');
  await workers(session, 0);
  expect((await outside.collect()).sort()).toEqual(expected);
});

test('what an application left on a worker goes when the application ends', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'worker-'));
  const files = (): string[] => readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.data'));
  const { sc, session } = context({ 'transport.url': 'tcp://127.0.0.1:0' });
  await worker(await session.url(), '--conf', `spark.local.dir=${directory}`);
  await workers(session, 1);
  await sc
    .range(0, 10, 1, 2)
    .map((x): [number, number] => [x, x])
    .groupByKey(2)
    .count();
  expect(files().length).toBe(2);
  const gone = new Promise<void>((resolve) => {
    const watcher = watch(directory, { recursive: true }, () => {
      if (files().length > 0) return;
      watcher.close();
      resolve();
    });
  });
  await sc.stop();
  await gone;
  rmSync(directory, { recursive: true });
});

test('broadcasts, accumulators, cached partitions and the own error of a task work outside', async () => {
  const { sc, session } = context({ 'transport.url': 'tcp://127.0.0.1:0', 'spark.task.maxFailures': '2' });
  await worker(await session.url(), '--slots', '2');
  await workers(session, 1);
  const tasks = ranOn(sc);
  const table = sc.broadcast({ factor: 3 });
  const calls = sc.longAccumulator('calls');
  const cached = sc
    .range(0, 20, 1, 4)
    .map((x) => {
      calls.add(1);
      return x * table.value.factor;
    })
    .cache();
  expect(await cached.reduce((a, b) => a + b)).toBe(570);
  expect(await cached.count()).toBe(20);
  expect(calls.value).toBe(20);
  await expect(
    sc
      .range(4)
      .map((x) => {
        if (x === 2) throw new RangeError('two');
        return x;
      })
      .collect(),
  ).rejects.toThrow(/failed 2 times.*two/s);
  expect([...tasks.keys()].every((id) => id.startsWith('worker-'))).toBe(true);
});

test('a program on two workers gives what it gives inside, also when one of them is killed in mid-job', async () => {
  const inside = await run(['run', '--internal', WORDS, TEXT, '24']);
  expect(inside.code).toBe(0);
  const calm = await run(['run', '--workers', '2', '--summary', WORDS, TEXT, '24']);
  expect(calm.stdout).toBe(inside.stdout);
  expect(calm.stderr.match(/worker-\w+ +\d+ +external +\d+ /g)).toHaveLength(2);
  const hurt = start([
    'run',
    '--workers',
    '2',
    '--summary',
    '--progress',
    '--conf',
    'log.level=info',
    '--conf',
    'registry.beat=200ms',
    '--conf',
    'registry.ttl=1s',
    WORDS,
    TEXT,
    '24',
  ]);
  const [victim] = await workerPids(hurt, 2);
  await new Promise<void>((resolve) => hurt.child.stderr?.on('data', () => hurt.output.stderr.includes('[Stage 0') && resolve()));
  process.kill(victim as number, 'SIGKILL');
  expect(await hurt.ended).toBe(0);
  expect(hurt.output.stdout).toBe(inside.stdout);
});
