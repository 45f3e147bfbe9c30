import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { groups } from './cases/index.ts';

for (const [group, cases] of Object.entries(groups)) {
  describe(`weaving, ${group}`, () => {
    for (const [name, run] of Object.entries(cases)) test(name, run);
  });
}

test('all of it holds where code generation is forbidden', () => {
  const child = spawnSync(process.execPath, ['--disallow-code-generation-from-strings', fileURLToPath(new URL('./no-code-generation.ts', import.meta.url))], {
    encoding: 'utf8',
  });
  expect(child.stderr).toBe('');
  const report = JSON.parse(child.stdout) as { generates: boolean; failed: string[]; passed: number };
  expect(report).toEqual({ generates: false, failed: [], passed: Object.values(groups).flatMap((cases) => Object.keys(cases)).length });
});
