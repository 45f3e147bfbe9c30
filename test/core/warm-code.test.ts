import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { keepingCodeWarm } from '../../src/core/warm-code.ts';

test('this Node knows the flag', () => {
  const { status, stderr } = spawnSync(process.execPath, [...keepingCodeWarm(), '-e', '']);
  expect(stderr.toString()).toBe('');
  expect(status).toBe(0);
});

test('a V8 that was never seen to know the flag is not given it', () => {
  expect(keepingCodeWarm('13.6.233.17-node.42')).toEqual([expect.stringMatching(/^--no-/)]);
  expect(keepingCodeWarm('12.4.254.21-node.33')).toEqual([]);
  expect(keepingCodeWarm('99.1.2.3')).toEqual([]);
});
