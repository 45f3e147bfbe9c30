/** Operators that move records between partitions, as nodes. */
import type { Aggregator } from '../executor/plan.ts';
import { decodeRecords, packData } from '../protocol/columns.ts';
import { rangeBounds, samePartitioner, type Compare, type Partitioner } from '../shuffle/partitioner.ts';
import { callSite, type RddContext, type RddNode, type ShuffleDependency } from './node.ts';

function dependency(context: RddContext, parent: RddNode, partitioner: Partitioner, aggregator?: Aggregator): ShuffleDependency {
  return { shuffleId: context.newShuffleId(), parent, partitioner, ...(aggregator === undefined ? {} : { aggregator }) };
}

interface WideParts {
  readonly method: string;
  readonly op: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly shuffles: readonly ShuffleDependency[];
  readonly prepare?: () => Promise<void>;
}

function wideNode(context: RddContext, parts: WideParts): RddNode {
  const first = parts.shuffles[0] as ShuffleDependency;
  return {
    id: context.newRddId(),
    op: parts.op,
    params: parts.params,
    parents: [],
    shuffles: parts.shuffles,
    partitions: () => first.partitioner.numPartitions,
    partitioner: first.partitioner,
    callSite: callSite(parts.method),
    name: undefined,
    persisted: false,
    ...(parts.prepare === undefined ? {} : { prepare: parts.prepare }),
  };
}

export function combineByKeyNode(context: RddContext, method: string, parent: RddNode, aggregator: Aggregator, partitioner: Partitioner): RddNode {
  // Grouping gains nothing from combining early (Spark: mapSideCombine = false).
  const mapSideCombine = !('builtin' in aggregator && aggregator.builtin === 'group');
  const shuffle = dependency(context, parent, partitioner, mapSideCombine ? aggregator : undefined);
  return wideNode(context, { method, op: 'combined', params: { aggregator, mapSideCombine }, shuffles: [shuffle] });
}

export function partitionByNode(context: RddContext, method: string, parent: RddNode, partitioner: Partitioner): RddNode {
  if (samePartitioner(parent.partitioner, partitioner)) return parent;
  return wideNode(context, { method, op: 'shuffled', params: {}, shuffles: [dependency(context, parent, partitioner)] });
}

export function cogroupNode(context: RddContext, method: string, parents: readonly RddNode[], partitioner: Partitioner): RddNode {
  const shuffles = parents.map((parent) => dependency(context, parent, partitioner));
  return wideNode(context, { method, op: 'cogroup', params: { inputs: parents.length }, shuffles });
}

/** Keys sampled for each output partition; Spark's spark.sql.execution.rangeExchange.sampleSizePerPartition. */
const SAMPLES_PER_PARTITION = 100;

export function sortByKeyNode(
  context: RddContext,
  method: string,
  parent: RddNode,
  ascending: boolean,
  numPartitions: number,
  compare: Compare | undefined,
): RddNode {
  const range = (bounds: readonly unknown[]): Partitioner => ({
    kind: 'range',
    numPartitions,
    bounds,
    ascending,
    ...(compare === undefined ? {} : { compare }),
  });
  const shuffle = dependency(context, parent, range([]));
  let prepared: Promise<void> | undefined;
  const prepare = (): Promise<void> =>
    (prepared ??= sampleKeys(context, parent, numPartitions).then((samples) => {
      shuffle.partitioner = range(rangeBounds(samples, numPartitions, compare));
    })).catch((error: unknown) => {
      prepared = undefined;
      throw error;
    });
  return wideNode(context, {
    method,
    op: 'sorted',
    params: { ascending, ...(compare === undefined ? {} : { compare }) },
    shuffles: [shuffle],
    ...(numPartitions > 1 ? { prepare } : {}),
  });
}

/** A bounded sample of the keys of each partition; every key stands for (records / samples) of its partition. */
async function sampleKeys(context: RddContext, parent: RddNode, numPartitions: number): Promise<[unknown, number][]> {
  const partitions = parent.partitions();
  const perPartition = Math.ceil((3 * SAMPLES_PER_PARTITION * numPartitions) / Math.max(1, partitions));
  const sample: RddNode = {
    id: context.newRddId(),
    op: 'sampleKeys',
    params: { size: perPartition },
    parents: [parent],
    shuffles: [],
    partitions: parent.partitions,
    callSite: 'sample for sortByKey',
    name: undefined,
    persisted: false,
  };
  const samples: [unknown, number][] = [];
  await context.runJob(
    sample,
    { type: 'collect' },
    Array.from({ length: partitions }, (_, i) => i),
    (_index, value) => {
      for (const [keys, count] of decodeRecords(value as Uint8Array) as [unknown[], number][]) {
        for (const key of keys) samples.push([key, count / keys.length]);
      }
    },
  );
  return samples;
}

export function packedZero(zero: unknown): Uint8Array {
  return new Uint8Array(packData(zero));
}
