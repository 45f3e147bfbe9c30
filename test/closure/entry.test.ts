import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const entry = fileURLToPath(new URL('./fixtures/entry.ts', import.meta.url));
const register = new URL('../../src/register.ts', import.meta.url).href;

function run(args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [...args, entry], { env: { ...process.env, NODE_OPTIONS: '' } }, (error, out, err) => {
      if (error === null) resolve(out);
      else reject(new Error(err));
    });
  });
}

const expected = `the entry runs\n${JSON.stringify({ result: [42, true, true, 5] })}\n`;

test('functions of the entry travel by value, and it runs once, with the preload', async () => {
  expect(await run(['--import', register])).toBe(expected);
});

test('the same with no set-up at all, through the inspector', async () => {
  expect(await run([])).toBe(expected);
});
