/** Shuffle files: written whole by a map task under a name of its attempt, read in blocks by reduce tasks. */
import { createHash } from 'node:crypto';
import { closeSync, mkdirSync, openSync, readSync, renameSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { BlockClient } from './block-client.ts';
import { blockFileOf, type BlockLocation } from './block-location.ts';
import { SHUFFLE_ERRORS } from './errors.ts';
import type { MapOutputs, MapStatus } from './map-output.ts';

/** Chunks of one reduce partition, in order. */
export type Block = readonly Uint8Array[];

/**
 * Writes the blocks of one map task. The file appears under its name only when complete, so a killed writer leaves
 * nothing that a reader could take for output.
 */
export function writeMapOutput(
  directory: string,
  name: string,
  executorId: string,
  blocks: readonly Block[],
  { location, digests: wantsDigests = false }: { readonly location?: BlockLocation | undefined; readonly digests?: boolean } = {},
): MapStatus {
  const path = join(directory, name);
  const temporary = `${path}.tmp`;
  const file = openForWriting(temporary);
  const offsets: number[] = [0];
  const checksums: number[] = [];
  let position = 0;
  try {
    for (const block of blocks) {
      let checksum = 0;
      for (const chunk of block) {
        checksum = crc32(chunk, checksum);
        for (let at = 0; at < chunk.byteLength;) at += writeSync(file, chunk, at);
        position += chunk.byteLength;
      }
      offsets.push(position);
      checksums.push(checksum);
    }
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
  const digests = wantsDigests ? { digests: digestsOf(blocks) } : undefined;
  return { executorId, path, offsets, checksums, ...digests, ...(location === undefined ? {} : { location }) };
}

/** Bytes of one digest. */
const DIGEST_BYTES = 32;

function digestsOf(blocks: readonly Block[]): Uint8Array {
  const digests = new Uint8Array(blocks.length * DIGEST_BYTES);
  blocks.forEach((block, reducer) => {
    if (block.length === 0) return;
    const hash = createHash('sha256');
    for (const chunk of block) hash.update(chunk);
    digests.set(hash.digest(), reducer * DIGEST_BYTES);
  });
  return digests;
}

/** The bytes of a block are not those whose digest was agreed on: whoever wrote them lies. */
const FORGED = 'it is not what was verified';

/** What is wrong with the bytes of a block; undefined: nothing. A checksum finds accidents, a digest finds lies too. */
function problemOf(bytes: Uint8Array, { checksums, digests }: MapStatus, partition: number): string | undefined {
  if (crc32(bytes) !== checksums[partition]) return 'checksum mismatch';
  if (digests === undefined) return undefined;
  const said = digests.subarray(partition * DIGEST_BYTES, (partition + 1) * DIGEST_BYTES);
  return createHash('sha256').update(bytes).digest().equals(said) ? undefined : FORGED;
}

function openForWriting(path: string): number {
  try {
    return openSync(path, 'w');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    mkdirSync(dirname(path), { recursive: true });
    return openSync(path, 'w');
  }
}

/** The non-empty blocks of one reduce partition, in map order; `fetched`: those of other machines. @throws SP_SHUFFLE_FETCH_FAILED naming the map task */
export function* readBlocks(outputs: MapOutputs, partition: number, fetched?: FetchedBlocks): Generator<Buffer> {
  for (let mapIndex = 0; mapIndex < outputs.statuses.length; mapIndex++) {
    const status = outputs.statuses[mapIndex] as MapStatus;
    const from = status.offsets[partition] as number;
    const size = (status.offsets[partition + 1] as number) - from;
    if (size > 0) yield fetched?.get(mapIndex) ?? readBlock(outputs.shuffleId, mapIndex, status, partition, from, size);
  }
}

/** Blocks of one reduce partition by map index. */
export type FetchedBlocks = ReadonlyMap<number, Buffer>;

/**
 * Fetches the blocks of one reduce partition that are on other machines than `machine`, all at a time; undefined when there are none.
 * Rejects with SP_SHUFFLE_FETCH_FAILED naming the map task.
 */
export function fetchBlocks(outputs: MapOutputs, partition: number, machine: string, client: BlockClient): Promise<FetchedBlocks> | undefined {
  const fetching: Promise<readonly [number, Buffer]>[] = [];
  outputs.statuses.forEach((status, mapIndex) => {
    const { location, offsets } = status;
    const offset = offsets[partition] as number;
    const size = (offsets[partition + 1] as number) - offset;
    if (size === 0 || location === undefined || location.machine === machine) return;
    fetching.push(
      client.fetch(location, { file: blockFileOf(status.path), offset, size }).then(
        (bytes) => {
          const problem = problemOf(bytes, status, partition);
          if (problem !== undefined) throw fetchFailed(outputs.shuffleId, mapIndex, status, problem);
          return [mapIndex, bytes] as const;
        },
        (cause: unknown) => {
          throw fetchFailed(outputs.shuffleId, mapIndex, status, `${location.address}: ${(cause as Error).message}`, cause);
        },
      ),
    );
  });
  return fetching.length === 0 ? undefined : Promise.all(fetching).then((blocks) => new Map(blocks));
}

function fetchFailed(shuffleId: number, mapIndex: number, { executorId }: MapStatus, reason: string, cause?: unknown): Error {
  return SHUFFLE_ERRORS.FETCH_FAILED({ shuffleId, mapIndex, executorId, reason, forged: reason === FORGED }, cause);
}

function readBlock(shuffleId: number, mapIndex: number, status: MapStatus, partition: number, from: number, size: number): Buffer {
  const failed = (reason: string, cause?: unknown): Error => fetchFailed(shuffleId, mapIndex, status, reason, cause);
  let file: number;
  try {
    file = openSync(status.path, 'r');
  } catch (cause) {
    throw failed((cause as Error).message, cause);
  }
  try {
    const bytes = Buffer.allocUnsafe(size);
    let got = 0;
    while (got < size) {
      const n = readSync(file, bytes, got, size - got, from + got);
      if (n === 0) throw failed(`the file ends after ${from + got} bytes`);
      got += n;
    }
    const problem = problemOf(bytes, status, partition);
    if (problem !== undefined) throw failed(problem);
    return bytes;
  } finally {
    closeSync(file);
  }
}
