import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { run, start } from './run-program.ts';

const directory = mkdtempSync(join(tmpdir(), 'ends-'));
// Inside the checkout, so that programs find spark-proxy.
const programs = fileURLToPath(new URL('../../.cache/ends', import.meta.url));
mkdirSync(programs, { recursive: true });
let local: string;
let env: NodeJS.ProcessEnv;
beforeEach(() => {
  local = mkdtempSync(join(directory, 'local-'));
  env = { SPARK_PROXY_SPARK_LOCAL_DIR: local };
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function program(name: string, text: string): string {
  const path = join(programs, name);
  writeFileSync(path, `import { SparkContext } from 'spark-proxy';\nconst sc = new SparkContext();\n${text}`);
  return path;
}

const SHUFFLE = 'console.log(await sc.range(0, 100, 1, 4).map((x) => [x % 3, x]).reduceByKey((a, b) => a + b).count());';

test.each([
  ['without stop', SHUFFLE, 0],
  ['by process.exit', `${SHUFFLE} process.exit(5);`, 5],
  ['by an uncaught error', `${SHUFFLE} throw new Error('mine');`, 1],
])('a program that ends %s leaves no files and no workers', async (how, text, code) => {
  const ended = await run(['run', '--workers', '2', program(`${how.replaceAll(' ', '-')}.mts`, text)], { env });
  expect(ended.code, ended.stderr).toBe(code);
  expect(ended.stdout.trim()).toBe('3');
  expect(readdirSync(local)).toEqual([]);
});

test.each(['SIGTERM', 'SIGINT'] as const)('a program that %s ends in mid-job leaves no files', async (signal) => {
  const running = start(['run', '--internal', program(`${signal}.mts`, `${SHUFFLE} await sc.range(1).foreach(() => { for (;;); });`)], { env });
  await new Promise<void>((resolve) => running.child.stdout?.on('data', () => resolve()));
  expect(readdirSync(local).length).toBe(1);
  running.child.kill(signal);
  expect(await running.ended).toBe(signal === 'SIGTERM' ? 143 : 130);
  expect(readdirSync(local)).toEqual([]);
});

test('a task that takes its worker processes down fails its job with a coded error; the program lives', async () => {
  const text = `
    const failed = await sc.range(0, 4, 1, 4).map((x) => { if (x === 3) process.kill(process.pid, 'SIGKILL'); return x; }).collect().catch((error) => error);
    console.log(failed.cause.code, /2 workers were lost/.test(failed.cause.message), await sc.range(5).count());
    await sc.stop();`;
  const ended = await run(['run', '--workers', '2', program('poison.mts', text)], { env });
  expect(ended.stdout.trim(), ended.stderr).toBe('SP_DISPATCHER_LEASES_EXHAUSTED true 5');
  expect(ended.code).toBe(0);
});

test('a selector or a transport that cannot be is refused at once', async () => {
  const file = program('refused.mts', SHUFFLE);
  for (const [option, value] of [
    ['--selector', 'FOO'],
    ['--url', 'http://x'],
  ] as const) {
    const ended = await run(['run', option, value, file], { env });
    expect(ended.code).toBe(1);
    expect(ended.stderr).toMatch(/SP_CONFIG_BAD_VALUE/);
  }
});

test('a worker that waits for its dispatcher says so, and ends when asked', async () => {
  const waiting = start(['worker', '--url', 'tcp://127.0.0.1:9'], { env });
  await new Promise<void>((resolve) => waiting.child.stderr?.on('data', () => waiting.output.stderr.includes('waiting for a dispatcher') && resolve()));
  waiting.child.kill('SIGTERM');
  expect(await waiting.ended).toBe(0);
  expect(readdirSync(local)).toEqual([]);
});
