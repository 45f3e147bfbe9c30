import { packValue, unpackValue } from '../protocol/columns.ts';
import type { BlockLocation } from './block-location.ts';

/** Where one map task left its output: one file, cut at `offsets` into one block per reduce partition. */
export interface MapStatus {
  readonly executorId: string;
  readonly path: string;
  /** numPartitions + 1 byte offsets; block r is [offsets[r], offsets[r + 1]). */
  readonly offsets: readonly number[];
  /** CRC-32 of each block. */
  readonly checksums: readonly number[];
  /** SHA-256 of each block, one after another; where results are verified. Empty blocks have zeros. */
  readonly digests?: Uint8Array;
  /** Who gives it to other machines; undefined: only its path is known. */
  readonly location?: BlockLocation;
}

/** What a reduce task must know of one shuffle: the output of every map task. */
export interface MapOutputs {
  readonly shuffleId: number;
  readonly statuses: readonly MapStatus[];
}

/** Executors write many outputs: what says where they are travels once each. `inside` is where outputs without a location are. */
export function encodeMapOutputs({ shuffleId, statuses }: MapOutputs, inside?: BlockLocation): Uint8Array {
  const places = new Map<string, number>();
  const locations: (readonly [string, string, string] | null)[] = [];
  const placeOf = ({ location = inside }: MapStatus): number => {
    const key = location === undefined ? '' : `${location.machine} ${location.address} ${location.token}`;
    let place = places.get(key);
    if (place === undefined) {
      places.set(key, (place = locations.length));
      locations.push(location === undefined ? null : [location.machine, location.address, location.token]);
    }
    return place;
  };
  const rows = statuses.map((s) => [s.executorId, s.path, s.offsets, s.checksums, placeOf(s), s.digests ?? null]);
  return packValue([shuffleId, locations, rows]);
}

export function decodeMapOutputs(bytes: Uint8Array): MapOutputs {
  const [shuffleId, places, rows] = unpackValue(bytes) as [
    number,
    ([string, string, string] | null)[],
    [string, string, number[], number[], number, Uint8Array | null][],
  ];
  const locations = places.map((place): BlockLocation | undefined => (place === null ? undefined : { machine: place[0], address: place[1], token: place[2] }));
  const statuses = rows.map(([executorId, path, offsets, checksums, place, digests]): MapStatus => {
    const location = locations[place];
    return { executorId, path, offsets, checksums, ...(digests === null ? {} : { digests }), ...(location === undefined ? {} : { location }) };
  });
  return { shuffleId, statuses };
}
