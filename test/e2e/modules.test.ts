import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import { loadConfiguration } from '../../src/core/config.ts';
import { capture } from '../../src/reschedule/index.ts';
import { SparkContext } from '../../src/scheduler/spark-context.ts';
import { startWorker, workersOf } from './worker-process.ts';
import { leakCheck } from '../support/leaks.ts';

const ends: (() => unknown)[] = [];
leakCheck();
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

interface Program {
  job(sc: SparkContext): Promise<unknown>;
}

function write(directory: string, files: Record<string, string>): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(directory, name, '..'), { recursive: true });
    writeFileSync(join(directory, name), text);
  }
}

const destination = (sc: SparkContext, where: string): unknown =>
  sc.configuration.take(loadConfiguration({ env: {}, conf: sc.getConf().getAll(), flags: [['reschedule.dst.executor', where]] }));

test('the modules that functions import travel with them: TypeScript, packages, CommonJS, JSON and named files', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'program-'));
  ends.push(() => rmSync(directory, { recursive: true, force: true }));
  write(directory, {
    'package.json': '{"type":"module"}',
    'job.ts': `import { area, readTable } from './lib/geo.ts';
      import tiny from 'tiny';
      export async function job(sc) {
        const rows = await sc.parallelize([1, 2, 3, 4], 4).map((x) => [area(x), tiny.twice(x), readTable()]).collect();
        return rows;
      }`,
    'lib/geo.ts': `import { readFileSync } from 'node:fs';
      import { scale } from './deep.js';
      import table from './table.json' with { type: 'json' };
      enum Side { Two = 2 }
      export const area = (x: number): number => x * x * scale * Side.Two + table.add;
      export const readTable = (): string => readFileSync(new URL('../data/words.txt', import.meta.url), 'utf8');`,
    'lib/deep.ts': 'export const scale: number = 10;',
    'lib/table.json': '{"add": 1}',
    'data/words.txt': 'words',
    'node_modules/tiny/package.json': '{"name":"tiny","main":"main.js"}',
    'node_modules/tiny/main.js': "const { two } = require('./two.js'); exports.twice = (x) => x * two;",
    'node_modules/tiny/two.js': 'exports.two = 2;',
  });
  const conf = { 'transport.url': 'tcp://127.0.0.1:0', 'application.code': join(directory, 'data'), 'spark.master': 'local[1]' };
  const sc = new SparkContext({ 'registry.beat': '100ms', 'registry.ttl': '2s', ...conf });
  ends.push(() => sc.stop());
  const session = capture(sc);
  const worker = await startWorker(await session.url(), { 'worker.host': '127.0.0.2' });
  ends.push(() => worker.close());
  await workersOf(session, 1);
  const ran = new Set<string>();
  sc.addSparkListener({ onTaskEnd: ({ task }) => void ran.add(task.executorId) });
  const { job } = (await import(pathToFileURL(join(directory, 'job.ts')).href)) as Program;
  const expected = [1, 2, 3, 4].map((x) => [x * x * 20 + 1, x * 2, 'words']);
  destination(sc, 'internal');
  expect(await job(sc)).toEqual(expected);
  // The worker's machine has none of it.
  rmSync(directory, { recursive: true });
  destination(sc, 'external');
  expect(await job(sc)).toEqual(expected);
  expect([...ran]).toEqual(['driver', worker.id]);
  const names = readdirSync(worker.localDir, { recursive: true, encoding: 'utf8' });
  expect(names.filter((name) => /geo\.ts$|tiny\/two\.js$|words\.txt$/.test(name)).length).toBe(3);
  expect(existsSync(directory)).toBe(false);
});

test('a worker with an allow-list runs what it names, and refuses the rest without failing itself', async () => {
  const sc = new SparkContext({ 'transport.url': 'tcp://127.0.0.1:0', 'spark.master': 'local[1]', 'spark.task.maxFailures': '1', 'registry.beat': '100ms' });
  ends.push(() => sc.stop());
  const session = capture(sc);
  const worker = await startWorker(await session.url(), { 'worker.allow': 'node:path, /srv/tasks/' });
  ends.push(() => worker.close());
  await workersOf(session, 1);
  const { basename } = await import('node:path');
  const { execSync } = await import('node:child_process');
  expect(
    await sc
      .parallelize(['/a/b', '/c/d'], 2)
      .map(basename as (path: string) => string)
      .collect(),
  ).toEqual(['b', 'd']);
  const refused = /may not run here/;
  await expect(
    sc
      .parallelize(['touch /tmp/never'])
      .map(execSync as (command: string) => unknown)
      .collect(),
  ).rejects.toThrow(refused);
  await expect(
    sc
      .range(3)
      .map((x) => x + 1)
      .collect(),
  ).rejects.toThrow(refused);
  expect(existsSync('/tmp/never')).toBe(false);
  expect(session.stats().dispatcher?.workers.filter((w) => w.alive).length).toBe(1);
});
