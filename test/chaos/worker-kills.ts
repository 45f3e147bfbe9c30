/**
 * Jobs run without a pause while worker processes are killed with SIGKILL, those that hold tasks first, and started again:
 * `npm run chaos -- worker [times]`, and `npm run chaos -- churn [seconds]` with 20 of them. Every record of every job is counted where it ends up: none may be lost, none there twice.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as wait } from 'node:timers/promises';
import { capture, type RescheduleSession } from '../../src/reschedule/index.ts';
import { SparkContext } from '../../src/scheduler/spark-context.ts';
import { startWorker, type WorkerProcess } from '../e2e/worker-process.ts';

export interface WorkerKills {
  readonly kills: number;
  /** Of these, how many held tasks at that moment. */
  readonly atWork: number;
  readonly jobs: number;
  readonly tasks: number;
  /** Records that were expected and missing, or there more often than once, and jobs that failed. */
  readonly lost: number;
  readonly double: number;
  readonly failures: readonly string[];
  /** Tasks that were leased again, and late results that were refused. */
  readonly retried: number;
  readonly fenced: number;
  readonly seconds: number;
}

const CONF = {
  'spark.master': 'local[1]',
  'transport.url': 'tcp://127.0.0.1:0',
  'registry.beat': '250ms',
  // Until a dead worker is missed, all wait for what it held; one that is only slow is fenced.
  'registry.ttl': '3s',
  // Chance alone must not end a job: at this rate some tasks are hit many times, and stages lose outputs again and again.
  'dispatch.max.leases': '100',
  'spark.stage.maxConsecutiveAttempts': '100000',
  'log.level': 'error',
};
/** Records of a job, and every how many of them a task pauses, so that it is hit in the middle. */
const RECORDS = 2400;
/** Kills while no job ends; then the killer waits for one: jobs that are never let through would show nothing. */
const KILLS_A_JOB = 10;
const PARTITIONS = 12;

class Tally {
  lost = 0;
  double = 0;
  jobs = 0;
  readonly failures: string[] = [];

  count(times: number, expected: number): void {
    if (times < expected) this.lost += expected - times;
    else this.double += times - expected;
  }
}

type Job = (sc: SparkContext, tally: Tally, directory: string) => Promise<void>;

const slowly = (sc: SparkContext) =>
  sc.range(0, RECORDS, 1, PARTITIONS).map(async (x) => {
    if (x % 100 === 0) await new Promise((resolve) => setTimeout(resolve, 15));
    return x;
  });

/** Effects of three kinds: results, files, accumulators; through one shuffle, none, and none. */
const JOBS: readonly Job[] = [
  async (sc, tally) => {
    const counts = await slowly(sc)
      .map((x): [number, number] => [x % 40, 1])
      .reduceByKey((a, b) => a + b, 6)
      .collect();
    tally.count(counts.length, 40);
    for (const [, count] of counts) tally.count(count, RECORDS / 40);
  },
  async (sc, tally, directory) => {
    const output = join(directory, `out-${tally.jobs}-${Math.random()}`);
    await slowly(sc).saveAsTextFile(output);
    const seen = new Map<string, number>();
    for (const name of readdirSync(output).filter((file) => file.startsWith('part-')))
      for (const line of readFileSync(join(output, name), 'utf8').trimEnd().split('\n')) seen.set(line, (seen.get(line) ?? 0) + 1);
    for (let x = 0; x < RECORDS; x++) tally.count(seen.get(String(x)) ?? 0, 1);
    rmSync(output, { recursive: true });
  },
  async (sc, tally) => {
    const seen = sc.longAccumulator('records');
    await slowly(sc).foreach(() => seen.add(1));
    tally.count(Number(seen.value), RECORDS);
  },
];

export interface KillOptions {
  /** Ends after so many kills, and not before so many seconds. */
  readonly kills: number;
  readonly seconds?: number;
  readonly workers?: number;
  readonly say?: (line: string) => void;
}

