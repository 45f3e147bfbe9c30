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

/** Nanoseconds of processor time that `count` batches take: what others do on the machine does not count. */
async function time(count: number): Promise<number> {
  const start = process.threadCpuUsage();
  if (isAsync) await runAsync(count);
  else runSync(count);
  const { user, system } = process.threadCpuUsage(start);
  return (user + system) * 1000;
}

process.on('message', (ms: number) => {
  void (async () => {
    // Grow the batch until it takes the time wanted; this also warms up.
    for (let ns = await time(n); ns < ms * 0.5e6; ns = await time(n)) n = Math.ceil(n * Math.min(8, (ms * 1e6) / Math.max(ns, 1)));
    let best = Infinity;
    for (let i = 0; i < 5; i++) {
      const taken = await time(n);
      // Some kernels count processor time by ticks: what is shorter than one says nothing.
      if (taken > 0) best = Math.min(best, taken / n / BATCH);
    }
    process.send!([best, kept]);
  })();
});
process.on('disconnect', () => process.exit(0));
process.send!('ready');
