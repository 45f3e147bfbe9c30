/**
 * Test suites of well-known packages that their npm tarballs contain, at the versions of package-lock.json, run as they are and with
 * everything woven. What they need beside the package and is not installed keeps some files from running at all; those are left out.
 */
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { basename, dirname, join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { globSync } from 'tinyglobby';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const HERE = fileURLToPath(new URL('.', import.meta.url));
const PRELOAD = pathToFileURL(join(ROOT, 'dist/aspects/preload.js')).href;

export interface Suite {
  readonly package: string;
  readonly format: 'ESM' | 'CommonJS';
  readonly runner: 'node:test' | 'vitest';
  /** Of its tests, below the package. */
  readonly files: string;
  readonly except?: readonly string[];
}

export const SUITES: readonly Suite[] = [
  { package: 'find-my-way', format: 'CommonJS', runner: 'node:test', files: 'test/**/*.test.js' },
  { package: 'light-my-request', format: 'CommonJS', runner: 'node:test', files: 'test/*.test.js' },
  { package: 'fastify', format: 'CommonJS', runner: 'node:test', files: 'test/**/*.test.js' },
  { package: 'zod', format: 'ESM', runner: 'vitest', files: 'src/v{3,4}/**/*.test.ts' },
];

export interface SuiteResult {
  readonly passed: readonly string[];
  readonly failed: readonly string[];
  /** Times the advice ran. */
  readonly calls: number;
  readonly output: string;
}

/** Files of a suite, as paths. */
export function filesOf({ package: name, files, except = [], runner }: Suite): string[] {
  const cwd = join(ROOT, 'node_modules', name);
  const found = globSync(files, { cwd, absolute: true, ignore: ['**/types/**', ...except] }).sort();
  // Tests of parts that the package does not export would take those from their sources, which are not what is woven.
  return runner === 'vitest' ? found.filter((path) => !/from ['"]\.|\b(?:import|require)\(|%ENTRY%/.test(readFileSync(path, 'utf8'))) : found;
}

/** Runs test files of a suite; woven when asked to. */
export async function runSuite(suite: Suite, files: readonly string[], woven: boolean): Promise<SuiteResult> {
  const scratch = mkdtempSync(join(tmpdir(), 'spark-proxy-suite-'));
  const counts = join(scratch, 'calls');
  writeFileSync(counts, '');
  const own = Object.entries(process.env).filter(([name]) => !/^(NODE_OPTIONS|NODE_TEST_CONTEXT|VITEST.*|SPARK_PROXY_.*)$/.test(name));
  const env: NodeJS.ProcessEnv = { ...Object.fromEntries(own), NO_COLOR: '1', NODE_ENV: 'test', SUITE_PACKAGE: suite.package };
  if (woven) Object.assign(env, { SPARK_PROXY_ASPECTS: join(HERE, 'aspects.ts'), SUITE_CALLS: counts });
  try {
    const preload = woven ? ['--import', PRELOAD] : [];
    const run = suite.runner === 'vitest' ? runVitest : runNodeTest;
    const { lines, output } = await run(suite, files, preload, env, scratch);
    const calls = readFileSync(counts, 'utf8')
      .split('\n')
      .reduce((sum, line) => sum + Number(line), 0);
    const named = (kind: string): string[] => lines.flatMap((line) => (line.startsWith(`${kind}\t`) ? [line.slice(kind.length + 1)] : [])).sort();
    return { passed: named('ok'), failed: named('not ok'), calls, output };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

type Run = (
  suite: Suite,
  files: readonly string[],
  preload: readonly string[],
  env: NodeJS.ProcessEnv,
  scratch: string,
) => Promise<{ readonly lines: readonly string[]; readonly output: string }>;

function execute(args: readonly string[], cwd: string, env: NodeJS.ProcessEnv): Promise<{ stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    // Tests that fail end it with 1.
    execFile(process.execPath, [...args], { cwd, env, maxBuffer: 256 * 1024 * 1024, timeout: 1_200_000 }, (_error, stdout, stderr) =>
      resolve({ stdout, stderr }),
    );
  });
}

const runNodeTest: Run = async (suite, files, preload, env) => {
  const reporter = pathToFileURL(join(HERE, 'reporter.mjs')).href;
  const args = [...preload, '--test', `--test-reporter=${reporter}`, `--test-concurrency=${availableParallelism()}`, '--test-timeout=120000', ...files];
  const { stdout, stderr } = await execute(args, join(ROOT, 'node_modules', suite.package), env);
  return { lines: stdout.split('\n'), output: `${stdout}\n${stderr}` };
};

/** The tests are copied out of node_modules, where no runner compiles TypeScript; the package is what they import by name. */
const runVitest: Run = async (suite, files, preload, env) => {
  const base = join(ROOT, '.cache');
  mkdirSync(base, { recursive: true });
  const directory = mkdtempSync(join(base, 'suite-'));
  try {
    const from = join(ROOT, 'node_modules', suite.package);
    for (const file of files) {
      const to = join(directory, relative(from, file));
      mkdirSync(dirname(to), { recursive: true });
      cpSync(file, to);
    }
    // Tests of a few files do not disturb each other; of all files some do.
    const processes = files.length < 20 ? { isolate: false, maxWorkers: 1 } : {};
    const output = { reporters: ['json'], outputFile: 'report.json' };
    const config = { test: { include: ['**/*.test.ts'], pool: 'forks', execArgv: preload, testTimeout: 120_000, ...processes, ...output } };
    writeFileSync(join(directory, 'vitest.config.mjs'), `export default ${JSON.stringify(config)};\n`);
    const { stdout, stderr } = await execute([join(ROOT, 'node_modules/vitest/vitest.mjs'), 'run', '--root', directory], directory, env);
    const report = JSON.parse(readFileSync(join(directory, 'report.json'), 'utf8')) as {
      testResults: { name: string; status: string; assertionResults: { fullName: string; status: string }[] }[];
    };
    const lines = report.testResults.flatMap(({ name, status, assertionResults }) => [
      ...(assertionResults.length === 0 && status !== 'passed' ? [`not ok\t${basename(name)}\t(file)`] : []),
      ...assertionResults.map(
        (one) => `${one.status === 'passed' ? 'ok' : one.status === 'failed' ? 'not ok' : 'skipped'}\t${basename(name)}\t${one.fullName}`,
      ),
    ]);
    return { lines, output: `${stdout}\n${stderr}` };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
};
