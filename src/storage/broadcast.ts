import { SERIALIZE, type ByReviver } from '../closure/contract.ts';
import { contentHash } from '../core/ids.ts';
import { packData, unpackValue } from '../protocol/columns.ts';
import { STORAGE_ERRORS } from './errors.ts';

/** Broadcasts met while a stage is serialized. One serialization runs at a time: it is synchronous. */
let collector: Set<Broadcast<unknown>> | undefined;

/** Runs `serialize` and tells which broadcasts its value refers to. */
export function collectBroadcasts<R>(serialize: () => R): { result: R; broadcasts: ReadonlySet<Broadcast<unknown>> } {
  const outer = collector;
  const broadcasts = (collector = new Set());
  try {
    return { result: serialize(), broadcasts };
  } finally {
    collector = outer;
  }
}

/** A read-only value that is sent to each executor once, when a task first needs it; Spark's Broadcast. */
export class Broadcast<T> implements ByReviver {
  readonly id: number;
  /** Content address of the encoded value. */
  readonly hash: string;
  #bytes: Uint8Array | undefined;
  #value: T | undefined;

  /** @throws SP_COLUMN_NOT_DATA when the value holds functions */
  constructor(id: number, value: T) {
    this.id = id;
    this.#value = value;
    this.#bytes = packData(value);
    this.hash = contentHash(this.#bytes);
  }

  get value(): T {
    if (this.#bytes === undefined) throw STORAGE_ERRORS.BROADCAST_DESTROYED({ id: this.id });
    return this.#value as T;
  }

  get bytes(): Uint8Array {
    if (this.#bytes === undefined) throw STORAGE_ERRORS.BROADCAST_DESTROYED({ id: this.id });
    return this.#bytes;
  }

  /** Frees the value; a later use throws SP_STORAGE_BROADCAST_DESTROYED. */
  destroy(): void {
    this.#bytes = undefined;
    this.#value = undefined;
  }

  [SERIALIZE](): { reviver: string; data: unknown } {
    if (this.#bytes === undefined) throw STORAGE_ERRORS.BROADCAST_DESTROYED({ id: this.id });
    collector?.add(this as Broadcast<unknown>);
    return { reviver: 'broadcast', data: { id: this.id, hash: this.hash } };
  }
}

/** The executor's side: decodes on first use, once a thread. */
export function reviveBroadcast(data: unknown, bytesOf: (hash: string) => Uint8Array): { readonly id: number; readonly value: unknown } {
  const { id, hash } = data as { id: number; hash: string };
  let decoded: { value: unknown } | undefined;
  return {
    id,
    get value(): unknown {
      decoded ??= { value: unpackValue(bytesOf(hash)) };
      return decoded.value;
    },
  };
}
