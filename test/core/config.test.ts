import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { loadConfiguration, readProperties } from '../../src/core/config.ts';

const directory = mkdtempSync(join(tmpdir(), 'conf-'));
afterAll(() => rmSync(directory, { recursive: true }));

function properties(content: string): string {
  const path = join(directory, `${Math.random().toString(36).slice(2)}.properties`);
  writeFileSync(path, content);
  return path;
}

const load = (content: string) => loadConfiguration({ env: {}, propertiesFile: properties(content) });

test('a properties file with BOM, CRLF, comments and both separators is read', () => {
  const conf = load('\ufeff# comment\r\nhost.selector = ROUND_ROBIN\r\n! other\r\nworker.slots: 3\r\nregistry.ttl 9s\r\n');
  expect(conf.get('host.selector')).toBe('ROUND_ROBIN');
  expect(conf.get('worker.slots')).toBe(3);
  expect(conf.get('registry.ttl')).toBe(9000);
});

test('an unknown key is named with its file and line, and the nearest known one', () => {
  expect(() => load('worker.slots=1\nreschedule.dst.exekutor=internal\n')).toThrow(
    /reschedule\.dst\.exekutor \(.*\.properties:2\)[^]*did you mean reschedule\.dst\.executor/,
  );
});

test.each([
  ['reschedule.dst.executor=outside', /expected one of external, internal/],
  ['worker.slots=many', /expected a whole number/],
  ['worker.slots=0', /worker\.slots = 0/],
  ['registry.ttl=soon', /expected a duration such as 30s/],
  ['spark.driver.maxResultSize=lots', /expected a size such as 512m/],
  ['spark.master=yarn', /expected local, local\[N\]/],
])('a bad value is refused with its line: %s', (line, message) => {
  expect(() => load(`\n${line}\n`)).toThrow(message);
  expect(() => load(`\n${line}\n`)).toThrow(/\.properties:2/);
});

test('a key set twice and a line that is no property are refused with their lines', () => {
  expect(() => readProperties(properties('a.b=1\n\na.b=2\n'))).toThrow(/a\.b is set twice \(.*:3, first at line 1\)/);
  expect(() => readProperties(properties('a.b=1\n=x\n'))).toThrow(/:2: not a property/);
});

test('later layers win: file, SparkConf, environment, flags; each value says where it came from', () => {
  const file = properties('worker.slots=1\nhost.selector=RANDOM\nworker.labels=a=1\nlog.level=info\n');
  const conf = loadConfiguration({
    propertiesFile: file,
    conf: [
      ['spark.proxy.worker.slots', '2'],
      ['host.selector', 'ROUND_ROBIN'],
      ['spark.app.mine', 'x'],
    ],
    env: { SPARK_PROXY_WORKER_SLOTS: '3' },
    flags: [['worker.slots', '4']],
  });
  expect(conf.get('worker.slots')).toBe(4);
  expect(conf.get('host.selector')).toBe('ROUND_ROBIN');
  const from = Object.fromEntries(conf.effective().map(({ key, where }) => [key, where]));
  expect(from['worker.slots']).toBe('command line');
  expect(from['host.selector']).toBe('SparkConf');
  expect(from['log.level']).toBe(`${file}:4`);
  expect(from['spark.master']).toBe('default');
});

test('common.properties is found in the Spark conf dir before the external one', () => {
  const other = mkdtempSync(join(directory, 'x-'));
  writeFileSync(join(directory, 'common.properties'), 'worker.slots=5\n');
  writeFileSync(join(other, 'common.properties'), 'worker.slots=6\n');
  expect(loadConfiguration({ env: { EXTERNAL_SPARK_CONF_DIR: other } }).get('worker.slots')).toBe(6);
  expect(loadConfiguration({ env: { SPARK_CONF_DIR: directory, EXTERNAL_SPARK_CONF_DIR: other } }).get('worker.slots')).toBe(5);
});

test('a file that cannot be read is an error', () => {
  expect(() => readProperties(join(directory, 'none'))).toThrow(/cannot be read/);
});
