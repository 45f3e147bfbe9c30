import type { Revivers } from '../closure/contract.ts';
import { reviveAccumulator } from './accumulator.ts';
import { reviveBroadcast } from './broadcast.ts';

/** How what travels by reference is made again on an executor. */
export function executorRevivers(bytesOf: (hash: string) => Uint8Array): Revivers {
  return {
    accumulator: reviveAccumulator,
    broadcast: (data) => reviveBroadcast(data, bytesOf),
  };
}
