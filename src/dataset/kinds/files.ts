/**
 * File sets. A file is written once, below the directory of the version that wrote it (`v<version>/`), and named by a cell: what is seen of the
 * cells is what is seen of the files. Nothing is ever moved or changed, so a reader keeps what its snapshot saw.
 */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { newId } from '../../core/ids.ts';
import { packData } from '../../protocol/columns.ts';
import { accessOf, datasetOf, type HandleRef } from '../access.ts';
import type {
  Cell,
  DatasetInfo,
  DatasetStore,
  FileEntry,
  FileSet,
  KeyBytes,
  Partition,
  PartitionedFileSet,
  PartitionKey,
  TimePartitionedFileSet,
} from '../contract.ts';
import { DATASET_ERRORS } from '../errors.ts';
import { encodeKey } from '../keys.ts';
import type { Operations } from '../transaction.ts';
import { rowsOf, valueOf } from './records.ts';

interface StoredFile {
  readonly location: string;
  readonly bytes: number;
}

interface StoredPartition {
  readonly key: PartitionKey;
  readonly metadata: Readonly<Record<string, string>>;
}

type Files = Readonly<Record<string, Uint8Array | string>>;

const MINUTE = 60_000;

function directoryOf(dataset: DatasetInfo): string {
  return dataset.properties['directory'] as string;
}

/** @throws SP_DATASET_BAD_PATH */
export function checkPath(path: string): string {
  const parts = typeof path === 'string' ? path.split('/') : [''];
  // oxlint-disable-next-line no-control-regex
  if (parts.some((part) => part === '' || part === '.' || part === '..' || /[\u0000-\u001f\\]/.test(part))) throw DATASET_ERRORS.BAD_PATH({ path });
  return path;
}

/** Where a new file goes; `location` is kept in its cell, relative to the directory of the dataset. */
export async function newFile(dataset: DatasetInfo, version: number, path: string): Promise<{ location: string; file: string }> {
  const location = `v${version}/${newId('f')}-${path.split('/').at(-1) as string}`;
  const file = join(directoryOf(dataset), location);
  await mkdir(dirname(file), { recursive: true });
  return { location, file };
}

async function store(dataset: DatasetInfo, version: number, path: string, content: Uint8Array | string): Promise<Uint8Array> {
  const { location, file } = await newFile(dataset, version, checkPath(path));
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  await writeFile(file, bytes, { flag: 'wx' });
  return packData({ location, bytes: bytes.byteLength } satisfies StoredFile);
}

export function fileCell(path: string, stored: StoredFile): Cell {
  return { row: encodeKey(path), column: path, value: packData(stored) };
}

function entryOf(dataset: DatasetInfo, cell: Cell): FileEntry {
  const { location, bytes } = valueOf(cell) as StoredFile;
  return { path: cell.column, location: join(directoryOf(dataset), location), bytes };
}

/** Files of a file set, by path. */
export async function listFiles(tx: Operations, dataset: DatasetInfo, prefix = ''): Promise<FileEntry[]> {
  const found: FileEntry[] = [];
  for await (const batch of tx.scan(dataset, { start: encodeKey(prefix) })) {
    for (const cell of batch) {
      if (!cell.column.startsWith(prefix)) return found;
      found.push(entryOf(dataset, cell));
    }
  }
  return found;
}

export class FileSetHandle implements FileSet {
  readonly ref: HandleRef;

  constructor(ref: HandleRef) {
    this.ref = ref;
  }

  async list(prefix?: string): Promise<FileEntry[]> {
    const dataset = await datasetOf(this.ref);
    return accessOf(this.ref).run((tx) => listFiles(tx, dataset, prefix));
  }

  async read(path: string): Promise<Uint8Array> {
    const dataset = await datasetOf(this.ref);
    return accessOf(this.ref).run(async (tx) => {
      const [cell] = await tx.get(dataset, encodeKey(checkPath(path)));
      if (cell === undefined) throw DATASET_ERRORS.FILE_NOT_FOUND({ name: dataset.name, path });
      return readFile(entryOf(dataset, cell).location);
    });
  }

  async write(path: string, bytes: Uint8Array | string): Promise<void> {
    const dataset = await datasetOf(this.ref);
    await accessOf(this.ref).run(async (tx) =>
      tx.put(dataset, [{ row: encodeKey(path), column: path, value: await store(dataset, await tx.ownVersion(), path, bytes) }]),
    );
  }

  async delete(path: string): Promise<void> {
    const dataset = await datasetOf(this.ref);
    await accessOf(this.ref).run((tx) => tx.put(dataset, [{ row: encodeKey(checkPath(path)), column: path, value: null }]));
  }
}

// Partitions: one row each; column '' is its key and metadata, every other column a file

/** @throws SP_DATASET_BAD_RECORD */
export function partitionRow(dataset: DatasetInfo, key: PartitionKey): KeyBytes {
  const fields = partitionFields(dataset);
  const values = fields.map((field) => key[field]);
  if (values.some((value) => typeof value !== 'string' && typeof value !== 'number') || Object.keys(key).length !== fields.length)
    throw DATASET_ERRORS.BAD_RECORD({ name: dataset.name, reason: `a partition key has the fields ${fields.join(', ')}` });
  return encodeKey(values as (string | number)[]);
}

