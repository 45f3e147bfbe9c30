/**
 * Simulates many seeds: `node test/simulation/run.ts --seeds 10000 [--from 0]`; prints the first seed that fails.
 * Replays one with its whole trace: `node test/simulation/run.ts --seed 1234`.
 */
import { parseArgs } from 'node:util';
import { simulate } from './world.ts';

const { values } = parseArgs({ options: { seeds: { type: 'string', default: '1000' }, from: { type: 'string', default: '0' }, seed: { type: 'string' } } });

function replay(seed: number): void {
  const result = simulate(seed);
  console.log(result.trace.join('\n'));
  console.log(result.violations.length === 0 ? 'no violation' : result.violations.join('\n'));
  process.exitCode = result.violations.length === 0 ? 0 : 1;
}

function many(from: number, count: number): void {
  const started = performance.now();
  const sum = { submitted: 0, events: 0, finished: 0, retried: 0, fenced: 0, handedBack: 0, resent: 0, wasted: 0 };
  for (let seed = from; seed < from + count; seed++) {
    const result = simulate(seed);
    if (result.violations.length > 0) {
      console.error(`seed ${seed} fails:\n  ${result.violations.join('\n  ')}\nreplay: npm run sim -- --seed ${seed}`);
      process.exitCode = 1;
      return;
    }
    for (const key of Object.keys(sum) as (keyof typeof sum)[]) sum[key] += result[key];
  }
  console.log(`${count} seeds, no violation, ${((performance.now() - started) / 1000).toFixed(1)} s`, sum);
}

if (values.seed === undefined) many(Number(values.from), Number(values.seeds));
else replay(Number(values.seed));
