/** The registry of one namespace. */
import { rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseName } from './access.ts';
import type { CreateOptions, DatasetAdmin, DatasetInfo, DatasetKind, DatasetStore } from './contract.ts';
import { SparkProxyError } from '../core/errors.ts';
import { DATASET_ERRORS } from './errors.ts';
import { schemaFault } from './schema.ts';

const KINDS: Readonly<Record<DatasetKind, true>> = {
  keyValue: true,
  table: true,
  fileSet: true,
  partitionedFileSet: true,
  timePartitionedFileSet: true,
  stream: true,
};
const LEVELS = ['ROW', 'COLUMN', 'NONE'];

export class Registry implements DatasetAdmin {
  readonly #store: DatasetStore;
  readonly #namespace: string;
  readonly #files: string;
  /** Definitions never change; a dataset that another driver has dropped is looked up again when the store misses it. */
  readonly #known = new Map<string, DatasetInfo>();

  constructor(store: DatasetStore, namespace: string, files: string) {
    this.#store = store;
    this.#namespace = namespace;
    this.#files = files;
  }

  async create(given: string, kind: DatasetKind, options: CreateOptions = {}): Promise<DatasetInfo> {
    const { namespace, name } = parseName(given, this.#namespace);
    const { ifNotExists = false, conflicts = kind === 'stream' ? 'NONE' : 'ROW', schema, keySchema } = options;
    const refuse = (reason: string): never => {
      throw DATASET_ERRORS.BAD_DEFINITION({ name, reason });
    };
    if (!Object.hasOwn(KINDS, kind)) refuse(`kind must be one of ${Object.keys(KINDS).join(', ')}`);
    if (!LEVELS.includes(conflicts)) refuse(`conflicts must be one of ${LEVELS.join(', ')}`);
    for (const type of [schema, keySchema]) {
      const fault = type === undefined ? undefined : schemaFault(type);
      if (fault !== undefined) refuse(fault);
    }
    const { partitioning } = options;
    if (kind === 'partitionedFileSet' && (partitioning === undefined || partitioning.length === 0))
      refuse('a partitionedFileSet needs partitioning: its fields, in order');
    const properties: Record<string, string> = {};
    if (kind.endsWith('ileSet')) {
      properties['directory'] = options.directory === undefined ? join(this.#files, namespace, name) : resolve(options.directory);
      properties['format'] = options.format ?? 'json';
    }
    if (kind === 'partitionedFileSet') properties['partitioning'] = JSON.stringify(partitioning);
    try {
      return await this.#store.create({ namespace, name, kind, conflicts, schema, keySchema, properties });
    } catch (error) {
      const found = ifNotExists && SparkProxyError.is(error) && error.code === 'SP_DATASET_EXISTS' ? await this.#store.find(namespace, name) : undefined;
      if (found === undefined) throw error;
      if (found.kind !== kind) throw DATASET_ERRORS.WRONG_KIND({ name, kind: found.kind, wanted: kind });
      return found;
    }
  }

  get(given: string): Promise<DatasetInfo | undefined> {
    const { namespace, name } = parseName(given, this.#namespace);
    return this.#store.find(namespace, name);
  }

  list(): Promise<DatasetInfo[]> {
    return this.#store.list(this.#namespace);
  }

  async drop(given: string): Promise<void> {
    const { namespace, name } = parseName(given, this.#namespace);
    this.#known.delete(`${namespace}:${name}`);
    const found = await this.#store.find(namespace, name);
    if (found === undefined) throw DATASET_ERRORS.NOT_FOUND({ name, store: this.#store.url });
    await this.#store.drop(found);
    const { directory } = found.properties;
    if (directory !== undefined) await rm(directory, { recursive: true, force: true });
  }

  /** @throws SP_DATASET_NOT_FOUND */
  async resolve(namespace: string, name: string): Promise<DatasetInfo> {
    const key = `${namespace}:${name}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const found = await this.#store.find(namespace, name);
    if (found === undefined) throw DATASET_ERRORS.NOT_FOUND({ name, store: this.#store.url });
    this.#known.set(key, found);
    return found;
  }
}
