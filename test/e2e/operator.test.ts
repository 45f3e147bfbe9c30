import { execFile, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startRabbitmq } from '../support/rabbitmq.ts';
import { startRedis } from '../support/redis.ts';
import { describeWith } from '../support/requires.ts';
import { run } from './run-program.ts';

const execute = promisify(execFile);
const SOURCES = fileURLToPath(new URL('../../', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'operator-'));
const home = join(directory, 'home');
const tmp = join(home, 'tmp');
const USER = userInfo().username;

function environment(more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !/^(NODE_OPTIONS|VITEST.*|SPARK_.*|EXTERNAL_SPARK.*|HADOOP_CONF_DIR)$/.test(name));
  return { ...Object.fromEntries(kept), USER, ...more };
}

/** A script of sbin/, as an operator runs it. */
async function sbin(script: string, args: readonly string[] = [], env: NodeJS.ProcessEnv = {}): Promise<{ code: number; stdout: string; stderr: string }> {
  try {
    const { stdout, stderr } = await execute(join(home, 'sbin', script), [...args], { env: environment(env), timeout: 60_000, cwd: directory });
    return { code: 0, stdout, stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, stdout, stderr };
  }
}

const cli = (args: readonly string[]): Promise<{ stdout: string; stderr: string }> =>
  execute(join(home, 'bin', 'spark-proxy'), [...args], { env: environment(), timeout: 60_000, cwd: directory });

const pidOf = (service: string): number => Number(readFileSync(join(tmp, `external-spark-${USER}-${service}.pid`), 'utf8'));
const processes = (): string[] =>
  spawnSync('ps', ['-eo', 'pid=,args='], { encoding: 'utf8' })
    .stdout.split('\n')
    .filter((line) => line.includes(home));

