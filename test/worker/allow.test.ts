import { expect, test } from 'vitest';
import { parseAllow } from '../../src/cli/worker-allow.ts';

test.each([
  ['*', ['js', 'spark'], undefined],
  ['kind:js', ['js'], undefined],
  ['kind:spark', ['spark'], undefined],
  ['node:path, /srv/tasks/', ['js'], ['node:path', '/srv/tasks/']],
  ['kind:js,kind:spark,lodash', ['js', 'spark'], ['lodash']],
  ['', ['js'], []],
])('%j allows kinds %j and modules %j', (text, kinds, modules) => {
  expect(parseAllow(text)).toEqual({ kinds: new Set(kinds), modules });
});

test.each(['kind:python', '../tasks', './x.js', '/srv/../etc/', '..'])('%s is refused at the start of the worker', (entry) => {
  expect(() => parseAllow(`node:path,${entry}`)).toThrow(expect.objectContaining({ code: 'SP_CLI_USAGE', message: expect.stringContaining('worker.allow') }));
});
