import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
// As programs see it: the classes here and on the workers use the same copy of the package.
import { Intercept, weave, execution } from 'spark-proxy/aspects';
import { offload, openOffload, type Offload } from 'spark-proxy/reschedule';
import { startWorker, type WorkerProcess } from '../e2e/worker-process.ts';
import { startRedis } from '../support/redis.ts';
import { describeWith } from '../support/requires.ts';
import { Heavy } from './programs/heavy.ts';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const QUICK = { 'registry.beat': '100ms', 'registry.ttl': '1s' };

function open(settings: Record<string, string>): Offload {
  const way = openOffload({ ...QUICK, ...settings });
  ends.push(() => way.close());
  return way;
}

async function worker(way: Offload, count = 1): Promise<WorkerProcess> {
  const started = await startWorker(await way.url(), QUICK);
  ends.push(() => started.close());
  await way.workers(count);
  return started;
}

let factor = 3;

/** Not exported, so it travels by value, with what it captures. */
class Local {
  base = 4;
  readonly labels = new Map([['a', 1]]);

  @Intercept(offload())
  async scale(n: number): Promise<{ readonly value: number; readonly pid: number }> {
    return { value: n * factor, pid: process.pid };
  }

  @Intercept(offload())
  async add(n: number): Promise<{ readonly value: number; readonly pid: number }> {
    this.base++;
    return { value: this.base + n + (this.labels.get('a') ?? 0), pid: process.pid };
  }

  @Intercept(offload())
  async fail(): Promise<never> {
    throw Object.assign(new RangeError('too large', { cause: new Error('the disk') }), { code: 'E_SIZE' });
  }

  @Intercept(offload())
  async instance(): Promise<Local> {
    return this;
  }
}

describe('over tcp, with a worker', () => {
  const shared: (() => unknown)[] = [];
  let way: Offload;
  let pid: number;
  beforeAll(async () => {
    way = openOffload({ ...QUICK, 'transport.url': 'tcp://127.0.0.1:0' });
    shared.push(() => way.close());
    const started = await startWorker(await way.url(), QUICK);
    shared.push(() => started.close());
    ({ pid } = started);
    await way.workers(1);
  }, 60_000);
  afterAll(async () => {
    for (const end of shared.reverse()) await end();
  });

  test('methods run on workers, by reference and by value; what they captured and their receiver travel as they are now', async () => {
    const heavy = new Heavy();
    expect(await heavy.pid()).toBe(pid);
    expect(await heavy.primes(100)).toBe(25);
    const local = new Local();
    expect(await local.scale(2)).toEqual({ value: 6, pid });
    factor = 5;
    expect(await local.scale(2)).toEqual({ value: 10, pid });
    factor = 3;
    // Each call gets the receiver as it is here.
    expect(await local.add(1)).toEqual({ value: 7, pid });
    expect(await local.add(1)).toEqual({ value: 7, pid });
    local.base = 0;
    expect(await local.add(1)).toEqual({ value: 3, pid });
    expect(way.stats()).toMatchObject({ captured: 7, inside: 0, destination: 'external' });
  });

  test('errors come back with name, code and cause', async () => {
    const failed = new Local().fail();
    await expect(failed).rejects.toMatchObject({ name: 'RangeError', message: 'too large', code: 'E_SIZE', cause: { message: 'the disk' } });
    await expect(failed).rejects.toHaveProperty('stack', expect.stringContaining('fail'));
    await expect(new Local().instance()).rejects.toMatchObject({ code: 'SP_COLUMN_NOT_DATA' });
  });

  test('a time limit and an AbortSignal end a call on its worker, which goes on', async () => {
    const heavy = new Heavy();
    await expect(heavy.endless()).rejects.toMatchObject({ code: 'SP_TASK_TIMEOUT' });
    const controller = new AbortController();
    const aborted = heavy.endless(controller.signal);
    controller.abort(new Error('the client has gone'));
    await expect(aborted).rejects.toThrow('the client has gone');
    expect(await heavy.pid()).toBe(pid);
  });

  test('what cannot travel runs inside, and is told once', async () => {
    const { captured } = way.stats();
    const said = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
    try {
      const heavy = new Heavy();
      expect(await heavy.primes(10, () => 1)).toBe(4);
      expect(await heavy.primes(10, () => 1)).toBe(4);
      const handle = weave(Heavy, execution('usesPrivate'), offload());
      expect(await heavy.usesPrivate()).toBe(10);
      handle.unweave();
      const lines = said.mock.calls.map(([text]) => String(text));
      expect(lines.filter((line) => line.includes('primes runs inside') && line.includes('function'))).toHaveLength(1);
      expect(lines.filter((line) => line.includes('usesPrivate runs inside'))).toHaveLength(1);
    } finally {
      said.mockRestore();
    }
    expect(way.stats().captured).toBe(captured);
  });
});

