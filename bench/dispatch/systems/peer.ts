import { createRequire } from 'node:module';
import { join } from 'node:path';
import { DISPATCH_PEERS } from '../../support/peers.ts';
import { PAYLOAD_BYTES, RESULT_BYTES } from './contract.ts';

/** A package of bench/peers/dispatch, which are no dependencies of the project: their types are said where they are used. */
export function peer<T>(name: string): T {
  return createRequire(join(DISPATCH_PEERS, 'package.json'))(name) as T;
}

/** What peers carry: they serialize values, so a text of so many bytes. */
export const payload = 'x'.repeat(PAYLOAD_BYTES);
export const result = 'x'.repeat(RESULT_BYTES);

export function hostAndPort(address: string): { readonly host: string; readonly port: number } {
  const { hostname, port } = new URL(address);
  return { host: hostname, port: Number(port) };
}
