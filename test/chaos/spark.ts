/**
 * One Spark application runs jobs while, in mid-job, its external executors, their workers, the dispatcher and the broker are
 * killed; `node test/chaos/main.ts spark [times]`. A part that was killed is started again, and the tasks must go out again.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { startRedis, type RedisServer } from '../support/redis.ts';
import { CORPUS, insideTasks, startStandalone, submitApplication, type Application, type EventLog, type SparkCluster } from '../support/spark.ts';
import { startOutside, type Outside } from '../support/spark-outside.ts';

export const SPARK_FAULTS = ['executor', 'worker', 'dispatcher', 'broker'] as const;
export type SparkFault = (typeof SPARK_FAULTS)[number];

const WORKERS = 2;
const LIMIT_MS = 450_000;
/** Longer than registry.ttl: the register center forgets the application meanwhile, and its workers must not. */
const AWAY_MS = 4500;
/** A fault strikes up to so long after a job has begun; a job takes about as long. */
const WITHIN_MS = 800;

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const limit = AbortSignal.timeout(LIMIT_MS);
  while (!(await holds())) {
    if (limit.aborted) throw new Error(`${what}: not within ${LIMIT_MS / 1000} s`);
    await wait(100);
  }
}

export interface SparkChaosResult {
  readonly rounds: number;
  readonly tasks: number;
  readonly inside: number;
  readonly log: EventLog;
}

/** A running application and all that moves its tasks out. */
export class SparkChaos {
  readonly #cluster: SparkCluster;
  readonly #redis: RedisServer;
  readonly #outside: Outside;
  readonly #application: Application;

  private constructor(cluster: SparkCluster, redis: RedisServer, outside: Outside, application: Application) {
    this.#cluster = cluster;
    this.#redis = redis;
    this.#outside = outside;
    this.#application = application;
  }

  static async start(): Promise<SparkChaos> {
    const ends: (() => Promise<void>)[] = [];
    try {
      const cluster = await startStandalone();
      ends.push(cluster.stop);
      const redis = await startRedis();
      ends.push(redis.stop);
      const outside = await startOutside({ url: redis.url, workers: WORKERS, slots: 1 });
      ends.push(outside.stop);
      const application = submitApplication({ master: cluster.master, conf: outside.conf, application: [join(CORPUS, 'steady.py'), '.'] });
      ends.push(application.stop);
      await application.printed(/^ROUND 2 right$/m, LIMIT_MS);
      return new SparkChaos(cluster, redis, outside, application);
    } catch (error) {
      for (const end of ends.toReversed()) await end();
      throw error;
    }
  }

  #last(word: 'JOB' | 'ROUND'): number {
    return Number([...this.#application.output.stdout.matchAll(new RegExp(`^${word} (\\d+)`, 'gm'))].at(-1)?.[1] ?? 0);
  }

  /** Waits for that many more rounds; each must be right. */
  async #rounds(more: number): Promise<void> {
    const aim = this.#last('ROUND') + more;
    // Whole lines only: the last may have come in part.
    await this.#application.printed(new RegExp(`^ROUND ${aim} .*\\n`, 'm'), LIMIT_MS);
    const wrong = /^ROUND \d+ (?!right\n).*\n/m.exec(this.#application.output.stdout);
    if (wrong !== null) throw new Error(wrong[0]);
  }

  async #allOutside(): Promise<void> {
    await until('the executors are attached again', async () => {
      // While the broker or the dispatcher is away, nobody answers.
      const [application] = await this.#outside.applications().catch(() => []);
      return application?.linked === true && application.executors.length === WORKERS;
    });
  }

  /** One fault at a random moment of a job, and what follows from it: right results, and tasks outside again. */
  async strike(fault: SparkFault, random: () => number = Math.random): Promise<void> {
    const job = this.#last('JOB') + 1;
    await this.#application.printed(new RegExp(`^JOB ${job}$`, 'm'), LIMIT_MS);
    await wait(random() * WITHIN_MS);
    const outside = this.#outside;
    if (fault === 'executor') {
      const living = outside.executorPids().filter(isAlive);
      const pid = living[Math.floor(random() * living.length)];
      if (pid === undefined) throw new Error('no external executor lives');
      process.kill(pid, 'SIGKILL');
      await until('the executor is gone', () => !isAlive(pid));
    } else if (fault === 'worker') {
      const living = outside.workers.filter(({ child }) => child.exitCode === null && child.signalCode === null);
      // The worker alone: its executor must notice by itself.
      living[Math.floor(random() * living.length)]?.child.kill('SIGKILL');
      await this.#rounds(1);
      await outside.startWorker();
    } else if (fault === 'dispatcher') {
      outside.dispatcher.child.kill('SIGKILL');
      const until = performance.now() + AWAY_MS;
      while (performance.now() < until) await this.#rounds(1);
      await outside.restartDispatcher();
    } else await this.#redis.restart();
    await this.#rounds(2);
    await this.#allOutside();
    await this.#rounds(1);
  }

  /** Lets the application end, and says what it did. Everything is stopped. */
  async finish(): Promise<SparkChaosResult> {
    try {
      writeFileSync(join(this.#application.directory, 'stop'), '');
      const { stdout, log } = await this.#application.result();
      const rounds = [...stdout.matchAll(/^ROUND \d+ (.*)$/gm)].map((match) => match[1] as string);
      const wrong = rounds.filter((round) => round !== 'right');
      if (wrong.length > 0) throw new Error(`${wrong.length} of ${rounds.length} rounds are wrong: ${wrong[0]}`);
      return { rounds: rounds.length, tasks: log.tasks.length, inside: insideTasks(log).length, log };
    } finally {
      await this.stop();
    }
  }

  /** What all of it has said, for an error. */
  story(): string {
    const tail = (text: string): string => text.split('\n').slice(-25).join('\n');
    const { dispatcher, workers } = this.#outside;
    return [this.#application, dispatcher, ...workers].map(({ output }) => `${tail(output.stdout)}\n${tail(output.stderr)}`).join('\n----\n');
  }

  async stop(): Promise<void> {
    await this.#application.stop();
    await this.#outside.stop();
    await this.#redis.stop();
    await this.#cluster.stop();
  }
}

export async function runSparkChaos(times: number): Promise<boolean> {
  const chaos = await SparkChaos.start();
  try {
    for (const fault of SPARK_FAULTS) {
      for (let i = 1; i <= times; i++) {
        const began = performance.now();
        await chaos.strike(fault);
        console.log(`${fault} ${i}: right, and out again after ${((performance.now() - began) / 1000).toFixed(1)} s`);
      }
    }
    const { rounds, tasks, inside } = await chaos.finish();
    console.log(`${rounds} rounds right; ${tasks} task attempts, ${inside} of them inside while nothing was outside`);
    return true;
  } catch (error) {
    console.log(`WRONG: ${(error as Error).message}\n${chaos.story()}`);
    await chaos.stop();
    return false;
  }
}
