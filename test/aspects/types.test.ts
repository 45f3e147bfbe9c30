import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const require = createRequire(import.meta.url);
const tsc = join(dirname(require.resolve('typescript/package.json')), 'bin', 'tsc');

/** The projects hold lines marked @ts-expect-error, so both what must compile and what must not are checked. */
test.each(['types-standard', 'types-legacy'])(
  '%s compiles',
  (project) => {
    const child = spawnSync(process.execPath, [tsc, '-p', fileURLToPath(new URL(`./${project}/`, import.meta.url))], { encoding: 'utf8' });
    expect(child.stdout).toBe('');
    expect(child.status).toBe(0);
  },
  120_000,
);
