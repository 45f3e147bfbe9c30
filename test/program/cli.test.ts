import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RunRecord } from '../../src/program/contract.ts';

const CLI = fileURLToPath(new URL('../../bin/spark-proxy.js', import.meta.url));
const programs = fileURLToPath(new URL('./programs', import.meta.url));
let home: string;

beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'spark-proxy-programs-'));
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

function spawnCli(...args: readonly string[]): ChildProcess {
  return spawn(process.execPath, [CLI, 'program', ...args], { cwd: home, stdio: ['ignore', 'pipe', 'pipe'] });
}

async function ended(child: ChildProcess): Promise<{ code: number | null; out: string; err: string }> {
  let out = '';
  let err = '';
  child.stdout?.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr?.on('data', (chunk: Buffer) => (err += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, out, err };
}

const cli = (...args: readonly string[]) => ended(spawnCli(...args));
const records = async (...args: readonly string[]): Promise<RunRecord[]> => JSON.parse((await cli('runs', '--json', ...args)).out) as RunRecord[];

test('run shows what the program says and ends with its state; runs, list and logs tell of it', async () => {
  const completed = await cli('run', '--arg', 'day=1', join(programs, 'contexts.ts#asked'), '--not', 'ours');
  expect(completed).toMatchObject({ code: 0, out: 'count 10 true\n' });
  const failed = await cli('run', '--arg', 'day=1', join(programs, 'contexts.ts#Fails'));
  expect(failed.code).toBe(1);
  expect(failed.err).toContain('spark-proxy program: Fails FAILED: ');
  const [newest, first] = await records();
  expect([first?.program, first?.state, newest?.program, newest?.state]).toEqual(['asked', 'COMPLETED', 'Fails', 'FAILED']);
  expect(first?.arguments).toEqual({ day: '1' });
  expect((await cli('logs', first?.runId ?? '')).out).toBe('count 10 true\n');
  expect((await cli('list')).out).toMatch(/asked +COMPLETED[^]*Fails +FAILED .*three is not allowed/);
});

test('stop ends a run of another process, by its name', async () => {
  const running = spawnCli('run', join(programs, 'contexts.ts#AfterStop'));
  const end = ended(running);
  await expect.poll(async () => (await records('AfterStop')).map(({ state }) => state), { timeout: 20_000 }).toEqual(['RUNNING']);
  expect(await cli('stop', 'AfterStop')).toMatchObject({ code: 0, out: expect.stringMatching(/^run-\w+ KILLED\n$/) as string });
  expect((await end).code).toBe(130);
});

test('SIGTERM stops the program, not only its process', async () => {
  const running = spawnCli('run', join(programs, 'contexts.ts#AfterStop'));
  const end = ended(running);
  const waiting = once(running.stdout!, 'data');
  await waiting;
  running.kill('SIGTERM');
  expect(await end).toMatchObject({ code: 130, out: expect.stringContaining('destroyed KILLED') as string });
});

test.each([
  { args: ['run'], code: 2, says: 'no program is given' },
  { args: ['run', 'nowhere.ts'], code: 1, says: 'SP_PROGRAM_NO_SUCH_FILE' },
  { args: ['run', '--conf', 'program.stop.grace=soon', 'x.ts'], code: 1, says: 'program.stop.grace' },
  { args: ['stop', 'nobody'], code: 1, says: 'SP_PROGRAM_NO_SUCH_RUN' },
  { args: ['logs'], code: 2, says: 'which run?' },
  { args: ['fly', 'x'], code: 2, says: 'expected run, runs, list, stop or logs' },
])('$args is told what is wrong', async ({ args, code, says }) => {
  const { code: actual, err } = await cli(...args);
  expect({ code: actual, err }).toMatchObject({ code, err: expect.stringContaining(says) as string });
});
