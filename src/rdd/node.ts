import type { Aggregator } from '../executor/plan.ts';
import type { Partitioner } from '../shuffle/partitioner.ts';

/** A wide dependency: the parent's pairs, partitioned anew and written to shuffle files. */
export interface ShuffleDependency {
  readonly shuffleId: number;
  readonly parent: RddNode;
  /** Final once `RddNode.prepare` of the child has run (range bounds come from a sample). */
  partitioner: Partitioner;
  /** Given when the map side combines. */
  readonly aggregator?: Aggregator;
}

/** What an RDD is, as data: the scheduler cuts these graphs into stages and never sees the RDD class. */
export interface RddNode {
  readonly id: number;
  /** A row of executor/operators.ts or executor/sources.ts. */
  readonly op: string;
  /** User functions and constants, as the executor's code wants them. */
  readonly params: Readonly<Record<string, unknown>>;
  /** Narrow parents. */
  readonly parents: readonly RddNode[];
  readonly shuffles: readonly ShuffleDependency[];
  /** Number of partitions; may look at the file system the first time. */
  readonly partitions: () => number;
  /** Source data of a partition, for sources. */
  readonly source?: (partition: number) => unknown;
  /** How its keys are partitioned, where known. */
  readonly partitioner?: Partitioner | undefined;
  /** Work needed before a job on it, once: sampling for range bounds. */
  readonly prepare?: () => Promise<void>;
  /** `map at words.ts:12`. */
  readonly callSite: string;
  /** Set by RDD.setName. */
  name: string | undefined;
  persisted: boolean;
}

/** What RDDs need of their context; SparkContext is one. */
export interface RddContext {
  readonly defaultParallelism: number;
  newRddId(): number;
  newShuffleId(): number;
  /**
   * Runs one job. `onResult` is called once for each of `partitions`, in the order they end.
   * @throws SP_SCHEDULER_JOB_ABORTED with the user's error as cause
   */
  runJob(
    node: RddNode,
    sink: import('../executor/plan.ts').Sink,
    partitions: readonly number[],
    onResult: (index: number, value: unknown) => void,
  ): Promise<void>;
  unpersist(rddId: number): void;
}

let frameFilter: RegExp | undefined;

/** Lines of a stack that are neither this package's nor Node's own. */
export function userFrames(stack: string): string[] {
  return stack.split('\n').filter((line) => /^\s+at /.test(line) && !line.includes('node:') && !ownFrames().test(line));
}

function ownFrames(): RegExp {
  return (frameFilter ??= new RegExp(`${new URL('..', import.meta.url).href.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}(rdd|scheduler|sql|index)`));
}

/** The user's line that called an RDD method: first frame outside this package's own sources. */
export function callSite(method: string): string {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 8;
  const stack = new Error().stack ?? '';
  Error.stackTraceLimit = limit;
  for (const line of stack.split('\n').slice(1)) {
    const at = /(?:\(|at )((?:file:|\/|[A-Za-z]:\\)[^()]*?):(\d+):\d+\)?$/.exec(line);
    if (at === null || line.includes('node:internal')) continue;
    const [, file, row] = at as unknown as [string, string, string];
    const url = file.startsWith('file:') ? file : `file://${file}`;
    if (ownFrames().test(url)) continue;
    return `${method} at ${url.replace(/\?.*$/, '').split('/').at(-1)}:${row}`;
  }
  return method;
}
