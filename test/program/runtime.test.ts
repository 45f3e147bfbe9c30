import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { loadConfiguration } from '../../src/core/config.ts';
import type { ProgramRun, RunRecord, StartOptions } from '../../src/program/contract.ts';
import { RunRecords } from '../../src/program/records.ts';
import { createRuntime, type Runtime } from '../../src/program/runtime.ts';

let home: string;
let runtime: Runtime;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'spark-proxy-programs-'));
  runtime = createRuntime({ home, configuration: loadConfiguration({ flags: [['program.stop.grace', '3s']] }) });
});

afterEach(async () => {
  await runtime.close();
  rmSync(home, { recursive: true, force: true });
});

const file = (name: string): string => join(fileURLToPath(new URL('./programs', import.meta.url)), name);
const log = ({ runId }: { readonly runId: string }): string => readFileSync(runtime.logPath(runId), 'utf8');

function start(name: string, options: StartOptions = {}): ProgramRun {
  const conf = { 'dataset.store': `sqlite:${join(home, 'datasets.db')}`, 'spark.master': 'local[2]', ...options.conf };
  return runtime.start(file(name), { ...options, conf });
}

async function run(name: string, options: StartOptions = {}): Promise<RunRecord & { readonly log: string }> {
  const record = await start(name, options).ended;
  return { ...record, log: log(record) };
}

/** Resolves when the log of a run holds a text. */
async function written(runId: string, text: string): Promise<void> {
  await expect.poll(() => log({ runId }), { timeout: 20_000, interval: 50 }).toContain(text);
}

describe('a program and its context', () => {
  test.each([
    { program: 'contexts.ts#asked', says: 'count 10 true' },
    { program: 'contexts.ts#Free', says: 'count 10' },
    { program: 'contexts.ts#Given', says: 'partitions 3' },
    { program: 'undeclared.ts', says: 'found 5' },
  ])('$program runs to COMPLETED', async ({ program, says }) => {
    const { state, cause, log: output } = await run(program);
    expect({ state, cause }).toEqual({ state: 'COMPLETED', cause: undefined });
    expect(output).toContain(says);
  });

  test('a file with only a main runs the same', async () => {
    const { state, program, log: output } = await run('only-main.ts', { args: ['a', 'b'] });
    expect({ state, program }).toEqual({ state: 'COMPLETED', program: 'only-main' });
    expect(output).toContain('main a b 100');
  });

  test('a second context is refused, also after the first has stopped', async () => {
    const { state, cause } = await run('contexts.ts#Second');
    expect(state).toBe('FAILED');
    expect(cause).toMatchObject({ code: 'SP_PROGRAM_CONTEXT_EXISTS', message: expect.stringContaining('SparkContext was already created') as string });
  });

  test('a stopped run makes no context, and is told that it was KILLED', async () => {
    const started = start('contexts.ts#AfterStop');
    await written(started.runId, 'waiting');
    const record = await started.stop();
    expect(record.state).toBe('KILLED');
    expect(log(record)).toMatch(/SP_PROGRAM_STOPPED[^]*destroyed KILLED/);
  });

  test('a failed run has the cause in its record, its arguments, and tells destroy', async () => {
    const { state, cause, log: output } = await run('contexts.ts#Fails', { arguments: { day: 'today' }, args: ['x', 'y'] });
    expect(state).toBe('FAILED');
    expect(cause?.message).toContain('three is not allowed');
    expect(output).toMatch(/initialize {"day":"today"} x y[^]*destroyed FAILED true/);
  });

  test('stop ends a job that never would', async () => {
    const started = start('contexts.ts#Endless');
    await written(started.runId, 'endless');
    const record = await started.stop();
    expect({ state: record.state, cause: record.cause }).toEqual({ state: 'KILLED', cause: undefined });
    expect(log(record)).toContain('destroyed KILLED');
  });

  test('a program that hears nothing is ended by force', async () => {
    const started = start('contexts.ts#Stuck');
    await written(started.runId, 'stuck');
    const record = await started.stop();
    expect(record).toMatchObject({ state: 'KILLED', cause: { code: 'SP_PROGRAM_STOP_TIMEOUT' } });
  });

  test('what cannot be found is said', async () => {
    expect(() => start('nothing.ts')).toThrow(expect.objectContaining({ code: 'SP_PROGRAM_NO_SUCH_FILE' }) as Error);
    expect((await run('contexts.ts')).cause).toMatchObject({ code: 'SP_PROGRAM_AMBIGUOUS', message: expect.stringContaining('Free, Given, Second') as string });
    expect((await run('contexts.ts#Nobody')).cause).toMatchObject({ code: 'SP_PROGRAM_NOT_FOUND' });
  });
});

