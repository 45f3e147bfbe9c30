/**
 * What orders and selectors gain, with the dispatcher's own state machine on a simulated clock: the same seed gives the same
 * figures on any machine. CRITICAL_PATH against FIFO: time until a job has ended. Selectors: the 99th percentile of the time
 * from submission to result, with 16 workers of which one is four times slower.
 */
import { compare, median, rounded, type BenchOptions, type Row } from '../support/row.ts';
import { seeded, SimulatedCluster } from './cluster.ts';
import { layered, lowerBound, makespan, skewed, type BenchStage } from './graphs.ts';

const BENCH = 'scheduling';
const WORKERS = 16;
/** Mean duration of a task on a worker that is not slow; exponentially distributed. */
const TASK_MS = 10;
const SLOWNESS = 4;

function orders({ quick }: BenchOptions): Row[] {
  const seconds = (ms: number): number => rounded(ms / 1000);
  const graph = skewed(WORKERS, 16);
  const fifo = makespan('FIFO', WORKERS, graph, seeded(1));
  const critical = makespan('CRITICAL_PATH', WORKERS, graph, seeded(1));
  const bound = lowerBound(WORKERS, graph);
  const rows: Row[] = [
    { bench: BENCH, case: 'skewed graph, FIFO', value: seconds(fifo), unit: 's', ...compare(fifo, bound, 'lower bound') },
    { bench: BENCH, case: 'skewed graph, CRITICAL_PATH', value: seconds(critical), unit: 's', ...compare(critical, fifo, 'FIFO', { atMost: 0.65 }) },
    { bench: BENCH, case: 'skewed graph, CRITICAL_PATH', value: seconds(critical), unit: 's', ...compare(critical, bound, 'lower bound', { atMost: 1.1 }) },
  ];
  const graphs = Array.from({ length: quick ? 20 : 200 }, (_, seed): BenchStage[] => layered(seeded(seed)));
  const ratios = graphs.map((one, seed) => makespan('CRITICAL_PATH', 8, one, seeded(seed)) / makespan('FIFO', 8, one, seeded(seed)));
  const typical = median(ratios);
  const worst = Math.max(...ratios);
  rows.push(
    {
      bench: BENCH,
      case: `${graphs.length} random graphs, CRITICAL_PATH, median`,
      value: rounded(typical),
      unit: 'x FIFO',
      ...compare(typical, 1, 'FIFO', { atMost: 1 }),
    },
    {
      bench: BENCH,
      case: `${graphs.length} random graphs, CRITICAL_PATH, worst`,
      value: rounded(worst),
      unit: 'x FIFO',
      ...compare(worst, 1, 'FIFO', { atMost: 1.15 }),
    },
  );
  return rows;
}

/** 99th percentile, milliseconds: Poisson arrivals at `load` times what the cluster can do. */
export function p99(selector: string, load: number, tasks: number, queueDepth?: number): number {
  const random = seeded(7);
  const workers = Array.from({ length: WORKERS }, (_, i) => (i === 0 ? SLOWNESS : 1));
  const cluster = new SimulatedCluster({ selector, workers, random, ...(queueDepth === undefined ? {} : { queueDepth }) });
  const capacity = workers.reduce((sum, slowness) => sum + 1 / slowness, 0) / TASK_MS;
  const exponential = (mean: number): number => -mean * Math.log(1 - random());
  const latencies: number[] = [];
  // What comes before the queues have their usual length does not count.
  const warmUp = tasks / 10;
  let next = 0;
  const arrive = (): void => {
    const id = next++;
    const began = cluster.agenda.now;
    cluster.submit(id, 0, exponential(TASK_MS), () => {
      if (id >= warmUp) latencies.push(cluster.agenda.now - began);
    });
    if (next < tasks) cluster.agenda.in(exponential(1 / (load * capacity)), arrive);
  };
  arrive();
  cluster.run();
  latencies.sort((a, b) => a - b);
  return latencies[Math.floor(latencies.length * 0.99)] ?? Number.NaN;
}

function selectors({ quick }: BenchOptions): Row[] {
  const tasks = quick ? 20_000 : 200_000;
  const rows: Row[] = [];
  for (const load of [0.7, 0.9]) {
    const pull = p99('PULL', load, tasks);
    const row = (name: string, value: number, target?: { readonly atMost: number }): Row => {
      return { bench: BENCH, case: `p99 at load ${load}, ${name}`, value: rounded(value), unit: 'ms', ...compare(value, pull, 'PULL', target) };
    };
    rows.push(row('PULL', pull));
    for (const name of ['LEAST_LOADED', 'POWER_OF_TWO', 'RANDOM', 'ROUND_ROBIN']) rows.push(row(name, p99(name, load, tasks), { atMost: 2.5 }));
    rows.push(row('ROUND_ROBIN without credit', p99('ROUND_ROBIN', load, tasks, 1e6)));
  }
  return rows;
}

export async function run(options: BenchOptions): Promise<readonly Row[]> {
  return [...orders(options), ...selectors(options)];
}
