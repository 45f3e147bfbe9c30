import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadSelector } from '../../src/selectors/index.ts';
import { task } from '../dispatcher/fixtures.ts';

let from: string;
beforeAll(() => {
  from = mkdtempSync(join(tmpdir(), 'spark-proxy-selector-'));
  const file = (name: string, text: string): void => writeFileSync(join(from, name), text);
  const last = "({ random }) => ({ name: 'LAST', random, select: (_task, hosts) => hosts.at(-1) })";
  file('default.mjs', `export default ${last}`);
  file('named.mjs', `export const createSelector = async (options) => (${last})(options)`);
  file('typed.mts', "export default (o: { random: () => number }) => ({ name: 'TYPED', queueDepth: 1, select: (_t: unknown, hosts: unknown[]) => hosts[0] })");
  file('throws.mjs', "throw new Error('broken on purpose')");
  file('factory-throws.mjs', "export default () => { throw new Error('no licence') }");
  file('nothing.mjs', 'export const x = 1');
  file('no-select.mjs', "export default () => ({ name: 'X' })");
  file('depth.mjs', "export default () => ({ name: 'X', queueDepth: 0, select() {} })");
  mkdirSync(join(from, 'node_modules/my-selector'), { recursive: true });
  file('node_modules/my-selector/package.json', '{"name":"my-selector","version":"1.0.0","type":"module","main":"main.js"}');
  file('node_modules/my-selector/main.js', `export default ${last}`);
});
afterAll(() => rmSync(from, { recursive: true }));

const hosts = ['a', 'b'].map((id) => ({ id, host: id, labels: {}, slots: 1, outstanding: 0, credit: 1 }));
const view = { hosts, version: 1, application: 'app', now: 0, stage: () => undefined };

test.each(['./default.mjs', './named.mjs', 'my-selector'])('%s is loaded and asked', async (name) => {
  const selector = await loadSelector(name, { from });
  expect(selector.name).toBe('LAST');
  expect(selector.select(task(1), hosts, view)?.id).toBe('b');
});

test('TypeScript modules too, and under LOCALITY', async () => {
  expect(await loadSelector('./typed.mts', { from })).toMatchObject({ name: 'TYPED', queueDepth: 1 });
  expect(await loadSelector('LOCALITY:./typed.mts', { from })).toMatchObject({ name: 'LOCALITY:TYPED', queueDepth: 1 });
});

test.each([
  ['./gone.mjs', 'SP_SELECTOR_NOT_LOADED', /gone\.mjs/],
  ['no-such-package', 'SP_SELECTOR_NOT_LOADED', /no-such-package/],
  ['./throws.mjs', 'SP_SELECTOR_NOT_LOADED', /broken on purpose/],
  ['./factory-throws.mjs', 'SP_SELECTOR_BAD_MODULE', /no licence/],
  ['./nothing.mjs', 'SP_SELECTOR_BAD_MODULE', /exports no function/],
  ['./no-select.mjs', 'SP_SELECTOR_BAD_MODULE', /no select/],
  ['./depth.mjs', 'SP_SELECTOR_BAD_MODULE', /queueDepth/],
  ['FASTEST', 'SP_SELECTOR_UNKNOWN', /FASTEST/],
])('%s is refused with %s', async (name, code, message) => {
  await expect(loadSelector(name, { from })).rejects.toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) as string }));
});
