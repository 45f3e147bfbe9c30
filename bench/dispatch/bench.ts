import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ROOT } from '../support/paths.ts';
import { Figures } from '../support/figures.ts';
import { PYSPARK, pyspark, pysparkEnvironment } from '../support/peers.ts';
import { compare, rounded, type BenchOptions, type Row } from '../support/row.ts';
import { Subject } from '../support/subject.ts';
import { measure as measureDispatcher } from './dispatcher.ts';
import { openFloor } from './floor.ts';
import { sideBySide } from './side-by-side.ts';

const DEPTHS = [1, 2, 16, 64] as const;
/** How many short tasks a slot is sent when nothing is configured. */
const DEFAULT_DEPTH = 64;
/** For `--only`: whole programs, beside the cases of cases.ts. */
const LAUNCH_TASKS = 'launch-tasks';
const ROUNDS = 3;
const PARTITIONS = [1, 2] as const;
const TIMEOUT_MS = 120_000;
const OF_RAW_AT_LEAST = 0.25;
/** With so few tasks at a time most of the work is the way itself, two wake-ups of a process and two of a thread: they are shown beside it, too. */
const FEW = 2;
const OF_PYSPARK_AT_LEAST = 300;
const JOB_AT_MOST = 50;

const program = (name: string): string => fileURLToPath(new URL(`./programs/${name}`, import.meta.url));
const base = { bench: 'dispatch' };

/** A program with two external workers over tcp, as it comes, or with slots that are sent so many tasks and never more. `warmMs`: it warms up for at most. */
function startDriver(warmMs: number, depth?: number): Subject {
  const fixed = depth === undefined ? [] : ['--conf', `dispatch.queue.depth=${depth}`, '--conf', 'dispatch.queue.time=0'];
  const args = [join(ROOT, 'bin', 'spark-proxy.js'), 'run', '--workers', '2', '--external', ...fixed, program('noop.ts'), String(warmMs)];
  return new Subject(`spark-proxy, depth ${depth ?? 'as it comes'}`, { command: process.execPath, args }, TIMEOUT_MS);
}

const settingOf = (fixed: number | undefined): string => (fixed === undefined ? 'as it comes' : `dispatch.queue.depth=${fixed}`);