describe('datasets of programs', () => {
  test('the program of the README swaps keys and values; the explicit one commits two actions and a put at once', async () => {
    for (const name of ['Fill', 'SimpleSpark', 'Explicit', 'Print']) {
      const { state, cause, log: output } = await run(`swap.ts#${name}`);
      expect({ name, state, cause }).toEqual({ name, state: 'COMPLETED', cause: undefined });
      if (name !== 'Print') continue;
      expect(output).toContain('NewDS [[1,"one"],[2,"two"],[3,"three"]]');
      expect(output).toContain('Swapped [[1,"one"],[2,"two"],[3,"three"]]');
      expect(output).toContain('Sums [["sum",6]]');
    }
  });
});

describe('isolation', () => {
  test('programs at once have their own modules, globals and configuration', async () => {
    const runs = await Promise.all([3, 5].map((n) => run('globals.ts', { conf: { 'spark.default.parallelism': String(n) } })));
    const said = runs.map(({ log: output }) => JSON.parse(output.split('\n').find((line) => line.startsWith('{')) ?? '{}') as unknown);
    expect(said).toEqual([3, 5].map((parallelism) => ({ runsOfThisModule: 1, before: null, parallelism })));
  });
});

describe('workflows', () => {
  test('run in sequence, side by side and by condition, and hand values on', async () => {
    const record = await run('flow.ts#nightly', { arguments: { rows: '7' } });
    expect({ state: record.state, cause: record.cause, kind: record.kind, program: record.program }).toEqual({
      state: 'COMPLETED',
      cause: undefined,
      kind: 'workflow',
      program: 'nightly',
    });
    expect(record.token).toEqual({
      rows: [{ node: 'steps#Load', value: '7' }],
      side: expect.arrayContaining([
        { node: 'steps#Left', value: 'left' },
        { node: 'steps#Right', value: 'right of 7' },
      ]) as unknown,
      size: [{ node: 'many', value: 'many' }],
    });
    const nodes = runtime.runs().filter(({ workflow }) => workflow?.runId === record.runId);
    expect(nodes.map(({ state }) => state)).toEqual(['COMPLETED', 'COMPLETED', 'COMPLETED']);
  });

  test('a branch that fails ends the others and the workflow', async () => {
    const record = await run('flow.ts#breaking');
    expect(record).toMatchObject({ state: 'FAILED', cause: { code: 'SP_PROGRAM_NODE_FAILED', message: expect.stringContaining('steps#Breaks') as string } });
    expect(runtime.runs('Waits').map(({ state }) => state)).toEqual(['KILLED']);
  });
});

describe('records', () => {
  test('the end of one program starts another, which knows why', async () => {
    const remove = runtime.addTrigger({ program: 'asked', start: { file: file('only-main.ts'), name: 'after' } });
    const { runId } = await run('contexts.ts#asked');
    await expect.poll(() => runtime.runs('after')[0]?.state, { timeout: 20_000 }).toBe('COMPLETED');
    expect(runtime.runs('after')).toMatchObject([{ triggeredBy: runId }]);
    remove();
  });

  test('another process asks for the end of a run through its home', async () => {
    const started = start('contexts.ts#AfterStop');
    await written(started.runId, 'waiting');
    new RunRecords(home).requestStop(started.runId, 'from outside');
    expect((await started.ended).state).toBe('KILLED');
  });

  test('a run whose process is gone has failed', () => {
    const records = new RunRecords(home);
    const lost: RunRecord = {
      ...{ runId: 'run-lost', kind: 'program', program: 'lost', file: 'lost.ts', state: 'RUNNING', startTime: 1, engine: '0', arguments: {} },
      ...{ pid: process.pid, pidStart: -1 },
    };
    records.write(lost);
    expect(records.get('run-lost')).toMatchObject({ state: 'FAILED', cause: { code: 'SP_PROGRAM_PROCESS_GONE' } });
  });
});
