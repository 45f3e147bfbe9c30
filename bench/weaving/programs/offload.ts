/** Calls `Sums.add` the way the command line says, and says how long a call takes, in microseconds: one at a time, and many at a time. */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execution, weave } from '../../../src/aspects/index.ts';
import { offload, openOffload } from '../../../src/reschedule/index.ts';
import { DISPATCH_PEERS } from '../../support/peers.ts';
import { Sums } from './sums.ts';

interface Way {
  add(a: number, b: number): Promise<number>;
  close(): Promise<unknown>;
}
interface Piscina {
  run(task: unknown): Promise<number>;
  destroy(): Promise<void>;
}

const AT_A_TIME = 64;

async function open(way: string): Promise<Way> {
  const sums = new Sums();
  if (way === 'direct') return { add: (a, b) => sums.add(a, b), close: async () => undefined };
  if (way === 'piscina') {
    const { Piscina: Pool } = createRequire(join(DISPATCH_PEERS, 'package.json'))('piscina') as { Piscina: new (options: object) => Piscina };
    const filename = fileURLToPath(new URL('./sums.ts', import.meta.url));
    const pool = new Pool({ filename, minThreads: 1, maxThreads: 1, concurrentTasksPerWorker: AT_A_TIME });
    return { add: (a, b) => pool.run({ a, b }), close: () => pool.destroy() };
  }
  weave(Sums, execution('add'), offload());
  const outside = openOffload({
    'worker.instances': '1',
    'transport.url': 'tcp://127.0.0.1:0',
    ...(way === 'offload-deep' ? { 'dispatch.queue.depth': '16' } : {}),
  });
  // What waits for workers does not keep a process alive.
  const alive = setInterval(() => undefined, 1000);
  await outside.url();
  await outside.workers(1);
  clearInterval(alive);
  return { add: (a, b) => sums.add(a, b), close: () => outside.close() };
}

/** The least of five: microseconds a call. */
async function time(way: Way, atATime: number, ms: number): Promise<number> {
  let best = Infinity;
  for (let round = 0; round < 5; round++) {
    const start = performance.now();
    let calls = 0;
    let wrong = 0;
    while (performance.now() - start < ms / 5) {
      const results = await Promise.all(Array.from({ length: atATime }, async (_, i) => (await way.add(i, 1)) === i + 1));
      calls += atATime;
      wrong += results.filter((right) => !right).length;
    }
    if (wrong > 0) throw new Error(`${wrong} of ${calls} results are wrong`);
    best = Math.min(best, ((performance.now() - start) * 1000) / calls);
  }
  return best;
}

const way = await open(process.argv[2]!);
const ms = Number(process.argv[3]);
await time(way, AT_A_TIME, ms);
console.log(JSON.stringify({ one: await time(way, 1, ms), many: await time(way, AT_A_TIME, ms) }));
await way.close();
