import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

test('01-first-path: the main job runs on two worker processes and inside, with the same result', async () => {
  const child = spawn(process.execPath, [fileURLToPath(new URL('../../examples/01-first-path/start.ts', import.meta.url))], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const [code] = (await once(child, 'close')) as [number | null];
  expect(code, stderr).toBe(0);
  expect(stdout.match(/Pi is roughly 3\.14\d+/g)).toHaveLength(2);
  expect(stdout).toMatch(/\d+ words in \d+ characters, \d+ distinct/);
  expect(stdout).toContain('Both ways give the same result.');
  // Progress in plain lines, and a table of where tasks ran: two workers with their pids, then the driver.
  expect(stderr).toMatch(/\[Stage 0:=+>\(8 \+ 0\) \/ 8\]/);
  const workers = [...stderr.matchAll(/^worker-\w+ +(\d+) +external +(\d+)/gm)];
  expect(workers).toHaveLength(2);
  expect(new Set(workers.map(([, pid]) => pid)).size).toBe(2);
  expect(stderr).toMatch(/destination external: \d+ jobs, (\d+) tasks captured at launchTasks, 0 retried/);
  expect(stderr).toMatch(/^driver +\d+ +inside +\d+/m);
});
