/** RDDs over datasets. A partition is a range of keys, or a share of the files; each task reads it at the snapshot of its job. */
import { LineReader, type FileSplit } from '../executor/text.ts';
import { callSite, type RddNode } from '../rdd/node.ts';
import { RDD } from '../rdd/rdd.ts';
import { planSplits, positiveInteger } from '../rdd/sources.ts';
import { encodeRecords } from '../protocol/columns.ts';
import type { SparkContext } from '../scheduler/spark-context.ts';
import type { DatasetInfo, FileEntry, KeyBytes, ReadOptions } from './contract.ts';
import { decodeKey, encodeKey } from './keys.ts';
import { listFiles, listPartitions } from './kinds/files.ts';
import { pairsOf, rowOf, rowsOf } from './kinds/records.ts';
import { eventOf, timeRange } from './kinds/stream.ts';
import { currentAttempt } from './task.ts';
import { compareKeys } from './versions.ts';

/** What one task reads. */
interface ReadSplit {
  readonly dataset: DatasetInfo;
  readonly start: KeyBytes | undefined;
  readonly end: KeyBytes | undefined;
  /** This share of the files. */
  readonly index: number;
  readonly of: number;
  readonly filter: ReadOptions['filter'];
}

export interface ReadRequest {
  readonly method: string;
  readonly options: ReadOptions & { readonly time?: readonly [from: number, to: number] };
  readonly find: () => Promise<{ readonly dataset: DatasetInfo; readonly split: (parts: number) => Promise<KeyBytes[]> }>;
}

export function readRdd<T>(sc: SparkContext, { method, options, find }: ReadRequest): RDD<T> {
  const of = positiveInteger(method, 'numPartitions', options.numPartitions ?? sc.defaultParallelism);
  let planned: Promise<void> | undefined;
  let splits: ReadSplit[] = [];
  // Once for an RDD: its partitions stay what they are from job to job, as cached ones must; what is in them is the snapshot's.
  const plan = async (): Promise<void> => {
    const { dataset, split } = await find();
    const { from, to, time, filter } = options;
    const range =
      time === undefined ? { start: from === undefined ? undefined : encodeKey(from), end: to === undefined ? undefined : encodeKey(to) } : timeRange(...time);
    const { start, end } = range;
    const byFile = dataset.properties['directory'] !== undefined;
    const inside = (row: KeyBytes): boolean => (start === undefined || compareKeys(row, start) > 0) && (end === undefined || compareKeys(row, end) < 0);
    const cuts = byFile || of === 1 ? [] : (await split(of)).filter(inside);
    splits = Array.from({ length: of }, (_, index): ReadSplit => {
      const empty = !byFile && index > cuts.length;
      return { dataset, index: empty ? -1 : index, of, filter, start: index === 0 ? start : cuts[index - 1], end: index === cuts.length ? end : cuts[index] };
    });
  };
  const node: RddNode = {
    id: sc.newRddId(),
    op: 'parallelize',
    params: {},
    parents: [],
    shuffles: [],
    partitions: () => of,
    source: (index) => encodeRecords(splits[index]?.index === -1 ? [] : [splits[index]]),
    prepare: () => {
      planned ??= plan().catch((error: unknown) => {
        planned = undefined;
        throw error;
      });
      return planned;
    },
    callSite: callSite(method),
    name: undefined,
    persisted: false,
  };
  return new RDD<ReadSplit>(sc, node).mapPartitions(readSplits) as RDD<never>;
}

/** Runs in tasks. Asynchronous and lazy: nothing is asked before the first record is. */
export async function* readSplits(splits: Iterable<ReadSplit>): AsyncGenerator<unknown> {
  for (const split of splits) {
    const { dataset } = split;
    const attempt = currentAttempt();
    const cells = attempt.scan(dataset, split);
    switch (dataset.kind) {
      case 'keyValue':
        yield* pairsOf(cells);
        break;
      case 'table':
        for await (const [key, row] of rowsOf(cells)) yield [decodeKey(key), rowOf(row)];
        break;
      case 'stream':
        for await (const batch of cells) for (const cell of batch) yield eventOf(cell);
        break;
      default:
        yield* readFiles(dataset, dataset.kind === 'fileSet' ? await listFiles(attempt, dataset) : await filesOf(split), split);
    }
  }
}

async function filesOf({ dataset, filter, start, end }: ReadSplit): Promise<FileEntry[]> {
  return (await listPartitions(currentAttempt(), dataset, filter, { start, end })).flatMap(({ files }) => files);
}

/** Every task lists the same files, because their snapshot is the same, and takes its share. */
function* readFiles(dataset: DatasetInfo, files: readonly FileEntry[], { index, of }: ReadSplit): Generator<unknown> {
  const shares: FileSplit[][] = planSplits(
    files.map(({ location, bytes }) => ({ path: location, size: bytes })),
    of,
  );
  const json = dataset.properties['format'] === 'json';
  for (let share = index; share < shares.length; share += of) {
    const reader = new LineReader(shares[share] as FileSplit[]);
    try {
      for (let lines = reader.next(); lines !== undefined; lines = reader.next()) {
        for (const line of lines) yield json ? JSON.parse(line) : line;
      }
    } finally {
      reader.close();
    }
  }
}
