import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

// Tests run on Node's own module loader (no bundler in between), so they load code exactly as users do.
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    execArgv: ['--import', new URL('./src/register.ts', import.meta.url).href],
    globalSetup: ['test/global-setup.ts'],
    // One less than the machine has would be one on two cores, while most tests wait for processes.
    maxWorkers: Math.max(2, Math.floor(availableParallelism() / 2)),
    testTimeout: 60_000,
    hookTimeout: 60_000,
    experimental: { viteModuleRunner: false },
  },
});