function partitionFields(dataset: DatasetInfo): string[] {
  return dataset.kind === 'timePartitionedFileSet' ? ['time'] : (JSON.parse(dataset.properties['partitioning'] as string) as string[]);
}

/** To the minute. */
export function timeKey(time: Date | number): PartitionKey {
  return { time: Math.floor(Number(time) / MINUTE) * MINUTE };
}

function partitionOf(dataset: DatasetInfo, cells: readonly Cell[]): Partition {
  const [header, ...files] = cells as [Cell, ...Cell[]];
  return { ...(valueOf(header) as StoredPartition), files: files.map((cell) => entryOf(dataset, cell)) };
}

export async function listPartitions(tx: Operations, dataset: DatasetInfo, filter: Partial<PartitionKey> = {}, range = {}): Promise<Partition[]> {
  const found: Partition[] = [];
  for await (const [, cells] of rowsOf(tx.scan(dataset, range))) {
    const partition = partitionOf(dataset, cells);
    if (Object.entries(filter).every(([field, value]) => partition.key[field] === value)) found.push(partition);
  }
  return found;
}

/** The cell that makes a partition; its row conflicts with anybody else who makes it. @throws SP_DATASET_PARTITION_EXISTS */
export async function newPartition(
  tx: Operations,
  dataset: DatasetInfo,
  key: PartitionKey,
  metadata: Readonly<Record<string, string>> = {},
): Promise<KeyBytes> {
  const row = partitionRow(dataset, key);
  if ((await tx.get(dataset, row)).length > 0) throw DATASET_ERRORS.PARTITION_EXISTS({ name: dataset.name, partition: JSON.stringify(key) });
  await tx.put(dataset, [{ row, column: '', value: packData({ key, metadata } satisfies StoredPartition) }]);
  return row;
}

async function addPartition(tx: Operations, dataset: DatasetInfo, key: PartitionKey, files: Files, metadata?: Readonly<Record<string, string>>): Promise<void> {
  const row = await newPartition(tx, dataset, key, metadata);
  const version = await tx.ownVersion();
  const cells: Cell[] = [];
  for (const [path, content] of Object.entries(files)) cells.push({ row, column: path, value: await store(dataset, version, path, content) });
  await tx.put(dataset, cells);
}

async function dropPartition(tx: Operations, dataset: DatasetInfo, key: PartitionKey): Promise<void> {
  const row = partitionRow(dataset, key);
  const cells = await tx.get(dataset, row);
  await tx.put(
    dataset,
    cells.map(({ column }) => ({ row, column, value: null })),
  );
}

export class PartitionedHandle implements PartitionedFileSet {
  readonly ref: HandleRef;

  constructor(ref: HandleRef) {
    this.ref = ref;
  }

  async partitions(filter?: Partial<PartitionKey>): Promise<Partition[]> {
    const dataset = await datasetOf(this.ref);
    return accessOf(this.ref).run((tx) => listPartitions(tx, dataset, filter));
  }

  async addPartition(key: PartitionKey, files: Files, metadata?: Readonly<Record<string, string>>): Promise<void> {
    const dataset = await datasetOf(this.ref);
    await accessOf(this.ref).run((tx) => addPartition(tx, dataset, key, files, metadata));
  }

  async dropPartition(key: PartitionKey): Promise<void> {
    const dataset = await datasetOf(this.ref);
    await accessOf(this.ref).run((tx) => dropPartition(tx, dataset, key));
  }
}

export class TimePartitionedHandle implements TimePartitionedFileSet {
  readonly ref: HandleRef;

  constructor(ref: HandleRef) {
    this.ref = ref;
  }

  async partitions(from: Date | number, to: Date | number): Promise<(Partition & { readonly time: Date })[]> {
    const dataset = await datasetOf(this.ref);
    const range = { start: encodeKey([Number(from)]), end: encodeKey([Number(to)]) };
    const found = await accessOf(this.ref).run((tx) => listPartitions(tx, dataset, {}, range));
    return found.map((partition) => ({ ...partition, time: new Date(partition.key['time'] as number) }));
  }

  async addPartition(time: Date | number, files: Files, metadata?: Readonly<Record<string, string>>): Promise<void> {
    const dataset = await datasetOf(this.ref);
    await accessOf(this.ref).run((tx) => addPartition(tx, dataset, timeKey(time), files, metadata));
  }

  async dropPartition(time: Date | number): Promise<void> {
    const dataset = await datasetOf(this.ref);
    await accessOf(this.ref).run((tx) => dropPartition(tx, dataset, timeKey(time)));
  }
}

/** Removes directories of versions that name nothing any more: aborted, or all their files deleted. Gives their number. */
export async function removeUnusedFiles(datasets: DatasetStore, dataset: DatasetInfo): Promise<number> {
  const names = await readdir(directoryOf(dataset)).catch(() => []);
  const versions = names.flatMap((name) => (/^v\d+$/.test(name) ? [Number(name.slice(1))] : []));
  const unused = versions.length === 0 ? [] : await datasets.unused(dataset, versions);
  for (const version of unused) await rm(join(directoryOf(dataset), `v${version}`), { recursive: true, force: true });
  return unused.length;
}
