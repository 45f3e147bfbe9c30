import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { compileCacheDirectory, withCompileCache } from '../../src/core/compile-cache.ts';
import { run } from '../e2e/run-program.ts';

const root = mkdtempSync(join(tmpdir(), 'compile-cache-'));
afterAll(() => rmSync(root, { recursive: true }));

function caches(name: string): string {
  const directory = join(root, name);
  mkdirSync(directory);
  return directory;
}

test("compiled code lies in the user's cache directory, which only this user reads", () => {
  const home = caches('mine');
  const directory = compileCacheDirectory({ XDG_CACHE_HOME: home });
  expect(directory).toBe(join(home, 'spark-proxy', 'compiled'));
  expect(statSync(join(home, 'spark-proxy')).mode & 0o777).toBe(0o700);
});

test('none is used where others could write it, or where none can be made', () => {
  const open = caches('open');
  chmodSync(open, 0o777);
  expect(compileCacheDirectory({ XDG_CACHE_HOME: open })).toBeUndefined();
  expect(readdirSync(open)).toEqual([]);
  expect(compileCacheDirectory({ XDG_CACHE_HOME: join(open, 'new') })).toBeUndefined();
  expect(readdirSync(open)).toEqual([]);
  const entered = caches('entered');
  mkdirSync(join(entered, 'spark-proxy'));
  chmodSync(join(entered, 'spark-proxy'), 0o770);
  expect(compileCacheDirectory({ XDG_CACHE_HOME: entered })).toBeUndefined();
  expect(compileCacheDirectory({ XDG_CACHE_HOME: '/dev/null/x' })).toBeUndefined();
});

test("Node's own variables count", () => {
  expect(compileCacheDirectory({ NODE_COMPILE_CACHE: '/elsewhere' })).toBe('/elsewhere');
  for (const off of ['NODE_DISABLE_COMPILE_CACHE', 'NODE_V8_COVERAGE']) {
    const env = { [off]: '1', NODE_COMPILE_CACHE: '/elsewhere', XDG_CACHE_HOME: root };
    expect(compileCacheDirectory(env)).toBeUndefined();
    expect(withCompileCache(env)).toBe(env);
  }
});

test('a command keeps what it compiled, and does as well without a place for it', async () => {
  const home = caches('command');
  const env = { XDG_CACHE_HOME: home, NODE_COMPILE_CACHE: undefined };
  expect((await run(['conf'], { env })).code).toBe(0);
  const kept = readdirSync(join(home, 'spark-proxy', 'compiled'), { recursive: true });
  expect(kept.length).toBeGreaterThan(20);
  const without = await run(['conf'], { env: { ...env, XDG_CACHE_HOME: '/dev/null/x' } });
  expect(without).toMatchObject({ code: 0, stderr: '' });
});
