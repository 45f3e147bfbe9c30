/** Actions: each runs one or more jobs on a node and folds what its partitions return. */
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Sink } from '../executor/plan.ts';
import type { PartFile } from '../executor/text.ts';
import { decodeRecords, unpackValue } from '../protocol/columns.ts';
import { keyIdentity } from '../protocol/hash.ts';
import { RDD_ERRORS } from './errors.ts';
import type { RddContext, RddNode } from './node.ts';
import { abortOutput, commitOutput } from './output-commit.ts';
import { packedZero } from './wide.ts';

type AnyFunction = (...args: never[]) => unknown;

function allPartitions(node: RddNode): number[] {
  return Array.from({ length: node.partitions() }, (_, i) => i);
}

/** Results of all partitions, in partition order. */
async function results(context: RddContext, node: RddNode, sink: Sink): Promise<unknown[]> {
  const partitions = allPartitions(node);
  const values: unknown[] = new Array(partitions.length);
  await context.runJob(node, sink, partitions, (index, value) => {
    values[index] = value;
  });
  return values;
}

export async function run(context: RddContext, node: RddNode, sink: Sink): Promise<void> {
  await context.runJob(node, sink, allPartitions(node), () => undefined);
}

function concat(parts: readonly unknown[]): unknown[] {
  const decoded = parts.map((part) => decodeRecords(part as Uint8Array));
  return decoded.length === 1 ? (decoded[0] as unknown[]) : ([] as unknown[]).concat(...decoded);
}

export async function collect<T>(context: RddContext, node: RddNode): Promise<T[]> {
  return concat(await results(context, node, { type: 'collect' })) as T[];
}

export async function count(context: RddContext, node: RddNode): Promise<number> {
  return ((await results(context, node, { type: 'count' })) as number[]).reduce((sum, n) => sum + n, 0);
}

export async function reduce<T>(context: RddContext, node: RddNode, f: (a: T, b: T) => T | Promise<T>): Promise<T> {
  const partials = concat(await results(context, node, { type: 'reduce', f: f as AnyFunction })) as T[];
  if (partials.length === 0) throw RDD_ERRORS.EMPTY({ action: 'reduce' });
  let value = partials[0] as T;
  for (const partial of partials.slice(1)) value = await f(value, partial);
  return value;
}

export async function aggregate<T, U>(
  context: RddContext,
  node: RddNode,
  zero: U,
  seqOp: (sum: U, value: T) => U | Promise<U>,
  combOp: (a: U, b: U) => U | Promise<U>,
): Promise<U> {
  const packed = packedZero(zero);
  const partials = (await results(context, node, { type: 'aggregate', zero: packed, seqOp: seqOp as AnyFunction })) as U[];
  let value = unpackValue(packed) as U;
  for (const partial of partials) value = await combOp(value, partial);
  return value;
}

/** Partitions tried next grow by this factor while too few records were found; Spark's spark.rdd.limit.scaleUpFactor. */
const SCALE_UP = 4;

export async function take<T>(context: RddContext, node: RddNode, wanted: number): Promise<T[]> {
  if (!Number.isInteger(wanted) || wanted < 0)
    throw RDD_ERRORS.BAD_ARGUMENT({ method: 'take', argument: 'count', expected: 'a whole number of at least 0', got: wanted });
  const total = wanted === 0 ? 0 : node.partitions();
  const found: unknown[] = [];
  let tried = 0;
  let batch = 1;
  while (found.length < wanted && tried < total) {
    const partitions = Array.from({ length: Math.min(batch, total - tried) }, (_, i) => tried + i);
    const parts: unknown[][] = new Array(partitions.length);
    await context.runJob(node, { type: 'take', count: wanted - found.length }, partitions, (index, value) => {
      parts[index] = decodeRecords(value as Uint8Array);
    });
    for (const part of parts) for (const record of part) if (found.length < wanted) found.push(record);
    tried += partitions.length;
    batch = tried * SCALE_UP;
  }
  return found as T[];
}

/** Pairs to a Map; object keys are as they are, one for each value. */
export async function collectMap<K, V>(context: RddContext, node: RddNode): Promise<Map<K, V>> {
  const seen = new Map<unknown, K>();
  const map = new Map<K, V>();
  for (const [key, value] of await collect<[K, V]>(context, node)) {
    // A primitive is found by the map itself, and must not be taken for the text of an object.
    const identity = typeof key === 'object' && key !== null ? keyIdentity(key) : undefined;
    const known = identity === undefined ? undefined : seen.get(identity);
    if (identity !== undefined && known === undefined) seen.set(identity, key);
    map.set(known ?? key, value);
  }
  return map;
}

export async function saveAsTextFile(context: RddContext, node: RddNode, path: string): Promise<void> {
  if (typeof path !== 'string' || path === '')
    throw RDD_ERRORS.BAD_ARGUMENT({ method: 'saveAsTextFile', argument: 'directory', expected: 'a path', got: String(path) });
  const directory = resolve(path);
  if (existsSync(directory)) throw RDD_ERRORS.OUTPUT_EXISTS({ path });
  const job = randomUUID();
  const files: PartFile[] = [];
  try {
    await context.runJob(node, { type: 'saveText', directory, job }, allPartitions(node), (_index, value) => files.push(value as PartFile));
    await commitOutput(directory, files);
  } catch (error) {
    // What is to be told is why it failed, not that nothing is there to be removed.
    await abortOutput(directory, job).catch(() => undefined);
    throw error;
  }
}
