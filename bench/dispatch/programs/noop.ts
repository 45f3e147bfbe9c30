// No-op tasks through captured launchTasks: says what it is told to measure, a line of JSON a command.
import { createInterface } from 'node:readline';
import { SparkContext } from 'spark-proxy';

const TASKS = 2000;
const sc = new SparkContext({ 'spark.app.name': 'bench no-op' });
const wide = sc.parallelize(Array(TASKS).fill(0), TASKS);

/** Tasks a second of `count()` on one record a partition, over and over. */
async function tasks(ms: number): Promise<number> {
  const start = performance.now();
  let done = 0;
  let elapsed: number;
  do {
    done += await wide.count();
    elapsed = performance.now() - start;
  } while (elapsed < ms);
  return (done / elapsed) * 1000;
}

/** Milliseconds of a `count()` on as many partitions, one job at a time: the median. */
async function job(ms: number, partitions: number): Promise<number> {
  const narrow = sc.parallelize(Array(partitions).fill(0), partitions);
  const times: number[] = [];
  const start = performance.now();
  for (let now = start; now - start < ms;) {
    await narrow.count();
    const end = performance.now();
    times.push(end - now);
    now = end;
  }
  return times.sort((a, b) => a - b)[times.length >> 1] as number;
}

/** Measures until it no longer gets faster, or for so many milliseconds: the fewer tasks at a time, the longer code takes to be compiled well. */
async function warmUp(ms: number): Promise<void> {
  const start = performance.now();
  for (let best = 0, worse = 0; worse < 4 && performance.now() - start < ms;) {
    const rate = await tasks(750);
    worse = rate > best * 1.02 ? 0 : worse + 1;
    best = Math.max(best, rate);
  }
  await job(300, 1);
}

await warmUp(Number(process.argv[2]));
console.log('BENCH ready');
for await (const line of createInterface({ input: process.stdin })) {
  const [name, ms, partitions] = line.split(' ');
  if (name === 'end') break;
  console.log(`BENCH ${name === 'tasks' ? await tasks(Number(ms)) : await job(Number(ms), Number(partitions))}`);
}
await sc.stop();
