import { createHash, randomBytes } from 'node:crypto';

/** Random source, injected where a choice must be replayed in a test. Returns a float in [0, 1). */
export type Random = () => number;

/** A short unique id with a readable prefix, such as `worker-9f2c61d0a4b3`. */
export function newId(prefix: string): string {
  return `${prefix}-${randomBytes(6).toString('hex')}`;
}

/** Content address of a blob: hex SHA-256. */
export function contentHash(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** A small seeded generator (mulberry32), for simulations and samples that must be the same on every run. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