/** Resolves when a log says it; logs are small and grow. */
async function logged(service: string, text: string): Promise<void> {
  const file = join(tmp, `external-spark-${USER}-${service}.log`);
  for (const end = performance.now() + 30_000; !(existsSync(file) && readFileSync(file, 'utf8').includes(text));) {
    if (performance.now() > end) throw new Error(`${file} does not say ${text}: ${readFileSync(file, 'utf8')}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

beforeAll(async () => {
  expect((await run(['package', home])).stdout).toBe(`${home}\n`);
}, 60_000);
afterAll(async () => {
  await sbin('stop-all.sh', [], { EXTERNAL_SPARK_STOP_TIMEOUT: '1' });
  rmSync(directory, { recursive: true, force: true });
}, 60_000);

/** A program of a user, who has what the home has and nothing else. */
function userProgram(): string {
  const user = join(directory, 'user');
  if (!existsSync(user)) {
    mkdirSync(user);
    writeFileSync(
      join(user, 'words.mts'),
      `import { SparkContext } from 'spark-proxy';
       const sc = new SparkContext();
       const where = new Set<string>();
       sc.addSparkListener({ onTaskEnd: ({ task }) => void where.add(task.executorId) });
       const counts = await sc.range(0, 20_000, 1, 8).map((x): [number, number] => [x % 7, 1]).reduceByKey((a, b) => a + b, 4).collect();
       console.log(JSON.stringify({ total: counts.reduce((sum, [, n]) => sum + n, 0), where: [...where].map((id) => id.split('-')[0]) }));
       await sc.stop();`,
    );
    symlinkSync(join(home, 'node_modules'), join(user, 'node_modules'));
  }
  return join(user, 'words.mts');
}

interface Status {
  readonly dispatchers: readonly unknown[];
  readonly workers: readonly { readonly id: string; readonly host: string; readonly state: string }[];
  readonly applications: readonly unknown[];
}

const status = async (): Promise<Status> => JSON.parse((await cli(['status', '--json'])).stdout) as Status;

/** Asks until the workers that are there are on these hosts. */
async function workersOn(...hosts: string[]): Promise<Status> {
  for (const end = performance.now() + 60_000; ;) {
    const found = await status();
    const there = found.workers.filter(({ state }) => state === 'active').map(({ host }) => host);
    if (there.sort().join() === hosts.join()) return found;
    if (performance.now() > end) throw new Error(`workers: ${JSON.stringify(found.workers)}`);
  }
}

/** Start, a job, a dead worker, status, drain, an edit, stop. */
async function walk(url: string, settled: () => Promise<void> = async () => undefined): Promise<void> {
  const template = readFileSync(join(home, 'conf', 'common.properties.template'), 'utf8');
  const properties = template.replace(/^transport\.url.*/m, `transport.url = ${url}\nregistry.beat = 200ms\nregistry.ttl = 4s`);
  writeFileSync(join(home, 'conf', 'common.properties'), properties);
  writeFileSync(join(home, 'conf', 'hosts'), '[dispatcher]\r\nlocalhost\r\n\r\n[worker]\r\n127.0.0.2 # first\r\n127.0.0.3\r\n');
  rmSync(tmp, { recursive: true, force: true });

  const started = await sbin('start-all.sh');
  expect([started.code, started.stderr]).toEqual([0, '']);
  const services = ['dispatcher', 'worker-127.0.0.2', 'worker-127.0.0.3'];
  expect(readdirSync(tmp).sort()).toEqual(services.flatMap((s) => [`external-spark-${USER}-${s}.log`, `external-spark-${USER}-${s}.pid`]));
  for (const service of services) await logged(service, 'ready');
  expect(processes().length).toBe(3);
  const again = await sbin('start-worker.sh', ['--host', '127.0.0.2']);
  expect([again.code, again.stderr]).toEqual([1, `external-spark: worker-127.0.0.2 runs as process ${pidOf('worker-127.0.0.2')}; stop it first\n`]);
  expect(await workersOn('127.0.0.2', '127.0.0.3')).toMatchObject({ dispatchers: [{}], applications: [] });

  const program = userProgram();
  const job = async (): Promise<unknown> => JSON.parse((await cli(['run', '--conf', 'dispatcher.mode=service', program])).stdout);
  expect(await job()).toEqual({ total: 20_000, where: ['worker', 'worker'] });

  process.kill(pidOf('worker-127.0.0.2'), 'SIGKILL');
  expect(await job()).toMatchObject({ total: 20_000 });
  await workersOn('127.0.0.3');
  expect((await sbin('external-spark-daemon.sh', ['status', 'worker', '--instance', '127.0.0.2'])).code).toBe(3);
  expect((await sbin('start-worker.sh', ['--host', '127.0.0.2'])).code).toBe(0);

  // One worker is let go; its process ends by itself, the other does the work.
  const { workers } = await workersOn('127.0.0.2', '127.0.0.3');
  const leaving = pidOf('worker-127.0.0.3');
  expect((await cli(['drain', workers.find(({ host }) => host === '127.0.0.3')?.id ?? ''])).stdout).toBe('the worker drains\n');
  await workersOn('127.0.0.2');
  expect(await job()).toEqual({ total: 20_000, where: ['worker'] });
  expect(processes().some((line) => line.trim().startsWith(`${leaving} `))).toBe(false);

  // Properties edited while it runs.
  expect((await cli(['conf', 'set', 'log.level', 'debug'])).stdout).toContain('takes effect at once');
  await logged('dispatcher', 'changed keys=log.level');
  process.kill(pidOf('dispatcher'), 'SIGHUP');
  expect((await sbin('external-spark-daemon.sh', ['status', 'dispatcher'])).stdout).toContain('runs as process');

  await settled();
  expect((await sbin('stop-all.sh')).code).toBe(0);
  expect(readdirSync(tmp).filter((name) => name.endsWith('.pid'))).toEqual([]);
  expect(processes()).toEqual([]);
}

test('an operator starts two hosts, runs a job, loses a worker, drains another, and stops everything; nothing is left', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await walk(`tcp://127.0.0.1:${port}`);
}, 240_000);

describeWith(['redis'], 'over Redis', () => {
  test('the same walk leaves no key in Redis', async () => {
    const redis = await startRedis();
    try {
      const client = redis.client();
      await walk(redis.url, async () => {
        // The killed worker said no goodbye: those who live take it for dead, and clear up after it.
        while ((await client.zcard('spark-proxy:default:clients')) !== 2) await new Promise((resolve) => setTimeout(resolve, 50));
      });
      expect(await client.keys('*')).toEqual([]);
    } finally {
      await sbin('stop-all.sh', [], { EXTERNAL_SPARK_STOP_TIMEOUT: '1' });
      await redis.stop();
    }
  }, 240_000);
});

describeWith(['rabbitmq'], 'over RabbitMQ', () => {
  test('the same walk leaves no queue and no exchange in RabbitMQ', async () => {
    const rabbitmq = await startRabbitmq();
    try {
      await walk(rabbitmq.url);
      const left = `${await rabbitmq.ctl('list_queues', 'name')}\n${await rabbitmq.ctl('list_exchanges', 'name')}`;
      expect(left.split('\n').filter((name) => name.startsWith('spark-proxy:'))).toEqual([]);
    } finally {
      await sbin('stop-all.sh', [], { EXTERNAL_SPARK_STOP_TIMEOUT: '1' });
      await rabbitmq.stop();
    }
  }, 240_000);
});

test('names of hosts are data: what is no host name is refused with its line, and nothing of it is run', async () => {
  const conf = join(directory, 'hostile');
  mkdirSync(conf);
  const marker = join(directory, 'never');
  for (const host of [`;touch ${marker}`, `$(touch ${marker})`, `\`touch ${marker}\``, '-oProxyCommand=x', 'a b', `x\u001b[2J`, "'", `a;${marker}`]) {
    writeFileSync(join(conf, 'hosts'), `[dispatcher]\n[worker]\n${host}\n`);
    const { code, stderr } = await sbin('start-all.sh', [], { EXTERNAL_SPARK_CONF_DIR: conf });
    expect(code, host).toBe(1);
    expect(stderr).toContain(`${conf}/hosts:3: not a host name: `);
    // oxlint-disable-next-line no-control-regex
    expect(stderr).not.toMatch(/[\0-\x09\x0b-\x1f]/);
    for (const script of ['start-worker.sh', 'stop-worker.sh', 'start-dispatcher.sh', 'stop-dispatcher.sh'])
      expect((await sbin(script, ['--host', host])).code, script).toBe(1);
    expect((await sbin('external-spark-daemon.sh', ['start', 'worker', '--instance', host])).stderr).toContain('not a name for a service');
  }
  writeFileSync(join(conf, 'hosts'), '[wroker]\nx\n');
  expect((await sbin('start-all.sh', [], { EXTERNAL_SPARK_CONF_DIR: conf })).stderr).toContain('hosts:1: unknown section [wroker]');
  expect(existsSync(marker)).toBe(false);
  expect(processes()).toEqual([]);
}, 60_000);

test('other hosts are reached over ssh, each word of the command quoted for the other shell', async () => {
  const conf = join(directory, 'far');
  const bin = join(directory, 'fake');
  mkdirSync(conf);
  mkdirSync(bin);
  // What ssh does with its words: it joins them, and the other side's shell takes them apart again.
  const seen = join(directory, 'seen');
  writeFileSync(join(bin, 'ssh'), `#!/bin/bash\nprintf '%s|' "$@" >> ${seen}\nwhile [ "$1" != -- ]; do shift; done\necho "$3" > ${seen}.command\n`, {
    mode: 0o755,
  });
  writeFileSync(join(conf, 'hosts'), '[dispatcher]\n[worker]\nuser@worker-1.example.org\n');
  const env = { EXTERNAL_SPARK_CONF_DIR: conf, PATH: `${bin}:${process.env['PATH'] ?? ''}`, EXTERNAL_SPARK_SSH_OPTS: '-p 2222' };
  expect((await sbin('start-all.sh', [], env)).code).toBe(0);
  expect(readFileSync(seen, 'utf8')).toMatch(/^-p\|2222\|--\|user@worker-1\.example\.org\|/);
  const command = readFileSync(`${seen}.command`, 'utf8');
  expect(command).toContain(`EXTERNAL_SPARK_CONF_DIR=${conf} `);
  expect(command).toContain(`${home}/sbin/start-worker.sh --host worker-1.example.org`);
});

test('the scripts of a checkout are those that are packaged, and settings of a machine stay there', () => {
  for (const folder of ['sbin', 'conf'])
    for (const name of readdirSync(join(SOURCES, folder), { recursive: true, encoding: 'utf8' }).filter((file) => /\.(sh|template|service)$/.test(file)))
      expect(readFileSync(join(home, folder, name), 'utf8')).toBe(readFileSync(join(SOURCES, folder, name), 'utf8'));
  const shellcheck = spawnSync('shellcheck', ['--version']);
  if (shellcheck.error !== undefined) return;
  const scripts = readdirSync(join(home, 'sbin')).filter((name) => name.endsWith('.sh'));
  expect(spawnSync('shellcheck', ['-x', ...scripts], { cwd: join(home, 'sbin'), encoding: 'utf8' }).stdout).toBe('');
});