/** Tasks and jobs of whole programs against echoes, interleaved. All are started first; those not asked are idle. */
async function throughLaunchTasks(quick: boolean): Promise<Row[]> {
  const ms = quick ? 500 : 2000;
  const warmMs = quick ? 2500 : 20_000;
  const peer = await pyspark();
  const python = 'path' in peer ? peer.path : undefined;
  const figures = new Figures();
  const floor = await openFloor();
  const started: Subject[] = [];
  // One after another: programs that warm up beside each other are not warm.
  const warm = async (subject: Subject): Promise<Subject> => {
    started.push(subject);
    await subject.mark();
    return subject;
  };
  try {
    const asItComes = await warm(startDriver(warmMs));
    const drivers: Subject[] = [];
    for (const depth of DEPTHS) drivers.push(await warm(startDriver(warmMs, depth)));
    const spark =
      python === undefined
        ? undefined
        : await warm(new Subject(PYSPARK, { command: python, args: [program('noop_pyspark.py')], env: pysparkEnvironment(python) }, TIMEOUT_MS));
    for (let round = 0; round < ROUNDS; round++) {
      figures.add('tasks', Number(await asItComes.ask(`tasks ${ms}`)));
      for (const [i, depth] of DEPTHS.entries()) {
        figures.add(`threads ${depth}`, await floor.threads(ms, depth));
        figures.add(`path ${depth}`, await floor.path(ms, depth));
        figures.add(`tasks ${depth}`, Number(await drivers[i]!.ask(`tasks ${ms}`)));
      }
      figures.add('tcp', await floor.tcpRoundTrip(ms / 2));
      figures.add('thread', await floor.threadRoundTrip(ms / 2));
      for (const partitions of PARTITIONS) figures.add(`job ${partitions}`, Number(await asItComes.ask(`job ${ms / 2} ${partitions}`)));
      if (spark !== undefined) figures.add('pyspark', Number(await spark.ask(quick ? '8' : '60')));
    }
  } finally {
    await Promise.all([floor.close(), ...started.map((subject) => subject.close())]);
  }
  const rate = { ...base, unit: 'tasks/s' };
  const time = { ...base, unit: 'ms' };
  const pysparkCase = `no-op tasks, ${PYSPARK}, 2 threads`;
  return [
    ...DEPTHS.map((depth): Row => ({
      ...rate,
      case: `echo, 2 raw worker_threads, depth ${depth}`,
      unit: 'messages/s',
      value: rounded(figures.get(`threads ${depth}`)),
    })),
    ...DEPTHS.map((depth): Row => {
      const value = figures.get(`path ${depth}`);
      return {
        ...rate,
        case: `echo in batches, 2 processes over tcp, a thread in each, depth ${depth}`,
        unit: 'messages/s',
        value: rounded(value),
        ...compare(value, figures.get(`threads ${depth}`), `raw worker_threads, depth ${depth}`),
      };
    }),
    ...[undefined, ...DEPTHS].map((fixed): Row => {
      const value = figures.get(fixed === undefined ? 'tasks' : `tasks ${fixed}`);
      const depth = fixed ?? DEFAULT_DEPTH;
      return {
        ...rate,
        case: `no-op tasks, 2 workers over tcp, ${settingOf(fixed)}`,
        value: rounded(value),
        ...compare(value, figures.get(`threads ${depth}`), `raw worker_threads, depth ${depth}`, { atLeast: OF_RAW_AT_LEAST }),
      };
    }),
    ...DEPTHS.filter((depth) => depth <= FEW).map((depth): Row => {
      const value = figures.get(`tasks ${depth}`);
      const name = `no-op tasks, 2 workers over tcp, ${settingOf(depth)}, to the path alone`;
      return { ...rate, case: name, value: rounded(value), ...compare(value, figures.get(`path ${depth}`), `echo in batches, depth ${depth}`) };
    }),
    'missing' in peer ? { ...rate, case: pysparkCase, missing: peer.missing } : { ...rate, case: pysparkCase, value: rounded(figures.get('pyspark')) },
    ...('missing' in peer
      ? []
      : [undefined, ...DEPTHS].map((fixed): Row => {
          const value = figures.get(fixed === undefined ? 'tasks' : `tasks ${fixed}`);
          const name = `no-op tasks, 2 workers over tcp, ${settingOf(fixed)}, to PySpark`;
          return { ...rate, case: name, value: rounded(value), ...compare(value, figures.get('pyspark'), PYSPARK, { atLeast: OF_PYSPARK_AT_LEAST }) };
        })),
    { ...time, case: 'round trip, raw tcp', value: rounded(figures.get('tcp')) },
    { ...time, case: 'round trip, raw worker_threads', value: rounded(figures.get('thread')) },
    ...PARTITIONS.flatMap((partitions): Row[] => {
      const value = figures.get(`job ${partitions}`);
      const name = `warm narrow job, ${partitions} partition${partitions > 1 ? 's' : ''}`;
      return [
        { ...time, case: name, value: rounded(value), ...compare(value, figures.get('tcp'), 'raw tcp round trip', { atMost: JOB_AT_MOST }) },
        {
          ...time,
          case: `${name}, to threads`,
          value: rounded(value),
          ...compare(value, figures.get('thread'), 'raw thread round trip', { atMost: JOB_AT_MOST }),
        },
      ];
    }),
  ];
}

async function dispatcherAlone(quick: boolean): Promise<Row[]> {
  const { tasksPerSecond, cpuUsPerTask, stateUsPerTask } = await measureDispatcher(quick ? 30_000 : 100_000);
  return [
    { ...base, case: 'dispatcher and stub workers over memory:', value: tasksPerSecond, unit: 'tasks/s' },
    { ...base, case: 'dispatcher and stub workers over memory:, CPU', value: cpuUsPerTask, unit: 'CPU us/task' },
    {
      ...base,
      case: 'dispatcher state machine alone, CPU',
      value: stateUsPerTask,
      unit: 'CPU us/task',
      ...compare(stateUsPerTask, cpuUsPerTask, 'dispatcher and stub workers'),
    },
  ];
}

/** No-op tasks and narrow jobs of whole programs, then the parts they are made of. */
export async function run({ quick, only }: BenchOptions): Promise<Row[]> {
  const cases = only?.filter((key) => key !== LAUNCH_TASKS);
  if (cases !== undefined && cases.length === only?.length) return sideBySide(quick, cases);
  if (!existsSync(join(ROOT, 'dist', 'cli', 'main.js'))) throw new Error('spark-proxy is not built in this checkout yet: run npm run build');
  const programs = await throughLaunchTasks(quick);
  if (cases !== undefined) return cases.length === 0 ? programs : [...programs, ...(await sideBySide(quick, cases))];
  return [...programs, ...(await sideBySide(quick)), ...(await dispatcherAlone(quick))];
}
