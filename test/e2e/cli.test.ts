import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { keepingCodeWarm } from '../../src/core/warm-code.ts';
import { run, start } from './run-program.ts';

const directory = mkdtempSync(join(tmpdir(), 'cli-'));
afterAll(() => rmSync(directory, { recursive: true }));

function program(name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
}

test('run gives the program its arguments, its exit code, and main-module identity', async () => {
  const file = program('args.mjs', 'console.log(JSON.stringify(process.argv.slice(2)), import.meta.main); process.exitCode = 7;');
  const { code, stdout } = await run(['run', '--internal', file, '--workers', 'x y']);
  expect(stdout.trim()).toBe('["--workers","x y"] true');
  expect(code).toBe(7);
});

test('run takes TypeScript as it is: enums, parameter properties, decorators', async () => {
  const file = program(
    'lang.mts',
    `enum Color { Red = 1, Green }
     class Point { constructor(readonly x: number) {} }
     function twice(f: (this: Point) => number, _context: ClassMethodDecoratorContext) { return function (this: Point) { return 2 * f.call(this); }; }
     class Deep extends Point { @twice value(): number { return this.x; } }
     console.log(Color.Green, new Deep(21).value());`,
  );
  const { stdout, stderr } = await run(['run', file]);
  expect(stderr).toBe('');
  expect(stdout.trim()).toBe('2 42');
});

test('a program has what keeps its code compiled, and hands nothing of it to its threads', async () => {
  const tag = `import { cachedDataVersionTag } from 'node:v8'; console.log(cachedDataVersionTag());`;
  const thread = `import { Worker } from 'node:worker_threads'; new Worker('', { eval: true, execArgv: process.execArgv });`;
  const expected = spawnSync(process.execPath, [...keepingCodeWarm(), '--input-type=module', '--eval', tag]);
  const { stdout, stderr } = await run(['run', program('warm.mjs', tag + thread)]);
  expect(stderr).toBe('');
  expect(stdout).toBe(expected.stdout.toString());
});

test('a signal reaches the program', async () => {
  const file = program('signal.mjs', "process.on('SIGTERM', () => { console.log('asked'); process.exit(4); }); console.log('up'); setInterval(() => {}, 1e6);");
  const running = start(['run', file]);
  await new Promise<void>((resolve) => running.child.stdout?.on('data', () => resolve()));
  running.child.kill('SIGTERM');
  expect(await running.ended).toBe(4);
  expect(running.output.stdout).toContain('asked');
});

test.each([
  [['frobnicate'], 2, /unknown command frobnicate[^]*known commands: run, [^]*conf[^]*SP_CLI_UNKNOWN_COMMAND/],
  [['run'], 2, /no program is given/],
  [['run', 'none.ts'], 2, /cannot run none\.ts: there is no such file/],
  [['run', '--wrokers', '2', 'x.ts'], 2, /Unknown option '--wrokers'/],
  [['run', '--internal', '--external', 'x.ts'], 2, /exclude each other/],
  [['run', '--workers', 'many', 'package.json'], 1, /worker\.instances = many is not valid: expected a whole number/],
  [['worker'], 2, /no --url is given/],
  [['worker', '--url', 'carrier-pigeon://x'], 1, /carrier-pigeon/],
  [['worker', '--url', 'tcp://127.0.0.1:1', '--label', 'zone'], 2, /label zone: expected name=value/],
  [['conf', '--conf', 'host.selektor=X'], 1, /did you mean host\.selector/],
])('a mistake is told, coded, without a stack: spark-proxy %j', async (args, expectedCode, message) => {
  const { code, stderr } = await run(args);
  expect(stderr).toMatch(message);
  expect(stderr).toMatch(/code: SP_/);
  expect(stderr).not.toMatch(/\n\s+at /);
  expect(code).toBe(expectedCode);
});

test('help and version', async () => {
  expect((await run(['--help'])).stdout).toMatch(/run\s+run a TypeScript or JavaScript program/);
  expect((await run(['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  for (const command of ['run', 'worker', 'conf']) expect((await run([command, '--help'])).stdout).toMatch(/Examples:/);
});

test('conf says where each value came from', async () => {
  const { stdout } = await run(['conf', '--json', '--conf', 'worker.slots=3'], { env: { SPARK_PROXY_HOST_SELECTOR: 'ROUND_ROBIN' } });
  const conf = new Map((JSON.parse(stdout) as { key: string; value?: string; where: string }[]).map((row) => [row.key, row]));
  expect(conf.get('worker.slots')).toMatchObject({ value: '3', where: 'command line' });
  expect(conf.get('host.selector')).toMatchObject({ value: 'ROUND_ROBIN', where: 'environment SPARK_PROXY_HOST_SELECTOR' });
});

test('conf set, get and unset edit one key of the file that is in force; what is not valid is refused', async () => {
  const conf = mkdtempSync(join(directory, 'conf-'));
  const env = { EXTERNAL_SPARK_CONF_DIR: conf };
  const file = join(conf, 'common.properties');
  const set = await run(['conf', 'set', 'reschedule.dst.executor', 'internal'], { env });
  expect([set.code, set.stdout]).toEqual([0, `${file}: takes effect at once\n`]);
  expect((await run(['conf', 'set', 'spark.app.name', 'a $(touch /tmp/never) `id`;'], { env })).stdout).toContain('next start');
  expect((await run(['conf', 'get', 'spark.app.name'], { env })).stdout).toBe('a $(touch /tmp/never) `id`;\n');
  const before = readFileSync(file, 'utf8');
  const bad = await run(['conf', 'set', 'task.timeout', 'soon'], { env });
  expect(bad.code).toBe(1);
  expect(bad.stderr).toMatch(/task\.timeout = soon is not valid.*common\.properties:3/);
  expect((await run(['conf', 'set', 'task.timout', '1s'], { env })).stderr).toContain('did you mean task.timeout');
  expect((await run(['conf', 'set', 'task.timeout'], { env })).code).toBe(2);
  expect(readFileSync(file, 'utf8')).toBe(before);
  expect((await run(['conf', 'unset', 'reschedule.dst.executor'], { env })).code).toBe(0);
  expect(readFileSync(file, 'utf8')).toBe('spark.app.name = a $(touch /tmp/never) `id`;\n');
});

test('a command is loaded when it is asked for, and no other', async () => {
  const watch = `import { registerHooks } from 'node:module';
    registerHooks({ load(url, context, next) { if (url.includes('/dist/')) console.error(url.split('/dist/')[1]); return next(url, context); } });`;
  const loaded = async (...args: string[]): Promise<string[]> =>
    (await run(args, { env: { NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(watch)}` } })).stderr.trim().split('\n');
  expect(await loaded('--version')).not.toContain('core/config.js');
  const forRun = await loaded('run', '--help');
  expect(forRun).toContain('cli/run.js');
  expect(forRun.filter((name) => /^(?:apache-spark|scheduler|dispatcher|transports)\//.test(name))).toEqual([]);
});

test('a dispatcher says which port another process holds', async () => {
  const holder = createServer().listen(0, '127.0.0.1');
  await once(holder, 'listening');
  const { port } = holder.address() as AddressInfo;
  const { code, stderr } = await run(['dispatcher', '--url', 'tcp://127.0.0.1:0', '--agent-port', String(port)]);
  holder.close();
  expect(stderr).toMatch(new RegExp(`the agent link cannot listen on 127.0.0.1:${port}: .*EADDRINUSE[^]*code: SP_SPARK_LISTEN_FAILED`));
  expect(code).toBe(1);
});
