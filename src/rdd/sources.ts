/** RDDs that begin a lineage: collections, ranges, text files. */
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { globSync, isDynamicPattern } from 'tinyglobby';
import type { FileSplit } from '../executor/text.ts';
import { encodeRecords } from '../protocol/columns.ts';
import { RDD_ERRORS } from './errors.ts';
import { callSite, type RddContext, type RddNode } from './node.ts';

export function positiveInteger(method: string, argument: string, value: number): number {
  if (!Number.isInteger(value) || value < 1) throw RDD_ERRORS.BAD_ARGUMENT({ method, argument, expected: 'a whole number of at least 1', got: value });
  return value;
}

type SourceParts = Pick<RddNode, 'op' | 'partitions' | 'source'>;

function sourceNode(context: RddContext, method: string, parts: SourceParts): RddNode {
  return { id: context.newRddId(), params: {}, parents: [], shuffles: [], callSite: callSite(method), name: undefined, persisted: false, ...parts };
}

/** Slice i of n covers [i * length / n, (i + 1) * length / n), as in Spark's ParallelCollectionRDD. */
function sliceBounds(length: number, slices: number, i: number): [number, number] {
  return [Math.floor((i * length) / slices), Math.floor(((i + 1) * length) / slices)];
}

export function parallelizeNode(context: RddContext, data: Iterable<unknown>, numSlices: number): RddNode {
  if (data === null || data === undefined || typeof data[Symbol.iterator] !== 'function') {
    throw RDD_ERRORS.BAD_ARGUMENT({ method: 'parallelize', argument: 'data', expected: 'an iterable', got: data === null ? 'null' : typeof data });
  }
  positiveInteger('parallelize', 'numSlices', numSlices);
  const all = Array.from(data);
  const encoded: (Uint8Array | undefined)[] = [];
  return sourceNode(context, 'parallelize', {
    op: 'parallelize',
    partitions: () => numSlices,
    source: (i) => (encoded[i] ??= encodeRecords(all.slice(...sliceBounds(all.length, numSlices, i)))),
  });
}

export function rangeNode(context: RddContext, start: number, end: number, step: number, numSlices: number): RddNode {
  for (const [argument, got] of Object.entries({ start, end, step })) {
    if (!Number.isFinite(got) || (argument === 'step' && got === 0)) {
      throw RDD_ERRORS.BAD_ARGUMENT({ method: 'range', argument, expected: argument === 'step' ? 'a finite number other than 0' : 'a finite number', got });
    }
  }
  positiveInteger('range', 'numSlices', numSlices);
  const length = Math.max(0, Math.ceil((end - start) / step));
  return sourceNode(context, 'range', {
    op: 'range',
    partitions: () => numSlices,
    source: (i) => {
      const [from, to] = sliceBounds(length, numSlices, i);
      return { start: start + from * step, step, count: to - from };
    },
  });
}

/** Largest split of one file, bytes; Hadoop's block size. */
const MAX_SPLIT = 128 * 1024 * 1024;

/** Partitions of about equal size: large files are cut, small files share a partition. */
export function planSplits(files: readonly { readonly path: string; readonly size: number }[], minPartitions: number): FileSplit[][] {
  const total = files.reduce((sum, file) => sum + file.size, 0);
  const goal = Math.max(1, Math.min(MAX_SPLIT, Math.ceil(total / minPartitions)));
  const partitions: FileSplit[][] = [];
  let current: FileSplit[] = [];
  let room = goal;
  for (const { path, size } of files) {
    for (let start = 0; start < size;) {
      const rest = size - start;
      // A last piece of up to a tenth more is not worth a split of its own (Hadoop's SPLIT_SLOP).
      const take = rest <= room * 1.1 ? rest : room;
      current.push({ path, start, end: start + take });
      start += take;
      room -= take;
      if (room <= 0) {
        partitions.push(current);
        current = [];
        room = goal;
      }
    }
  }
  if (current.length > 0) partitions.push(current);
  return partitions;
}

function listFiles(paths: readonly string[]): { path: string; size: number }[] {
  const files: { path: string; size: number }[] = [];
  for (const given of paths) {
    const pattern = given.startsWith('file:') ? fileURLToPath(given) : given;
    const found = isDynamicPattern(pattern) ? globSync(pattern, { absolute: true, dot: false, expandDirectories: false }) : expand(resolve(pattern));
    if (found.length === 0) throw RDD_ERRORS.INPUT_NOT_FOUND({ path: given });
    for (const path of found.sort()) files.push({ path, size: statSync(path).size });
  }
  return files;
}

/** A file is itself; a directory is its visible files (not _SUCCESS and the like), as in Hadoop. */
function expand(path: string): string[] {
  let stat;
  try {
    stat = statSync(path);
  } catch {
    return [];
  }
  return stat.isDirectory() ? globSync(['*', '!_*'], { cwd: path, absolute: true }) : [path];
}

export function textFileNode(context: RddContext, path: string | readonly string[], minPartitions: number): RddNode {
  const paths = typeof path === 'string' ? [path] : path;
  if (!Array.isArray(paths) || paths.length === 0 || paths.some((p) => typeof p !== 'string' || p === '')) {
    throw RDD_ERRORS.BAD_ARGUMENT({
      method: 'textFile',
      argument: 'path',
      expected: 'a path, a glob, or an array of them',
      got: JSON.stringify(path) ?? 'undefined',
    });
  }
  positiveInteger('textFile', 'minPartitions', minPartitions);
  let splits: FileSplit[][] | undefined;
  const plan = (): FileSplit[][] => (splits ??= planSplits(listFiles(paths), minPartitions));
  return sourceNode(context, 'textFile', { op: 'textFile', partitions: () => plan().length, source: (i) => plan()[i] });
}
