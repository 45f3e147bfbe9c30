import { availableParallelism, totalmem } from 'node:os';
import { defineConfig } from 'vitest/config';

// Tests run on Node's own module loader (no bundler in between), so they load code exactly as users do.
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
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
