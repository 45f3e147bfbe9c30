import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { run, start } from '../e2e/run-program.ts';
import { sharedRabbitmq } from '../support/rabbitmq.ts';
import { startRedis } from '../support/redis.ts';
import { describeWith } from '../support/requires.ts';

const PROGRAMS = fileURLToPath(new URL('./programs/outside.ts', import.meta.url));
let home: string;
let env: NodeJS.ProcessEnv;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'spark-proxy-outside-'));
  env = { SPARK_PROXY_PROGRAM_HOME: home, SPARK_PROXY_DATASET_STORE: `sqlite:${join(home, 'datasets.db')}` };
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

async function runsOutside(url: string): Promise<void> {
  const settings = [`transport.url=${url}`, 'worker.instances=2'].flatMap((setting) => ['--conf', setting]);
  const { code, stdout, stderr } = await run(['program', 'run', ...settings, `${PROGRAMS}#Outside`], { env, timeoutMs: 120_000 });
  expect(code, stderr).toBe(0);
  expect(JSON.parse(stdout)).toEqual({ sum: 328_350, rows: 100, marks: true, outside: true });
}

test('transactions, datasets in closures and metrics hold on two workers over tcp', () => runsOutside('tcp://127.0.0.1:0'), 120_000);

describeWith(['redis'], 'over Redis', () => {
  test('they hold, and no key remains', async () => {
    const redis = await startRedis();
    try {
      await runsOutside(redis.url);
      expect(await redis.client().keys('*')).toEqual([]);
    } finally {
      await redis.stop();
    }
  }, 120_000);
});

describeWith(['rabbitmq'], 'over RabbitMQ', () => {
  test('they hold', async () => runsOutside(await sharedRabbitmq()), 120_000);
});

test('a driver killed in its transaction leaves nothing to see, and the next run goes on', async () => {
  const killed = start(['program', 'run', `${PROGRAMS}#HalfWay`], { env });
  await expect.poll(() => killed.output.stdout, { timeout: 30_000 }).toContain('half way');
  killed.child.kill('SIGKILL');
  await killed.ended;
  const { code, stdout, stderr } = await run(['program', 'run', `${PROGRAMS}#Look`], { env });
  expect(code, stderr).toBe(0);
  expect(JSON.parse(stdout)).toEqual({ before: [], after: 'seen' });
  const runs = JSON.parse((await run(['program', 'runs', 'HalfWay', '--json'], { env })).stdout) as { state: string; cause?: { code?: string } }[];
  expect(runs).toMatchObject([{ state: 'FAILED', cause: { code: 'SP_PROGRAM_PROCESS_GONE' } }]);
}, 60_000);
