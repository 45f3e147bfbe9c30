import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { run } from '../e2e/run-program.ts';

const home = mkdtempSync(join(tmpdir(), 'spark-proxy-example-'));
afterAll(() => rmSync(home, { recursive: true, force: true }));

test('04-programs: a workflow fills a dataset and swaps it', async () => {
  const example = fileURLToPath(new URL('../../examples/04-programs/programs.ts', import.meta.url));
  const env = { SPARK_PROXY_PROGRAM_HOME: home, SPARK_PROXY_DATASET_STORE: `sqlite:${join(home, 'datasets.db')}` };
  const { code, stdout, stderr } = await run(['program', 'run', `${example}#Nightly`], { env, timeoutMs: 120_000 });
  expect(code, stderr).toBe(0);
  expect(stdout).toBe('60 plum\n90 pear\n120 apple\nall swapped\n');
});
