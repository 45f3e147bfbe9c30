import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { run } from '../e2e/run-program.ts';

const home = mkdtempSync(join(tmpdir(), 'spark-proxy-example-'));
afterAll(() => rmSync(home, { recursive: true, force: true }));

test('06-datasets: orders are booked in one transaction, or not at all', async () => {
  const example = fileURLToPath(new URL('../../examples/06-datasets/orders.ts', import.meta.url));
  const env = { SPARK_PROXY_PROGRAM_HOME: home, SPARK_PROXY_DATASET_STORE: `sqlite:${join(home, 'datasets.db')}` };
  const { code, stdout, stderr } = await run(['program', 'run', '--conf', 'worker.instances=2', example], { env, timeoutMs: 120_000 });
  expect(code, stderr).toBe(0);
  expect(stdout.split('\n')).toEqual([
    '2026-01-05: 400 earned',
    '2026-01-06: 30 pieces of plum are missing; nothing is booked',
    'apple: 50 left',
    'pear: 50 left',
    'plum: 50 left',
    'days booked: 1',
    'orders seen by tasks: 61',
    '',
  ]);
}, 120_000);