describe('over tcp, while workers come and go', () => {
  test('without a worker it runs inside; calls go out as soon as one is there, and inside again when the last is lost', async () => {
    const way = open({ 'transport.url': 'tcp://127.0.0.1:0' });
    const heavy = new Heavy();
    await way.url();
    expect(await heavy.pid()).toBe(process.pid);
    const { pid, kill } = await worker(way);
    expect(await heavy.pid()).toBe(pid);
    const long = heavy.primes(200_000);
    await kill('SIGKILL');
    expect(await long).toBe(17_984);
    expect(await heavy.pid()).toBe(process.pid);
  });

  test('a call whose worker dies runs on another', async () => {
    const way = open({ 'transport.url': 'tcp://127.0.0.1:0' });
    const first = await worker(way);
    const calls = Promise.all(Array.from({ length: 6 }, () => new Heavy().primes(200_000)));
    const second = await worker(way, 2);
    await first.kill('SIGKILL');
    expect(await calls).toEqual(Array.from({ length: 6 }, () => 17_984));
    expect(await new Heavy().pid()).toBe(second.pid);
  });

  test('workers that the application starts for itself are waited for', async () => {
    const way = open({ 'worker.instances': '1' });
    const pid = await new Heavy().pid();
    expect(pid).not.toBe(process.pid);
    expect(way.stats().dispatcher?.workers.map((one) => one.pid)).toEqual([pid]);
  });

  test('the destination is switched while the program runs', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'spark-proxy-test-'));
    ends.push(() => rmSync(directory, { recursive: true, force: true }));
    const destination = (value: string): void => writeFileSync(join(directory, 'common.properties'), `reschedule.dst.executor=${value}\n`);
    destination('external');
    vi.stubEnv('EXTERNAL_SPARK_CONF_DIR', directory);
    ends.push(() => vi.unstubAllEnvs());
    const way = open({ 'transport.url': 'tcp://127.0.0.1:0' });
    const { pid } = await worker(way);
    const heavy = new Heavy();
    expect(await heavy.pid()).toBe(pid);
    destination('internal');
    await vi.waitUntil(() => way.stats().destination === 'internal', 20_000);
    expect(await heavy.pid()).toBe(process.pid);
    destination('external');
    await vi.waitUntil(() => way.stats().destination === 'external', 20_000);
    expect(await heavy.pid()).toBe(pid);
  });
});

test('a class is no method', () => {
  @Intercept(offload() as never)
  class Wrong {}
  expect(() => new Wrong()).toThrow(expect.objectContaining({ code: 'SP_RESCHEDULE_NOT_A_METHOD' }));
});

test('calls that are out when the way is closed end inside', async () => {
  const way = open({ 'transport.url': 'tcp://127.0.0.1:0' });
  await worker(way);
  const call = new Heavy().primes(200_000);
  await way.close();
  expect(await call).toBe(17_984);
});

describeWith(['redis'], 'over Redis', () => {
  test('methods run on workers', async () => {
    const redis = await startRedis();
    ends.push(() => redis.stop());
    const way = open({ 'transport.url': redis.url });
    const { pid } = await worker(way);
    expect(await new Heavy().pid()).toBe(pid);
    expect(await new Local().scale(7)).toEqual({ value: 21, pid });
    await expect(new Local().fail()).rejects.toMatchObject({ name: 'RangeError', message: 'too large' });
  });
});
