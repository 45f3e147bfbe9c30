import { availableParallelism, totalmem } from 'node:os';
import { configDefaults, defineConfig } from 'vitest/config';

/**
 * Half of all the time, in a few files: applications on clusters of Spark, whole clusters of ours in which processes and
 * brokers die, packages as they are published. They run with CI=true, by `npm run test:all`, or when paths are named.
 */
const LONG = [
  'test/apache-spark/cluster/{corpus,moves,chaos}.test.ts',
  'test/{chaos,package,weaving-packages}/*.test.ts',
  'test/dataset/invariant.test.ts',
  'test/{dataset,e2e,program}/outside.test.ts',
  'test/e2e/{ends,operator,policies,security,service-rabbitmq,service-redis,verification,worker-faults}.test.ts',
];
const isNamed = process.argv.slice(2).some((argument) => /^(\.\/)?test\b/.test(argument));
const runsAll = process.env['CI'] === 'true' || process.env['TESTS'] === 'all' || isNamed;

// Tests run on Node's own module loader (no bundler in between), so they load code exactly as users do.
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: [...configDefaults.exclude, ...(runsAll ? [] : LONG)],
    pool: 'forks',
    execArgv: ['--import', new URL('./src/register.ts', import.meta.url).href],
    globalSetup: ['test/global-setup.ts'],
    // Tests wait for processes a fifth of their time, so a small machine runs one file more than it has cores. A file of Spark's may need 4 GiB.
    maxWorkers: Math.max(1, Math.min(Math.max(3, Math.floor(availableParallelism() * 0.75)), Math.floor(totalmem() / 2 ** 32))),
    testTimeout: 60_000,
    hookTimeout: 60_000,
    experimental: { viteModuleRunner: false },
  },
});
