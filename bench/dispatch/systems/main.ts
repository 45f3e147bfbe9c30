/**
 * The client process of a system, or (second argument `worker`) its worker process. The client says `BENCH ready`, then answers
 * `rate MS` with the tasks it had done in so many milliseconds of a closed loop, `trip MS` with the median of single round trips.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { median } from '../../support/row.ts';
import { IN_FLIGHT, SYSTEMS, type Spec } from './contract.ts';

const spec = JSON.parse(process.argv[2] ?? '{}') as Spec;
const system = await SYSTEMS[spec.system]();
const WARM_MS = 300;
const WARM_TASKS = 30_000;
const WARM_AT_MOST_MS = 5000;

async function asWorker(): Promise<void> {
  process.on('disconnect', () => process.exit());
  await system.worker(spec);
  process.send?.('ready');
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function asClient(): Promise<void> {
  const workers: ChildProcess[] = [];
  const startWorker = async (its: Spec): Promise<void> => {
    const worker = fork(import.meta.filename, [JSON.stringify(its), 'worker']);
    workers.push(worker);
    const ended = once(worker, 'exit').then(() => Promise.reject(new Error(`the worker of ${spec.key} ended`)));
    await Promise.race([once(worker, 'message'), ended]);
    ended.catch(() => undefined);
  };
  let done = 0;
  let next: (tasks: number) => void = () => undefined;
  const client = await system.client(
    spec,
    (tasks) => {
      done += tasks;
      next(tasks);
    },
    startWorker,
  );

  /** Everything is counted, from the first task to the last answer: systems that answer in bursts have no fair window in between. */
  async function rate(ms: number): Promise<{ tasks: number; ms: number }> {
    const [began, start] = [done, performance.now()];
    let underWay = 0;
    let stopping = false;
    let finish: () => void = () => undefined;
    const finished = new Promise<void>((resolve) => (finish = resolve));
    const submit = (): void => {
      underWay += spec.frame;
      client.submit(spec.frame);
    };
    let answered = 0;
    next = (tasks) => {
      underWay -= tasks;
      answered += tasks;
      for (; answered >= spec.frame; answered -= spec.frame) if (!stopping) submit();
      if (stopping && underWay === 0) finish();
    };
    while (underWay < IN_FLIGHT) submit();
    await pause(ms);
    stopping = true;
    await finished;
    return { tasks: done - began, ms: performance.now() - start };
  }

  async function trip(ms: number): Promise<number> {
    const times: number[] = [];
    const start = performance.now();
    for (let now = start; now - start < ms || times.length < 10;) {
      await new Promise<void>((resolve) => {
        next = () => resolve();
        client.submit(1);
      });
      const end = performance.now();
      times.push(end - now);
      now = end;
    }
    return median(times);
  }

  // Compiled code is what is measured: a slow or busy machine takes longer to get there.
  const began = performance.now();
  while (done < WARM_TASKS && performance.now() - began < WARM_AT_MOST_MS) await rate(WARM_MS);
  await trip(WARM_MS / 3);
  console.log('BENCH ready');
  for await (const line of createInterface({ input: process.stdin })) {
    const [what, ms] = line.split(' ');
    if (what === 'end') break;
    console.log(`BENCH ${JSON.stringify(what === 'rate' ? await rate(Number(ms)) : await trip(Number(ms)))}`);
  }
  await Promise.race([client.close(), pause(3000)]);
  for (const worker of workers) worker.disconnect();
  process.exit();
}

await (process.argv[3] === 'worker' ? asWorker() : asClient());
