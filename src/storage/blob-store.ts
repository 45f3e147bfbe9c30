import { contentHash } from '../core/ids.ts';
import { STORAGE_ERRORS } from './errors.ts';

/**
 * The driver's shared blobs (stage binaries, map outputs, broadcasts) by content hash, counted by use: two stages with
 * the same binary share it, and the last one to end releases it.
 */
export class BlobStore {
  readonly #blobs = new Map<string, { bytes: Uint8Array; uses: number }>();
  readonly #listeners = new Set<(hash: string) => void>();

  /** Adds one use. */
  put(bytes: Uint8Array, hash = contentHash(bytes)): string {
    const known = this.#blobs.get(hash);
    if (known === undefined) this.#blobs.set(hash, { bytes, uses: 1 });
    else known.uses += 1;
    return hash;
  }

  /** Ends one use. */
  release(hash: string): void {
    const blob = this.#blobs.get(hash);
    if (blob === undefined || --blob.uses > 0) return;
    this.#blobs.delete(hash);
    for (const listener of this.#listeners) listener(hash);
  }

  /** @throws SP_STORAGE_UNKNOWN_BLOB */
  get(hash: string): Uint8Array {
    const blob = this.#blobs.get(hash);
    if (blob === undefined) throw STORAGE_ERRORS.UNKNOWN_BLOB({ hash });
    return blob.bytes;
  }

  /** Tells when a blob is gone; returns the unsubscribe function. */
  onRelease(listener: (hash: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get size(): number {
    return this.#blobs.size;
  }
}