/** Kills so many, one after the other, and goes on until what runs then has ended. */
export async function killWorkers({ kills, seconds = 0, workers = 6, say = () => undefined }: KillOptions): Promise<WorkerKills> {
  const began = performance.now();
  const directory = mkdtempSync(join(tmpdir(), 'worker-kills-'));
  const sc = new SparkContext({ ...CONF, 'spark.local.dir': directory });
  const alive = new Set<WorkerProcess>();
  const starting = new Set<Promise<void>>();
  const tally = new Tally();
  let [killed, atWork, started, over] = [0, 0, 0, false];
  try {
    const session = capture(sc);
    const url = await session.url();
    const start = (): void => {
      // A host of its own each: the health of hosts is not what is looked at here.
      const host = `127.0.${1 + Math.floor(started / 250)}.${1 + (started++ % 250)}`;
      const starts = startWorker(url, { 'worker.host': host, 'registry.beat': '250ms', 'registry.ttl': '3s' }).then(
        (worker) => void alive.add(worker),
        (error: Error) => void tally.failures.push(error.message),
      );
      starting.add(starts);
      void starts.then(() => starting.delete(starts));
    };
    let jobEnded = (): void => undefined;
    let sinceJob = 0;
    const run = async (first: number): Promise<void> => {
      for (let at = first; !over; at++) {
        try {
          await (JOBS[at % JOBS.length] as Job)(sc, tally, directory);
        } catch (error) {
          tally.failures.push((error as Error).message);
        }
        tally.jobs++;
        jobEnded();
      }
    };
    for (let i = 0; i < workers; i++) start();
    while (alive.size < Math.min(2, workers)) await Promise.race(starting);
    const running = JOBS.map((_, first) => run(first));
    while ((killed < kills || secondsSince(began) < seconds) && tally.failures.length === 0) {
      await wait(Math.random() * 60);
      if (sinceJob >= KILLS_A_JOB) {
        await new Promise<void>((resolve) => (jobEnded = resolve));
        sinceJob = 0;
      }
      if (alive.size < 2) {
        await Promise.race(starting);
        continue;
      }
      let victim = choose(session, alive);
      // In mid-task, if tasks come soon.
      for (let tries = 0; victim.outstanding === 0 && tries < 100; tries++) {
        await wait(5);
        victim = choose(session, alive);
      }
      if (victim.outstanding > 0) atWork++;
      alive.delete(victim.worker);
      await victim.worker.close();
      killed++;
      sinceJob++;
      start();
      if (killed % 50 === 0) say(`${killed} killed, ${tally.jobs} jobs, ${tally.lost} lost, ${tally.double} double, ${secondsSince(began)} s`);
    }
    over = true;
    await Promise.all(running);
    const { submitted = 0, retried = 0, fenced = 0 } = session.stats().dispatcher ?? {};
    const { lost, double, jobs, failures } = tally;
    return { kills: killed, atWork, jobs, tasks: submitted, lost, double, failures, retried, fenced, seconds: secondsSince(began) };
  } finally {
    over = true;
    await Promise.all(starting);
    await Promise.all([...alive].map((worker) => worker.close()));
    await sc.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

const secondsSince = (began: number): number => Math.round((performance.now() - began) / 100) / 10;

/** One that holds tasks, where there is one; any of these with the same chance. */
function choose(session: RescheduleSession, alive: ReadonlySet<WorkerProcess>): { worker: WorkerProcess; outstanding: number } {
  const held = new Map(session.stats().dispatcher?.workers.map(({ id, outstanding }) => [id, outstanding]));
  const all = [...alive].map((worker) => ({ worker, outstanding: held.get(worker.id) ?? 0 }));
  const busy = all.filter(({ outstanding }) => outstanding > 0);
  const among = busy.length > 0 ? busy : all;
  return among[Math.floor(Math.random() * among.length)] as { worker: WorkerProcess; outstanding: number };
}

/** Prints the figures. True when nothing was lost, and nothing done twice. */
export async function runWorkerChaos(options: KillOptions): Promise<boolean> {
  const { failures, ...figures } = await killWorkers({ ...options, say: (line) => console.log(line) });
  console.log(
    Object.entries(figures)
      .map(([name, value]) => `${name} ${value}`)
      .join(', '),
  );
  for (const failure of failures) console.log(failure);
  return failures.length === 0 && figures.lost === 0 && figures.double === 0;
}
