/**
 * A worker that lies about what it computes. Arguments: URL, local directory, and `value` (all its results are wrong) or `file`
 * (it says the right digests, and puts something else into its shuffle files, with checksums to match).
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { crc32 } from 'node:zlib';
import { decodeTaskResult, encodeTaskResult } from '../../../src/executor/task-codec.ts';
import { ThreadPool } from '../../../src/executor/thread-pool.ts';
import { createRegisterCenter } from '../../../src/registry/index.ts';
import type { MapStatus } from '../../../src/shuffle/map-output.ts';
import { connectTransport } from '../../../src/transports/index.ts';
import { createWorkerHost, type TaskRunner } from '../../../src/worker/index.ts';

const [url = '', localDir = '', how = 'value'] = process.argv.slice(2);

function flipped(bytes: Uint8Array): Uint8Array {
  const copy = bytes.slice();
  if (copy.length > 0) copy[copy.length - 1] = (copy.at(-1) ?? 0) ^ 1;
  return copy;
}

function lie(bytes: Uint8Array): Uint8Array {
  const result = decodeTaskResult(bytes);
  const { value } = result;
  if (value instanceof Uint8Array) return how === 'value' ? encodeTaskResult({ ...result, value: flipped(value) }) : bytes;
  if (typeof value !== 'object' || value === null || !('digests' in value)) return bytes;
  const status = value as MapStatus;
  if (how === 'value') return encodeTaskResult({ ...result, value: { ...status, digests: flipped(status.digests as Uint8Array) } });
  const file = readFileSync(status.path);
  const checksums = status.checksums.map((checksum, i) => {
    const block = file.subarray(status.offsets[i], status.offsets[i + 1]);
    if (block.length === 0) return checksum;
    block[block.length - 1] = (block.at(-1) ?? 0) ^ 1;
    return crc32(block);
  });
  writeFileSync(status.path, file);
  return encodeTaskResult({ ...result, value: { ...status, checksums } });
}

const transport = await connectTransport(url, { role: 'client' });
const registry = createRegisterCenter(transport, { beatMs: 150, ttlMs: 1500 });
const id = `worker-liar-${process.pid}`;
const honest = new ThreadPool({ machine: hostname(), executorId: id, localDir, threads: 2 });
const runner: TaskRunner = {
  kind: 'js',
  run: async (task, blobs) => lie(await honest.run(task, blobs)),
  kill: (task, reason) => honest.kill(task, reason),
  close: () => honest.close(),
};
const host = await createWorkerHost({ transport, registry, runners: [runner], slots: 2, id });
console.error('worker: ready');
process.on('SIGTERM', () => void host.drain());
await host.closed;
await registry.close();
await transport.close();
