import { packValue, unpackValue } from '../protocol/columns.ts';

/** Where one map task left its output: one file, cut at `offsets` into one block per reduce partition. */
export interface MapStatus {
  readonly executorId: string;
  readonly path: string;
  /** numPartitions + 1 byte offsets; block r is [offsets[r], offsets[r + 1]). */
  readonly offsets: readonly number[];
  /** CRC-32 of each block. */
  readonly checksums: readonly number[];
}

/** What a reduce task must know of one shuffle: the output of every map task. */
export interface MapOutputs {
  readonly shuffleId: number;
  readonly statuses: readonly MapStatus[];
}

export function encodeMapOutputs(outputs: MapOutputs): Uint8Array {
  return packValue([outputs.shuffleId, outputs.statuses.map((s) => [s.executorId, s.path, s.offsets, s.checksums])]);
}

export function decodeMapOutputs(bytes: Uint8Array): MapOutputs {
  const [shuffleId, statuses] = unpackValue(bytes) as [number, [string, string, number[], number[]][]];
  return { shuffleId, statuses: statuses.map(([executorId, path, offsets, checksums]) => ({ executorId, path, offsets, checksums })) };
}
