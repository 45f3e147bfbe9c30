/** A cluster whose frames are signed: with real workers, over real brokers, and with somebody else on them. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { loadConfiguration } from '../../src/core/config.ts';
import { capture, type RescheduleSession } from '../../src/reschedule/index.ts';
import { SparkContext } from '../../src/scheduler/spark-context.ts';
import { keyRingOf, newKeyLine, type KeyRing } from '../../src/security/index.ts';
import { sharedRabbitmq } from '../support/rabbitmq.ts';
import { startRedis } from '../support/redis.ts';
import { describeWith } from '../support/requires.ts';
import { run } from './run-program.ts';
import { startWorker, workersOf, type WorkerProcess } from './worker-process.ts';

const ends: (() => Promise<unknown> | void)[] = [];
let directory: string;
let mine: string;
let other: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'spark-proxy-secure-'));
  [mine, other] = ['mine', 'other'].map((name) => {
    const path = join(directory, name);
    writeFileSync(path, `${newKeyLine('k1')}\n`, { mode: 0o600 });
    return path;
  }) as [string, string];
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
  rmSync(directory, { recursive: true, force: true });
});

function application(url: string): { sc: SparkContext; session: RescheduleSession } {
  const sc = new SparkContext({ 'spark.master': 'local[2]', 'registry.beat': '100ms', 'registry.ttl': '1s', 'transport.url': url, 'key.file': mine });
  ends.push(() => sc.stop());
  return { sc, session: capture(sc) };
}

async function worker(url: string, settings: Record<string, string>): Promise<WorkerProcess> {
  const started = await startWorker(url, settings);
  ends.push(() => started.close());
  return started;
}

/** The ring that the application of this process uses. */
const keyRingAt = (file: string): KeyRing => keyRingOf(loadConfiguration({ env: {}, flags: [['key.file', file]] })) as KeyRing;

/** Keys of the file, as they must not be seen anywhere. */
const secretOf = (file: string): string => readFileSync(file, 'utf8').split(': ')[1]!.trim();

async function runsWithItsKeyOnly(url: string): Promise<void> {
  const { sc, session } = application(url);
  const at = await session.url();
  const own = await worker(at, { 'key.file': mine });
  const stranger = await worker(at, { 'key.file': other, 'log.level': 'debug' });
  const keyless = await worker(at, {});
  await workersOf(session, 1);
  const ran = new Set<string>();
  sc.addSparkListener({ onTaskEnd: ({ task }) => void ran.add(task.executorId) });
  expect(
    await sc
      .range(0, 1000, 1, 8)
      .map((x) => x * 2)
      .reduce((a, b) => a + b),
  ).toBe(999_000);
  expect([...ran]).toEqual([own.id]);
  await expect.poll(() => stranger.output.text).toContain('a frame whose signature does not match was refused');
  await expect.poll(() => keyless.output.text).toContain('Message is signed, and this process has no key');
  for (const { pid, output } of [own, stranger]) {
    expect(readFileSync(`/proc/${pid}/cmdline`, 'utf8')).not.toContain(secretOf(mine));
    expect(output.text).not.toContain(secretOf(mine));
  }
}

describe('over tcp', () => {
  test('tasks go only to the worker that has the key', () => runsWithItsKeyOnly('tcp://127.0.0.1:0'), 60_000);

  test('the workers that a program starts for itself have its key', async () => {
    const program = fileURLToPath(new URL('programs/sum.ts', import.meta.url));
    const { code, stdout, stderr } = await run(['run', '--workers', '1', '--summary', '--conf', `key.file=${mine}`, program]);
    expect(code, stderr).toBe(0);
    expect(stdout).toBe('500500\n');
    expect(stderr).toMatch(/worker-\w+ +\d+ +external +4/);
  }, 60_000);

  test('keys change while jobs run', async () => {
    const { sc, session } = application('tcp://127.0.0.1:0');
    const own = await worker(await session.url(), { 'key.file': mine });
    await workersOf(session, 1);
    const ran = new Set<string>();
    sc.addSparkListener({ onTaskEnd: ({ task }) => void ran.add(task.executorId) });
    const jobs = async (): Promise<void> => expect(await sc.range(0, 100, 1, 4).count()).toBe(100);
    for (const [change, signs] of [
      [[], 'k1'],
      [['--sign', 'k2'], 'k2'],
      [['--remove', 'k1'], 'k2'],
    ] as const) {
      const readBefore = own.output.text.split('keys were read again').length;
      const { code, stderr } = await run(['keygen', mine, ...change]);
      expect(code, stderr).toBe(0);
      // Jobs run all the while, until both sides have read the new keys.
      while (own.output.text.split('keys were read again').length === readBefore || keyRingAt(mine).current.id !== signs) await jobs();
      await jobs();
    }
    expect([...ran]).toEqual([own.id]);
  }, 60_000);

  test('nothing listens for other machines without a key', async () => {
    const { code, stderr } = await run(['dispatcher', '--url', 'tcp://0.0.0.0:0']);
    expect(code).toBe(1);
    expect(stderr).toContain('SP_TRANSPORT_NOT_LOOPBACK');
    const { session } = application('tcp://127.0.0.1:0');
    const open = await run(['worker', '--url', await session.url(), '--conf', 'worker.host=0.0.0.0']);
    expect(open.code).toBe(1);
    expect(open.stderr).toContain('SP_SECURITY_KEY_NEEDED');
    expect(open.stderr).toContain('spark-proxy keygen');
    const agents = await run(['dispatcher', '--url', 'tcp://127.0.0.1:0', '--agent-port', '0.0.0.0:0']);
    expect(agents.code).toBe(1);
    expect(agents.stderr).toContain('SP_SECURITY_KEY_NEEDED');
  }, 60_000);
});

describeWith(['redis'], 'over Redis', () => {
  test('tasks go only to the worker that has the key', async () => {
    const redis = await startRedis();
    ends.push(() => redis.stop());
    await runsWithItsKeyOnly(redis.url);
  }, 60_000);
});

describeWith(['rabbitmq'], 'over RabbitMQ', () => {
  test('tasks go only to the worker that has the key', async () => runsWithItsKeyOnly(await sharedRabbitmq()), 120_000);
});
