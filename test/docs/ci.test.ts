import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'spark-proxy-ci-'));
const log = join(directory, 'log');
const STEPS = ['ci', 'run services', 'test', 'run lint', 'run typecheck', 'run check:package'];

/** Runs .ci/run with an npm that only writes down what it is asked, and fails at one step. */
function ci(failing?: string): { passed: boolean; steps: string[] } {
  writeFileSync(log, '');
  let passed = true;
  try {
    execFileSync('bash', [join(ROOT, '.ci', 'run')], {
      env: { PATH: `${directory}${delimiter}${process.env['PATH']}`, LOG: log, FAILING: failing ?? '' },
      stdio: 'ignore',
    });
  } catch {
    passed = false;
  }
  return { passed, steps: readFileSync(log, 'utf8').split('\n').slice(0, -1) };
}

beforeAll(() => writeFileSync(join(directory, 'npm'), '#!/bin/sh\necho "$*" >> "$LOG"\ntest "$*" != "$FAILING"\n', { mode: 0o755 }));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

test('.ci/run calls the test line of the README, then the other checks', () => {
  const line = 'npm ci && npm run services && npm test';
  expect(readFileSync(join(ROOT, 'README.md'), 'utf8').split('\n')).toContain(line);
  expect(readFileSync(join(ROOT, '.ci', 'run'), 'utf8')).toContain(line);
  expect(ci()).toEqual({ passed: true, steps: STEPS });
});

test.each(STEPS.map((step, index) => ({ step, index })))('.ci/run ends at the first failure: npm $step', ({ step, index }) => {
  expect(ci(step)).toEqual({ passed: false, steps: STEPS.slice(0, index + 1) });
});
