import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));
/** What the benchmarks make and download; never committed. */
export const CACHE = fileURLToPath(new URL('../../.cache/', import.meta.url));
export const PEERS = fileURLToPath(new URL('../peers/', import.meta.url));
