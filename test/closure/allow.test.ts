import { execSync } from 'node:child_process';
import { basename } from 'node:path';
import { expect, test } from 'vitest';
import { deserializeGraph, serializeGraph } from '../../src/closure/index.ts';
import { packGraph, Tag } from '../../src/closure/wire.ts';

const refused = (what: string): unknown => expect.objectContaining({ code: 'SP_CLOSURE_NOT_ALLOWED', message: expect.stringContaining(what) });
const load = (value: unknown, allowed: string[]): Promise<unknown> => deserializeGraph(serializeGraph(value).bytes, {}, { allowed });
/** What a hostile sender would write. */
const forged = (specifier: string, parent: string, path: string[], allowed: string[]): Promise<unknown> =>
  deserializeGraph(packGraph({ modules: [], templates: [], nodes: [[Tag.import, specifier, parent, path]], root: [0, 0] }), {}, { allowed });

test('functions of allowed modules and plain data pass', async () => {
  expect(await load({ f: basename, data: [1, new Map([['a', 2]])], round: Math.round }, ['node:path'])).toEqual({
    f: basename,
    data: [1, new Map([['a', 2]])],
    round: Math.round,
  });
});

test('code that travels, modules off the list, and globals that lead elsewhere are refused by code', async () => {
  await expect(load((x: number) => x + 1, ['node:path'])).rejects.toEqual(refused('code that travels'));
  await expect(load(execSync, ['node:path'])).rejects.toEqual(refused('node:child_process'));
  await expect(load(process, ['node:path'])).rejects.toEqual(refused('process'));
  await expect(load(Function, ['node:path'])).rejects.toEqual(refused('Function'));
  // oxlint-disable-next-line no-eval
  await expect(load(eval, ['node:path'])).rejects.toEqual(refused('eval'));
});

test.each([
  ['node:child_process', '', ['exec']],
  ['child_process', '', ['exec']],
  ['../../etc/evil.js', 'file:///srv/tasks/main.js', ['f']],
  ['./../evil.js', 'file:///srv/tasks/main.js', ['f']],
  ['/srv/tasks/../evil.js', '', ['f']],
  ['file:///srv/tasks/%2e%2e/evil.js', '', ['f']],
  ['file:///srv/tasks-evil/a.js', '', ['f']],
  ['data:text/javascript,export const f = 1', '', ['f']],
  ['http://127.0.0.1:1/x.js', '', ['f']],
  ['__proto__', '', ['f']],
  ['node:path', '', ['constructor', 'constructor']],
  ['node:path', '', ['__proto__', 'constructor']],
])('%s of %j, path %j, is never loaded', async (specifier, parent, path) => {
  await expect(forged(specifier, parent, path, ['node:path', '/srv/tasks/'])).rejects.toEqual(refused('module '));
});

test('an allowed file is looked for; that it is missing is another error', async () => {
  await expect(forged('./sums.js', 'file:///srv/tasks/main.js', ['f'], ['/srv/tasks/'])).rejects.toMatchObject({ code: 'SP_CLOSURE_IMPORT' });
});
