import { readFileSync } from 'node:fs';
import { SparkProxyError } from '../core/errors.ts';
import type { DatasetStore } from './contract.ts';
import { DATASET_ERRORS } from './errors.ts';

export interface StoreOptions {
  /** A task's connection: fewer, and made durable by the driver's commit. @defaultValue false */
  readonly task?: boolean;
}

/** What a store is opened with, by the driver and by its tasks; the password is kept apart from the URL so that it is never shown. */
export interface StoreAddress {
  readonly url: string;
  readonly password?: string | undefined;
}

type OpenStore = (address: StoreAddress, options: StoreOptions) => Promise<DatasetStore>;

const STORES: Readonly<Record<string, OpenStore>> = {
  'sqlite:': async ({ url }, { task = false }) => (await import('./sqlite/store.ts')).openSqliteStore(url.slice('sqlite:'.length), { relaxed: task }),
  'postgres:': openPostgres,
  'postgresql:': openPostgres,
};

async function openPostgres(address: StoreAddress, { task = false }: StoreOptions): Promise<DatasetStore> {
  return (await import('./postgres/store.ts')).openPostgresStore(address, { task });
}

/** Takes the password out of a URL; without one there, out of the file. */
export function storeAddress(url: string, passwordFile?: string): StoreAddress {
  const fromFile = passwordFile === undefined ? undefined : readFileSync(passwordFile, 'utf8').trim();
  if (!/^postgres(ql)?:/.test(url) || !URL.canParse(url)) return { url };
  const parsed = new URL(url);
  const password = parsed.password === '' ? fromFile : decodeURIComponent(parsed.password);
  parsed.password = '';
  return { url: parsed.href, password };
}

/** @throws SP_DATASET_BAD_STORE, SP_DATASET_PEER_MISSING, SP_DATASET_STORE_FAILED, SP_DATASET_STORE_LAYOUT */
export async function openStore(address: StoreAddress, options: StoreOptions = {}): Promise<DatasetStore> {
  const open = STORES[/^[a-z]+:/.exec(address.url)?.[0] ?? ''];
  if (open === undefined) throw DATASET_ERRORS.BAD_STORE({ url: address.url });
  try {
    return await open(address, options);
  } catch (error) {
    throw SparkProxyError.is(error) ? error : DATASET_ERRORS.STORE_FAILED({ store: address.url, reason: (error as Error).message }, error);
  }
}
