import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { ROOT } from '../support/paths.ts';
import { PYSPARK, pyspark, pysparkEnvironment, skale, SKALE } from '../support/peers.ts';
import { treeCpuMs } from '../support/process-tree.ts';
import { compare, median, rounded, type BenchOptions, type Row } from '../support/row.ts';
import { Subject, type Launch } from '../support/subject.ts';
import { corpus } from './corpus.ts';

/** CPU of a job, and of all that came before it; milliseconds. */
interface Sample {
  readonly job: number;
  readonly start: number;
}

interface System {
  readonly name: string;
  readonly launch: Launch;
  readonly rounds: number;
  readonly partitions: number;
  /** One process a round for all workloads: a JVM takes seconds to start, and gains from being warm. */
  readonly shared: boolean;
  readonly missing: string | undefined;
}

interface Workload {
  readonly name: string;
  readonly title: string;
  readonly input: string;
  readonly pysparkAtLeast: number;
}

const OURS = 'spark-proxy, 2 threads';
const PLAIN = 'plain JS, 1 thread';
const SKALE_AT_LEAST = 3;
const PLAIN_AT_MOST = 1.25;
const ROUNDS = 3;
const TIMEOUT_MS = 300_000;

const program = (name: string): string => fileURLToPath(new URL(`./programs/${name}`, import.meta.url));

async function findSystems(quick: boolean): Promise<System[]> {
  const preload = join(ROOT, 'dist', 'register.js');
  if (!existsSync(preload)) throw new Error('spark-proxy is not built in this checkout yet: run npm run build');
  const peers = { skale: await skale(), pyspark: await pyspark() };
  const python = 'path' in peers.pyspark ? peers.pyspark.path : '';
  const node = (args: readonly string[], env: NodeJS.ProcessEnv = {}): Launch => ({ command: process.execPath, args, env });
  const own = { rounds: ROUNDS, partitions: 4, shared: false, missing: undefined };
  return [
    { ...own, name: PLAIN, launch: node([program('plain.ts')]) },
    { ...own, name: OURS, launch: node(['--import', pathToFileURL(preload).href, program('ours.ts')]) },
    { ...own, name: SKALE, launch: node([program('skale.js')], { SKALE_WORKERS: '2' }), missing: 'missing' in peers.skale ? peers.skale.missing : undefined },
    {
      name: PYSPARK,
      launch: { command: python, args: [program('with_pyspark.py')], env: pysparkEnvironment(python) },
      rounds: quick ? 1 : ROUNDS,
      // Its tasks are dear: one wave.
      partitions: 2,
      shared: true,
      missing: 'missing' in peers.pyspark ? peers.pyspark.missing : undefined,
    },
  ];
}

/** Runs the workloads in one process, one after the other. */
async function runIn(
  { name, launch, partitions }: System,
  workloads: readonly Workload[],
  heard: (workload: Workload, sample: Sample, answer: string) => void,
): Promise<void> {
  const subject = new Subject(name, launch, TIMEOUT_MS);
  try {
    await subject.mark();
    const start = treeCpuMs(subject.pid);
    for (const workload of workloads) {
      const before = treeCpuMs(subject.pid);
      const answer = await subject.ask(`${workload.name}\t${workload.input}\t${partitions}`);
      heard(workload, { job: treeCpuMs(subject.pid) - before, start }, answer);
    }
  } finally {
    await subject.close();
  }
}

type Samples = ReadonlyMap<System, ReadonlyMap<Workload, Sample[]>>;

/** Interleaved; all answers must be the same. */
async function measure(systems: readonly System[], workloads: readonly Workload[]): Promise<Samples> {
  const samples = new Map(systems.map((system) => [system, new Map(workloads.map((workload) => [workload, [] as Sample[]]))]));
  const answers = new Map<Workload, string>();
  for (let round = 0; round < ROUNDS; round++) {
    for (const system of systems) {
      if (system.missing !== undefined || round >= system.rounds) continue;
      const heard = (workload: Workload, sample: Sample, answer: string): void => {
        const known = answers.get(workload);
        if (known === undefined) answers.set(workload, answer);
        else if (answer !== known) throw new Error(`${workload.title}: ${system.name} says ${answer}, ${PLAIN} said ${known}`);
        samples.get(system)!.get(workload)!.push(sample);
      };
      if (system.shared) await runIn(system, workloads, heard);
      else for (const workload of workloads) await runIn(system, [workload], heard);
    }
  }
  return samples;
}

function toRows(samples: Samples, workload: Workload): Row[] {
  const systems = [...samples.keys()];
  const base = { bench: 'engine', unit: 'CPU ms' };
  const figure = (name: string, of: (sample: Sample) => number): number => {
    const system = systems.find((each) => each.name === name)!;
    return median(samples.get(system)!.get(workload)!.map(of));
  };
  const targets: Readonly<Record<string, { readonly against: string; readonly target?: { atLeast: number } | { atMost: number } }>> = {
    [PLAIN]: { against: OURS },
    [OURS]: { against: PLAIN, target: { atMost: PLAIN_AT_MOST } },
    [SKALE]: { against: OURS, target: { atLeast: SKALE_AT_LEAST } },
    [PYSPARK]: { against: OURS, target: { atLeast: workload.pysparkAtLeast } },
  };
  const row = (name: string, title: string, of: (sample: Sample) => number, judged: boolean): Row => {
    const value = figure(name, of);
    const { against, target } = targets[name]!;
    return { ...base, case: title, value: rounded(value), ...compare(value, figure(against, of), against, judged ? target : undefined) };
  };
  return systems.flatMap(({ name, missing }): Row[] => {
    const title = `${workload.title}: ${name}`;
    if (missing !== undefined) return [{ ...base, case: title, missing }];
    return [row(name, title, ({ job }) => job, true), row(name, `${title}, and its start`, ({ job, start }) => start + job, false)];
  });
}

/**
 * CPU (user and system) of whole process trees for the same two jobs: from a context that has run one tiny job to the
 * answer, and the same with what came before. Systems run one at a time, in turn.
 */
export async function run({ quick }: BenchOptions): Promise<Row[]> {
  const systems = await findSystems(quick);
  const { file, bytes } = await corpus(quick ? 10e6 : 104e6);
  const samples = quick ? 10e6 : 50e6;
  const workloads: Workload[] = [
    { name: 'words', title: `words, ${Math.floor(bytes / 1e6)} MB`, input: file, pysparkAtLeast: 3.5 },
    { name: 'pi', title: `pi, ${samples / 1e6}M points`, input: String(samples), pysparkAtLeast: 6 },
  ];
  const measured = await measure(systems, workloads);
  return workloads.flatMap((workload) => toRows(measured, workload));
}
