import { canGenerateCode } from '../../src/aspects/chain.ts';
import { asynchronous, inheritance, members, order, synchronous } from './semantics.ts';
import { construction, switching } from './switching.ts';

/** Runs the semantic cases in this process and reports as JSON; started with --disallow-code-generation-from-strings. */
const failed: string[] = [];
let passed = 0;
for (const [name, run] of [synchronous, order, asynchronous, members, inheritance, switching, construction].flatMap((cases) => Object.entries(cases))) {
  try {
    await run();
    passed++;
  } catch (error) {
    failed.push(`${name}: ${(error as Error).stack}`);
  }
}
process.stdout.write(JSON.stringify({ generates: canGenerateCode(), failed, passed }));
