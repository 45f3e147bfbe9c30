import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createRuntime, type Runtime } from '../../src/program/runtime.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'spark-proxy-engines-'));
let runtime: Runtime;

/** A project with a packed build of its own, under a version of its own. */
function project(name: string, version: string, tarball: string): string {
  const modules = join(directory, name, 'node_modules');
  mkdirSync(modules, { recursive: true });
  for (const dependency of readdirSync(join(ROOT, 'node_modules'))) {
    if (dependency.startsWith('.') || dependency.startsWith('spark-proxy')) continue;
    symlinkSync(join(ROOT, 'node_modules', dependency), join(modules, dependency));
  }
  execFileSync('tar', ['xzf', tarball, '-C', modules]);
  execFileSync('mv', [join(modules, 'package'), join(modules, 'spark-proxy')]);
  const manifest = join(modules, 'spark-proxy', 'package.json');
  writeFileSync(manifest, JSON.stringify({ ...(JSON.parse(readFileSync(manifest, 'utf8')) as object), version }));
  const program = join(directory, name, 'program.js');
  writeFileSync(
    program,
    `import { SparkContext } from 'spark-proxy';
     import { SparkProgram } from 'spark-proxy/program';
     class Which extends SparkProgram {
       async run() {
         const [sum] = [await new SparkContext().range(5).reduce((a, b) => a + b)];
         console.log(JSON.stringify({ sum, engine: import.meta.resolve('spark-proxy').includes('/${name}/') }));
       }
     }`,
  );
  return program;
}

beforeAll(() => {
  const report = execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', directory], { cwd: ROOT, encoding: 'utf8' });
  const [packed] = Object.values(JSON.parse(report) as Record<string, { readonly filename: string }>);
  for (const [name, version] of [
    ['old', '0.0.8'],
    ['new', '0.0.9'],
  ] as const)
    project(name, version, join(directory, packed!.filename));
  runtime = createRuntime({ home: join(directory, 'home') });
}, 60_000);
afterAll(async () => {
  await runtime.close();
  rmSync(directory, { recursive: true, force: true });
});

test('two packed builds run their programs side by side in one runtime', async () => {
  const conf = { 'dataset.store': `sqlite:${join(directory, 'datasets.db')}` };
  const runs = ['old', 'new'].map((name) => runtime.start(join(directory, name, 'program.js'), { conf }));
  const records = await Promise.all(runs.map(({ ended }) => ended));
  expect(records.map(({ state, cause, engine, program }) => ({ state, cause, engine, program }))).toEqual(
    ['0.0.8', '0.0.9'].map((engine) => ({ state: 'COMPLETED', cause: undefined, engine, program: 'Which' })),
  );
  for (const { runId } of records) expect(readFileSync(runtime.logPath(runId), 'utf8')).toBe('{"sum":10,"engine":true}\n');
});

test('a version that knows no programs is refused, with where it is', () => {
  const manifest = join(directory, 'old', 'node_modules', 'spark-proxy', 'package.json');
  const before = readFileSync(manifest, 'utf8');
  writeFileSync(
    manifest,
    JSON.stringify({ name: 'spark-proxy', version: '0.0.1', exports: { './package.json': './package.json', './register': './dist/register.js' } }),
  );
  try {
    expect(() => runtime.start(join(directory, 'old', 'program.js'))).toThrow(expect.objectContaining({ code: 'SP_PROGRAM_BAD_ENGINE' }) as Error);
  } finally {
    writeFileSync(manifest, before);
  }
});
