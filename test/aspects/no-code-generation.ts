import { canGenerateCode } from '../../src/aspects/chain.ts';
import { groups } from './cases/index.ts';

/** Runs the semantic cases in this process and reports as JSON; started with --disallow-code-generation-from-strings. */
const failed: string[] = [];
let passed = 0;
for (const [name, run] of Object.values(groups).flatMap((cases) => Object.entries(cases))) {
  try {
    await run();
    passed++;
  } catch (error) {
    failed.push(`${name}: ${(error as Error).stack}`);
  }
}
process.stdout.write(JSON.stringify({ generates: canGenerateCode(), failed, passed }));
