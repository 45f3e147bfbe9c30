import { execFile } from 'node:child_process';
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const entry = fileURLToPath(new URL('./fixtures/entry.ts', import.meta.url));
const register = new URL('../../src/register.ts', import.meta.url).href;

function run(args: readonly string[], program = entry): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [...args, program], { env: { ...process.env, NODE_OPTIONS: '' } }, (error, out, err) => {
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

const closure = new URL('../../src/closure/index.ts', import.meta.url);

/** Prints what becomes of a function that calls `helper` of the other module. */
const main = (name: string): string => `
import { serializeGraph } from ${JSON.stringify(closure.href)};
import { helper } from './${name}';
export const config = { k: 40 };
export interface Config { readonly k: number }
try {
  console.log(serializeGraph((x) => helper(x)).imports.length);
} catch (error) {
  console.log(error.message);
}
`;

async function program(files: Record<string, string>): Promise<string> {
  const directory = realpathSync(mkdtempSync(join(tmpdir(), 'entry-')));
  try {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
    return (await run(['--import', register], join(directory, Object.keys(files)[0] as string))).replaceAll(/[^ ]*\/entry-\w+\//g, '');
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test('what would import the entry is refused with the way there: it would run again in each task', async () => {
  const files = {
    'main.ts': main('helper.ts'),
    'helper.ts': `import { deep } from './deep.ts'; export const helper = (x: number): number => deep(x);`,
    'deep.ts': `import { config } from './main.ts'; export const deep = (x: number): number => x + config.k;`,
  };
  const told = await program(files);
  expect(told).toContain('the task: helper.ts imports deep.ts imports main.ts\n  captured through: function (anonymous) -> helper\n');
  expect(told).toContain('hint: move what deep.ts needs of main.ts to a module of its own');
  // Types are gone before anything is imported.
  expect(
    await program({ ...files, 'deep.ts': `import type { Config } from './main.ts'; export const deep = (x: number, c?: Config): number => x + (c?.k ?? 0);` }),
  ).toBe('1\n');
  const commonjs = `exports.config = { k: 40 }; const { helper } = require('./helper.cjs'); const f = (x) => helper(x);
    try { require(${JSON.stringify(closure.pathname)}).serializeGraph(f); } catch (error) { console.log(error.message); }`;
  const inCommonJs = await program({ 'main.cjs': commonjs, 'helper.cjs': `const main = require('./main.cjs'); exports.helper = (x) => x + main.config.k;` });
  expect(inCommonJs).toContain('helper.cjs imports main.cjs');
});
