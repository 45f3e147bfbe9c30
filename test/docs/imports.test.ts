import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { folderImports, importsOf, readTable, violations } from '../../tools/check-imports.ts';

const row = (folder: string, cell: string): string => `| \`src/${folder}/\` | What? | ${cell} |\n`;

test('every folder imports only what its row in ARCHITECTURE.md allows', () => {
  const table = readTable(readFileSync(new URL('../../ARCHITECTURE.md', import.meta.url), 'utf8'));
  const imports = folderImports();
  expect(imports.length).toBeGreaterThan(100);
  expect(violations(table, imports)).toEqual([]);
});

test('a folder that is not named, values where only types are, and a missing row are told with file and line', () => {
  const table = readTable(row('core', 'nothing') + row('rdd', 'core') + row('scheduler', 'rdd (plan types)') + row('cli', 'all'));
  const of = (file: string, source: string): string[] => violations(table, importsOf(file, source));
  expect(of('src/scheduler/a.ts', "import type { R } from '../rdd/r.ts';\nimport { type S } from '../rdd/s.ts';")).toEqual([]);
  expect(of('src/scheduler/a.ts', "\nimport { R } from '../rdd/r.ts';")).toEqual(['src/scheduler/a.ts:2: src/scheduler/ may import types of src/rdd/ only']);
  expect(of('src/rdd/tcp/a.ts', "export * from '../../scheduler/s.ts';")).toEqual(['src/rdd/tcp/a.ts:1: src/rdd/ may not import src/scheduler/']);
  expect(of('src/rdd/a.ts', "await import('../scheduler/s.ts');")).toEqual(['src/rdd/a.ts:1: src/rdd/ may not import src/scheduler/']);
  expect(of('src/new/a.ts', "import '../rdd/r.ts';")).toEqual(['src/new/ has no row in ARCHITECTURE.md']);
  expect(of('src/cli/a.ts', "import '../rdd/r.ts';")).toEqual([]);
  expect(of('src/rdd/a.ts', "import '../core/errors.ts';\nimport './b.ts';\nimport 'node:fs';")).toEqual([]);
  expect(of('src/index.ts', "import './rdd/r.ts';")).toEqual([]);
});

test('all above is the rows above, and a cell that names no folder is refused', () => {
  const table = readTable(row('core', 'nothing') + row('rdd', 'core') + row('reschedule', 'all above') + row('observe', 'core'));
  expect([...(table.get('reschedule')?.folders.keys() ?? [])]).toEqual(['core', 'rdd']);
  expect(violations(table, importsOf('src/reschedule/a.ts', "import '../observe/o.ts';"))).toHaveLength(1);
  expect(() => readTable(row('rdd', 'core and more'))).toThrow('"core and more" in the row of src/rdd/');
  expect(() => readTable(row('rdd', 'shuffle'))).toThrow('src/shuffle/, which has no row');
});
