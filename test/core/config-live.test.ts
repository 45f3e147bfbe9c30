import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { watchConfiguration, type ConfigurationWatch } from '../../src/core/config-live.ts';
import { loadConfiguration, type Configuration } from '../../src/core/config.ts';
import type { ConfigKey } from '../../src/core/config-schema.ts';
import { editProperties, parseProperties, replaceFile } from '../../src/core/properties.ts';

let directory: string;
let file: string;
let watching: ConfigurationWatch | undefined;
let configuration: Configuration;
let logged: string[];
const note = (message: string): void => void logged.push(message);
const logger = { debug: note, info: note, warn: note, error: note };

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'live-'));
  file = join(directory, 'common.properties');
  logged = [];
});
afterEach(() => {
  watching?.close();
  rmSync(directory, { recursive: true });
});

function begin(content: string, flags: [string, string][] = [], signal = false): void {
  writeFileSync(file, content);
  const sources = { env: { EXTERNAL_SPARK_CONF_DIR: directory }, flags };
  configuration = loadConfiguration(sources);
  watching = watchConfiguration(configuration, sources, { logger, signal });
}

/** Resolves when the key is changed. */
const change = (key: ConfigKey): Promise<void> =>
  new Promise((resolve) => {
    const off = configuration.onChange((changed) => {
      if (changed !== key) return;
      off();
      resolve();
    });
  });

test('an edit takes effect while the process runs: written in place, replaced by another file, and again', async () => {
  begin('reschedule.dst.executor = external\ntask.timeout = 10s\n');
  let changed = change('reschedule.dst.executor');
  writeFileSync(file, 'reschedule.dst.executor = internal\ntask.timeout = 10s\n');
  await changed;
  expect(configuration.get('reschedule.dst.executor')).toBe('internal');
  changed = change('task.timeout');
  writeFileSync(`${file}~`, 'reschedule.dst.executor = internal\ntask.timeout = 20s\n');
  renameSync(`${file}~`, file);
  await changed;
  expect(configuration.get('task.timeout')).toBe(20_000);
  changed = change('host.selector');
  replaceFile(file, 'host.selector=LEAST_LOADED\n');
  await changed;
  expect(configuration.get('reschedule.dst.executor')).toBe('external');
  expect(configuration.effective().find(({ key }) => key === 'host.selector')?.where).toBe(`${file}:1`);
});

test.each([
  ['a bad value', 'log.level=info\ntask.timeout=soon\n', /task\.timeout = soon.*common\.properties:2/],
  ['an unknown key', 'log.level=info\n\ntask.timout=1s\n', /task\.timout.*common\.properties:3/],
  ['a key set twice', 'log.level=info\nlog.level=debug\n', /log\.level is set twice .*:2, first at line 1/],
  ['a line that is none', 'log.level=info\n=\n', /common\.properties:2: not a property/],
  ['control characters', 'log.level=info\nspark.app.name=a\u001b[2Jb\n', /common\.properties:2: not a property/],
])('%s is refused with its file and line, and all old values stay', (_name, content, message) => {
  begin('task.timeout = 10s\n');
  writeFileSync(file, content);
  expect(watching?.reload()).toBe(false);
  expect(logged.join('\n')).toMatch(/an edit is refused, the old values stay/);
  expect(logged.join('\n')).toMatch(message);
  expect(configuration.get('task.timeout')).toBe(10_000);
  expect(configuration.get('log.level')).toBe('warn');
});

test('a file that has gone changes nothing; BOM and CRLF are read; flags stay stronger; what needs a new start is named', () => {
  begin('task.timeout = 10s\n', [['log.level', 'error']]);
  rmSync(file);
  expect(watching?.reload()).toBe(false);
  expect(configuration.get('task.timeout')).toBe(10_000);
  writeFileSync(file, '\ufefftask.timeout = 30s\r\nworker.slots = 7\r\nlog.level = debug\r\n');
  expect(watching?.reload()).toBe(true);
  expect(configuration.get('task.timeout')).toBe(30_000);
  expect(configuration.get('log.level')).toBe('error');
  expect(configuration.get('worker.slots')).toBe(1);
  expect(logged).toContain('changed, but read only at the start of a process');
});

test('SIGHUP reads the file again, without any event of the file system', async () => {
  begin('task.timeout = 10s\n', [], true);
  const changed = change('task.timeout');
  writeFileSync(file, 'task.timeout = 40s\n');
  process.kill(process.pid, 'SIGHUP');
  await changed;
  expect(configuration.get('task.timeout')).toBe(40_000);
});

test('an edit of one key keeps the rest of the file as it is, byte for byte', () => {
  const content = '\ufeff# ours\r\nworker.slots : 3\r\n! x\r\nlog.level info';
  const edited = editProperties(content, 'worker.slots', '4', file);
  expect(edited).toBe('\ufeff# ours\r\nworker.slots = 4\r\n! x\r\nlog.level info\r\n');
  expect(editProperties(edited, 'log.level', undefined, file)).toBe('\ufeff# ours\r\nworker.slots = 4\r\n! x\r\n');
  expect(editProperties('', 'a.b', 'c d = e', file)).toBe('a.b = c d = e\n');
  expect(parseProperties(editProperties('a=1\n', 'b', '$(id) `id`;x', file), file).get('b')?.value).toBe('$(id) `id`;x');
  for (const [key, value] of [
    ['a', 'x\ny=1'],
    ['a b', '1'],
    ['#a', '1'],
    ['', '1'],
    ['a', ' x '],
    ['a', 'x\0'],
  ])
    expect(() => editProperties('', key as string, value, file), JSON.stringify([key, value])).toThrow('not a property');
  replaceFile(file, edited);
  expect(readFileSync(file, 'utf8')).toBe(edited);
  expect(readdirSync(directory)).toEqual(['common.properties']);
});
