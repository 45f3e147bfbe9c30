import { defineConfig } from 'vitest/config';

// Tests run on Node's own module loader (no bundler in between), so they load code exactly as users do.
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    execArgv: ['--import', new URL('./src/register.ts', import.meta.url).href],
    globalSetup: ['test/global-setup.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    experimental: { viteModuleRunner: false },
  },
});
