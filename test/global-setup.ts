import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TestProject } from 'vitest/node';
import { SHARED_DIRECTORY } from './support/rabbitmq.ts';

/** Tests that start programs through the CLI run what is built, so it is built first. */
export default function setup({ config }: TestProject): () => void {
  const left = config.exclude.filter((pattern) => pattern.startsWith('test/'));
  if (left.length > 0) console.log(`The short run, without ${left.join(', ')}: npm run test:all runs them too, as does CI=true.`);
  // Each file is a process, and many start others: what they compile is kept, which is half of their start.
  process.env['NODE_COMPILE_CACHE'] ??= fileURLToPath(new URL('../node_modules/.cache/spark-proxy-tests', import.meta.url));
  const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc');
  execFileSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], { stdio: 'inherit' });
  // Where test files find servers they share; those watch this process, and end with it.
  const shared = mkdtempSync(join(tmpdir(), 'spark-proxy-shared-'));
  process.env[SHARED_DIRECTORY] = `${shared}|${process.pid}`;
  return () => rmSync(shared, { recursive: true, force: true });
}
