/**
 * Simulates many seeds: `npm run sim -- --seeds 100000 [--from 0]`; prints the first seed that fails.
 * Replays one with its whole trace: `npm run sim -- --seed 1234`.
 */
import { parseArgs } from 'node:util';
import { simulate } from './world.ts';

const { values } = parseArgs({ options: { seeds: { type: 'string', default: '100000' }, from: { type: 'string', default: '0' }, seed: { type: 'string' } } });

function replay(seed: number): void {
  const result = simulate(seed, { trace: true });
  console.log(result.trace.join('\n'));
  console.log(result.violations.length === 0 ? 'no violation' : result.violations.join('\n'));
  process.exitCode = result.violations.length === 0 ? 0 : 1;
}

function many(from: number, count: number): void {
  const started = performance.now();
  const sums: Record<string, number> = {};
  for (let seed = from; seed < from + count; seed++) {
    const result = simulate(seed);
    if (result.violations.length > 0) {
      console.error(`seed ${seed} fails:\n  ${result.violations.join('\n  ')}\nreplay: npm run sim -- --seed ${seed}`);
      process.exitCode = 1;
      return;
    }
    for (const [name, value] of Object.entries(result.sums)) sums[name] = (sums[name] ?? 0) + value;
  }
  console.log(`${count} seeds, no violation, ${((performance.now() - started) / 1000).toFixed(1)} s`, sums);
}

if (values.seed === undefined) many(Number(values.from), Number(values.seeds));
else replay(Number(values.seed));
