import { BATCH } from './cases.ts';
import { ALL_CASES } from './all-cases.ts';

/** Measures one case in a process of its own: a message with the milliseconds to spend is answered with ns per call. */
const batch = await ALL_CASES.find((one) => one.name === process.argv[2])!.setup();
let kept = 0;
let n = 10;

function runSync(count: number): void {
  for (let i = 0; i < count; i++) kept ^= batch() as number;
}

async function runAsync(count: number): Promise<void> {
  for (let i = 0; i < count; i++) kept ^= await batch();
}

const isAsync = batch() instanceof Promise;

/** Nanoseconds that `count` batches take. By the clock: kernels that count processor time by ticks cannot tell one call from two. */
async function time(count: number): Promise<number> {
  const start = process.hrtime.bigint();
  if (isAsync) await runAsync(count);
  else runSync(count);
  return Number(process.hrtime.bigint() - start);
}

/** So short that others on the machine let most samples alone: the least is what the work takes. */
const SAMPLE_NS = 2e6;

process.on('message', (ms: number) => {
  void (async () => {
    const end = performance.now() + 6 * ms;
    // Grow the batch until it takes the time wanted; this also warms up.
    for (let ns = await time(n); ns < SAMPLE_NS / 2; ns = await time(n)) n = Math.ceil(n * Math.min(8, SAMPLE_NS / Math.max(ns, 1)));
    let best = Infinity;
    do best = Math.min(best, (await time(n)) / n / BATCH);
    while (performance.now() < end);
    process.send!([best, kept]);
  })();
});
process.on('disconnect', () => process.exit(0));
process.send!('ready');
