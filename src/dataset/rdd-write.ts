/** Saving RDDs: every attempt writes under a version of its own; the commit takes those of accepted results. */
import { open } from 'node:fs/promises';
import { withEnvironment } from '../closure/environment.ts';
import type { RDD } from '../rdd/rdd.ts';
import type { Cell, DatasetInfo, KeyValue, PartitionKey, Row, SaveOptions } from './contract.ts';
import { DATASET_ERRORS } from './errors.ts';
import { fileCell, newFile, newPartition, partitionRow, timeKey, checkPath } from './kinds/files.ts';
import { rowCells, valueCell } from './kinds/records.ts';
import { eventCell } from './kinds/stream.ts';
import { checkSchema } from './schema.ts';
import { currentAttempt } from './task.ts';
import type { DriverTransaction } from './transaction.ts';

export interface WriteTarget {
  readonly dataset: DatasetInfo;
  readonly path: string;
  readonly partition: PartitionKey | undefined;
}

/** Runs the job that writes; what it wrote is seen when the transaction commits. */
export async function writeRdd(rdd: RDD<unknown>, dataset: DatasetInfo, options: SaveOptions, transaction: () => DriverTransaction): Promise<void> {
  const partition = partitionFor(dataset, options);
  if (partition !== undefined) await newPartition(transaction(), dataset, partition, options.metadata);
  const target: WriteTarget = { dataset, path: checkPath(options.path ?? 'part'), partition };
  await rdd
    .mapPartitionsWithIndex(withEnvironment((index: number, records: Iterable<unknown>) => writeRecords(target, index, records), { target, writeRecords }))
    .count();
}

function partitionFor(dataset: DatasetInfo, options: SaveOptions): PartitionKey | undefined {
  const { name, kind } = dataset;
  if (kind === 'timePartitionedFileSet') {
    if (options.time === undefined) throw DATASET_ERRORS.NO_PARTITION({ name, option: 'time' });
    return timeKey(options.time);
  }
  if (kind !== 'partitionedFileSet') return undefined;
  if (options.partition === undefined) throw DATASET_ERRORS.NO_PARTITION({ name, option: 'partition' });
  return options.partition;
}

/** Runs in tasks; yields its partition when that is written. Lazy, so that the executor finds out that it is asynchronous before anything is written. */
export async function* writeRecords(target: WriteTarget, index: number, records: Iterable<unknown>): AsyncGenerator<number> {
  const { dataset } = target;
  const attempt = currentAttempt();
  if (dataset.properties['directory'] === undefined) {
    await attempt.write(dataset, cellsOf(dataset, records));
    yield index;
    return;
  }
  const lines: string[] = [];
  for (const record of records) lines.push(lineOf(dataset, record));
  const name = `part-${String(index).padStart(5, '0')}`;
  const { location, file } = await newFile(dataset, await attempt.ownVersion(), name);
  const bytes = Buffer.from(lines.length === 0 ? '' : `${lines.join('\n')}\n`);
  const output = await open(file, 'wx');
  try {
    await output.writeFile(bytes);
    await output.sync();
  } finally {
    await output.close();
  }
  const stored = fileCell(`${target.path}/${name}`, { location, bytes: bytes.byteLength });
  const cell: Cell = target.partition === undefined ? stored : { ...stored, row: partitionRow(dataset, target.partition), column: name };
  await attempt.write(dataset, [cell]);
  yield index;
}

function lineOf(dataset: DatasetInfo, record: unknown): string {
  checkSchema(dataset, dataset.schema, record, 'record');
  if (dataset.properties['format'] === 'json') return JSON.stringify(record) ?? 'null';
  if (typeof record !== 'string' || record.includes('\n'))
    throw DATASET_ERRORS.BAD_RECORD({ name: dataset.name, reason: 'its format is text: records are strings of one line' });
  return record;
}

function pairOf(dataset: DatasetInfo, record: unknown): readonly [KeyValue, unknown] {
  if (!Array.isArray(record) || record.length !== 2) throw DATASET_ERRORS.BAD_RECORD({ name: dataset.name, reason: 'it is no pair [key, value]' });
  return record as unknown as readonly [KeyValue, unknown];
}

function* cellsOf(dataset: DatasetInfo, records: Iterable<unknown>): Generator<Cell> {
  switch (dataset.kind) {
    case 'keyValue':
      for (const record of records) {
        const [key, value] = pairOf(dataset, record);
        yield valueCell(dataset, key, value === undefined ? null : value);
      }
      break;
    case 'table':
      for (const record of records) {
        const [key, row] = pairOf(dataset, record);
        if (typeof row !== 'object' || row === null || Array.isArray(row))
          throw DATASET_ERRORS.BAD_RECORD({ name: dataset.name, reason: 'the row is no object of columns' });
        yield* rowCells(dataset, key, row as Row);
      }
      break;
    default:
      for (const record of records) {
        const event = record as { readonly time?: unknown; readonly body?: unknown } | null;
        const timed = typeof event === 'object' && event !== null && typeof event.time === 'number' && 'body' in event;
        yield timed ? eventCell(dataset, event.body, event.time as number) : eventCell(dataset, record);
      }
  }
}
