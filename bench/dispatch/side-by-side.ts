/**
 * Transports of this project, the bare clients they stand on, and other systems, side by side: the same tasks, the same private
 * servers, in turns. Targets are ratios within the run; those in processor time are less disturbed by what else runs.
 */
import { fileURLToPath } from 'node:url';
import { startRabbitmq, type RabbitmqServer } from '../../test/support/rabbitmq.ts';
import { startRedis, type RedisServer } from '../../test/support/redis.ts';
import { COMPONENTS } from '../../tools/components.ts';
import { Figures } from '../support/figures.ts';
import { celery, dispatchPeers, type Peer } from '../support/peers.ts';
import { treeCpuMs } from '../support/process-tree.ts';
import { rounded, type Row } from '../support/row.ts';
import { Subject, type Launch } from '../support/subject.ts';
import type { Spec } from './systems/contract.ts';
import { CASES, type Case } from './cases.ts';
import { targets } from './targets.ts';

const main = fileURLToPath(new URL('./systems/main.ts', import.meta.url));
const celeryClient = fileURLToPath(new URL('./programs/celery_client.py', import.meta.url));
const TIMEOUT_MS = 120_000;
/** Subjects that start at a time. */
const STARTING = 3;
const ORDER = [undefined, 'redis', 'rabbitmq'] as const;

interface Running {
  readonly its: Case;
  readonly subject: Subject;
  /** The server both ends talk through. */
  readonly broker: { readonly pid: number } | undefined;
}

const began = performance.now();
function progress(what: string): void {
  process.stderr.write(`${((performance.now() - began) / 1000).toFixed(0)} s: ${what}\n`);
}

type Server = RedisServer | RabbitmqServer;

/** One Redis and one RabbitMQ for all that need them; what needs neither starts meanwhile. */
class Servers {
  readonly #starting: Readonly<Record<'redis' | 'rabbitmq', Promise<Server> | undefined>>;

  constructor(needed: ReadonlySet<Case['server']>) {
    const { redis, rabbitmq } = COMPONENTS;
    this.#starting = {
      redis: !needed.has('redis') || redis.find() === undefined ? undefined : startRedis(),
      rabbitmq: !needed.has('rabbitmq') || rabbitmq.find() === undefined ? undefined : startRabbitmq(),
    };
    for (const each of Object.values(this.#starting)) each?.catch(() => undefined);
  }

  /** The server, or why it is not here. */
  async of(name: 'redis' | 'rabbitmq'): Promise<Server | { readonly missing: string }> {
    try {
      return (await this.#starting[name]) ?? { missing: `install ${name} (\`npm run services\`)` };
    } catch (error) {
      return { missing: `${name} does not start (${(error as Error).message})` };
    }
  }

  async stop(): Promise<void> {
    await Promise.all(Object.values(this.#starting).map(async (each) => (await each?.catch(() => undefined))?.stop()));
  }
}

/** How the case is started. */
function launchOf(its: Case, server: Server | undefined, node: Peer, python: Peer): Launch | { readonly missing: string } {
  if (its.peer === 'python') {
    if ('missing' in python) return python;
    return { command: python.path, args: [celeryClient], env: { BENCH_REDIS: server?.url ?? '', PYTHONDONTWRITEBYTECODE: '1' } };
  }
  if (its.peer === 'node' && 'missing' in node) return node;
  const own = its.clustered === true ? `?cluster=${its.key}` : '';
  const spec: Spec = { ...its.spec, key: its.key, address: server === undefined ? (its.address ?? '') : `${server.url}${own}` };
  return { command: process.execPath, args: [main, JSON.stringify(spec)] };
}

async function measureOne({ its, subject, broker }: Running, figures: Figures, ms: number): Promise<void> {
  const cpu = (): number => treeCpuMs(subject.pid) + (broker === undefined ? 0 : treeCpuMs(broker.pid));
  const before = cpu();
  const { tasks, ms: elapsed } = JSON.parse(await subject.ask(`rate ${ms}`)) as { tasks: number; ms: number };
  figures.add(`${its.key} cpu`, ((cpu() - before) * 1000) / tasks);
  figures.add(`${its.key} rate`, (tasks / elapsed) * 1000);
  if (its.trip !== false) figures.add(`${its.key} trip`, Number(await subject.ask(`trip ${ms / 2}`)));
}

/** Three rows a case, then those of the targets. @param only keys of the cases; all if not said */
export async function sideBySide(quick: boolean, only?: readonly string[]): Promise<Row[]> {
  const keys = CASES.map(({ key }) => key);
  for (const each of only ?? []) if (!keys.includes(each)) throw new Error(`unknown case ${each}; the cases are ${keys.join(', ')}`);
  const wanted = ({ key }: Case): boolean => only === undefined || only.includes(key);
  const [ms, rounds] = quick ? [700, 2] : [2000, 5];
  const [node, python] = [await dispatchPeers(), await celery()];
  const running: Running[] = [];
  const missing = new Map<string, string>();
  const figures = new Figures();
  // The servers are children that keep no process alive, and are waited for.
  const alive = setInterval(() => undefined, 60_000);
  const servers = new Servers(new Set(CASES.filter(wanted).map(({ server }) => server)));
  try {
    // One that fails spoils only itself.
    const attempt = async ({ its }: Running, act: () => Promise<unknown>): Promise<void> => {
      try {
        await act();
      } catch (error) {
        missing.set(its.key, (error as Error).message);
      }
    };
    const waiting = CASES.filter(wanted).toSorted((a, b) => ORDER.indexOf(a.server) - ORDER.indexOf(b.server));
    const startSome = async (): Promise<void> => {
      for (let its = waiting.shift(); its !== undefined; its = waiting.shift()) {
        const server = its.server === undefined ? undefined : await servers.of(its.server);
        const launch = server !== undefined && 'missing' in server ? server : launchOf(its, server, node, python);
        if ('missing' in launch) {
          missing.set(its.key, launch.missing);
          continue;
        }
        const subject = new Subject(its.name, launch, TIMEOUT_MS);
        const one = { its, subject, broker: server as Server | undefined };
        running.push(one);
        await attempt(one, () => subject.mark());
        progress(`started ${its.name}`);
      }
    };
    await Promise.all(Array.from({ length: STARTING }, startSome));
    // The order of the list, in which what is compared stands together.
    running.sort((a, b) => CASES.indexOf(a.its) - CASES.indexOf(b.its));
    for (let round = 0; round < rounds; round++) {
      for (const each of running) if (!missing.has(each.its.key)) await attempt(each, () => measureOne(each, figures, ms));
      progress(`round ${round + 1} of ${rounds}`);
    }
  } finally {
    await Promise.all(running.map(({ subject }) => subject.close()));
    await servers.stop();
    clearInterval(alive);
  }
  const base = { bench: 'dispatch' };
  const rows = CASES.filter(wanted).flatMap((its): Row[] => {
    const units = [
      ['rate', 'tasks/s', ''],
      ['cpu', 'CPU us/task', ', CPU'],
      ['trip', 'ms', ', one task under way'],
    ] as const;
    const reason = missing.get(its.key);
    if (reason !== undefined) return [{ ...base, case: its.name, unit: 'tasks/s', missing: reason }];
    return units.flatMap(([what, unit, suffix]) =>
      figures.has(`${its.key} ${what}`) ? [{ ...base, case: `${its.name}${suffix}`, unit, value: rounded(figures.get(`${its.key} ${what}`)) }] : [],
    );
  });
  return [...rows, ...targets(figures, (key) => !missing.has(key))];
}
