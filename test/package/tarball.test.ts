import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import manifest from '../../package.json' with { type: 'json' };

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

interface Packed {
  readonly filename: string;
  readonly files: readonly { readonly path: string }[];
}

const execute = promisify(execFile);
const directory = mkdtempSync(join(tmpdir(), 'spark-proxy-package-'));
let packed: Packed;

/** This Node first, and nothing of the checkout or of the test run around it. */
function environment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^(NODE_OPTIONS|VITEST.*|SPARK_.*|EXTERNAL_SPARK.*|HADOOP_CONF_DIR|FORCE_COLOR|INIT_CWD|npm_(?!config_).*)$/.test(name),
  );
  const path = (process.env['PATH'] ?? '').split(delimiter).filter((entry) => !entry.includes('node_modules'));
  return { ...Object.fromEntries(kept), NO_COLOR: '1', PATH: [dirname(process.execPath), ...path].join(delimiter) };
}

async function run(command: string, args: readonly string[], cwd = directory): Promise<string> {
  const { stdout } = await execute(command, [...args], { cwd, env: environment(), timeout: 120_000 });
  return stdout;
}

beforeAll(async () => {
  // The scripts would build once more what the test run has just built.
  const reports = JSON.parse(await run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', directory], ROOT)) as
    Packed[] | Record<string, Packed>;
  packed = Object.values(reports)[0] as Packed;
  writeFileSync(join(directory, 'package.json'), JSON.stringify({ name: 'consumer', private: true, type: 'module' }));
  await run('npm', ['install', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund', join(directory, packed.filename)]);
}, 120_000);
afterAll(() => rmSync(directory, { recursive: true, force: true }));

test('the tarball holds the program and its documents, and nothing of the workshop', () => {
  // The agent is there when it was built (npm run build:jvm).
  const ours = packed.files.filter(({ path }) => path !== 'jvm/target/spark-proxy-agent.jar');
  const tops = new Set(ours.map(({ path }) => path.split('/')[0]));
  expect([...tops].sort()).toEqual(['ARCHITECTURE.md', 'CHANGELOG.md', 'LICENSE', 'README.md', 'SECURITY.md', 'bin', 'conf', 'dist', 'package.json', 'sbin']);
  const other = packed.files.filter(({ path }) => path.startsWith('dist/') && !/\.(js|d\.ts)$/.test(path));
  expect(other).toEqual([]);
});

test('installed, every export can be imported', async () => {
  // The last is the main module of a run's thread, and refuses to be anything else.
  const names = Object.keys(manifest.exports).filter((name) => name !== './package.json' && name !== './program/thread');
  const program = names.map((name) => `await import('${name.replace('.', manifest.name)}');`).join('\n');
  writeFileSync(join(directory, 'all.js'), `${program}\nconst { SparkContext } = await import('spark-proxy');\nconsole.log(typeof SparkContext);\n`);
  expect(await run('node', ['all.js'])).toBe('function\n');
});

test('installed, npx runs the command', async () => {
  expect(await run('npx', ['--no-install', 'spark-proxy', '--version'])).toBe(`${manifest.version}\n`);
});

test('installed, a TypeScript program runs inside and on a worker process', async () => {
  writeFileSync(
    join(directory, 'hello.ts'),
    `import { SparkContext } from 'spark-proxy';
const sc: SparkContext = new SparkContext();
const greeting: string = 'hello';
console.log(await sc.parallelize([1, 2, 3], 2).map((x) => \`\${greeting} \${x}\`).collect());
await sc.stop();
`,
  );
  const command = join(directory, 'node_modules', '.bin', 'spark-proxy');
  const expected = "[ 'hello 1', 'hello 2', 'hello 3' ]\n";
  expect(await run(command, ['run', 'hello.ts'])).toBe(expected);
  expect(await run(command, ['run', '--workers', '1', 'hello.ts'])).toBe(expected);
}, 60_000);

/** As a newcomer writes it. */
const SWAP = `import { SparkContext } from 'spark-proxy';
import { SparkProgram } from 'spark-proxy/program';

export class SimpleSpark extends SparkProgram {
  async run(sec) {
    const sc = new SparkContext();
    await sc.fromDataset('SourceDS').map(([k, v]) => [v, k]).saveAsDataset('NewDS');
  }
}
`;
const EXPLICIT = `import { SparkContext } from 'spark-proxy';
import { SparkProgram, type SparkExecutionContext } from 'spark-proxy/program';

export class Fill extends SparkProgram {
  async run(sec: SparkExecutionContext) {
    await sec.admin.create('sums', 'table');
    await new SparkContext().parallelize([['one', 1], ['two', 2]]).saveAsDataset('SourceDS');
  }
}
export class Explicit extends SparkProgram {
  async run(sec: SparkExecutionContext) {
    const sc = new SparkContext();
    await sec.execute(async (ds) => {
      const source = sec.fromDataset(sc, 'SourceDS');
      await source.map(([k, v]) => [v, k]).saveAsDataset('Swapped');
      await ds.table('sums').put('all', { sum: await source.map(([, v]) => v).reduce((a, b) => a + b) });
    });
    for (const name of ['NewDS', 'Swapped', 'sums']) console.log(JSON.stringify(await sc.fromDataset(name).collect()));
  }
}
`;

test('installed, programs over datasets type-check as they are written, and run', async () => {
  writeFileSync(join(directory, 'swap.ts'), SWAP);
  writeFileSync(join(directory, 'explicit.ts'), EXPLICIT);
  // What `tsc --init` sets; a parameter of an overriding method needs its type.
  const options = ['--noEmit', '--strict', '--skipLibCheck', '--target', 'esnext', '--module', 'nodenext'];
  const tsc = join(ROOT, 'node_modules', '.bin', 'tsc');
  await run(tsc, [...options, 'explicit.ts']);
  await run(tsc, [...options, '--noImplicitAny', 'false', 'swap.ts']);
  const command = join(directory, 'node_modules', '.bin', 'spark-proxy');
  await run(command, ['program', 'run', 'explicit.ts#Fill']);
  await run(command, ['program', 'run', 'swap.ts']);
  const pairs = '[[1,"one"],[2,"two"]]';
  expect(await run(command, ['program', 'run', 'explicit.ts#Explicit'])).toBe(`${pairs}\n${pairs}\n[["all",{"sum":3}]]\n`);
}, 120_000);
