import type { Blob } from '../protocol/task.ts';

interface Held {
  readonly bytes: Uint8Array;
  readonly owners: Set<string>;
}

/** Blobs that tasks need, each held while one of its owners holds it: applications may share a blob by its content. */
export class BlobStore {
  readonly #blobs = new Map<string, Held>();
  /** Too large for the transport, or not to be encoded. */
  readonly #unsendable = new Set<string>();

  has(hash: string): boolean {
    return this.#blobs.has(hash);
  }

  sendable(hash: string): boolean {
    return this.#blobs.has(hash) && !this.#unsendable.has(hash);
  }

  get(hash: string): Uint8Array | undefined {
    return this.#blobs.get(hash)?.bytes;
  }

  put({ hash, bytes }: Blob, owner: string): void {
    const held = this.#blobs.get(hash);
    if (held === undefined) this.#blobs.set(hash, { bytes, owners: new Set([owner]) });
    else held.owners.add(owner);
    this.#unsendable.delete(hash);
  }

  release(hash: string, owner: string): void {
    const held = this.#blobs.get(hash);
    if (held === undefined || !held.owners.delete(owner) || held.owners.size > 0) return;
    this.#blobs.delete(hash);
    this.#unsendable.delete(hash);
  }

  releaseAll(owner: string): void {
    for (const hash of [...this.#blobs.keys()]) this.release(hash, owner);
  }

  markUnsendable(hash: string): void {
    this.#unsendable.add(hash);
  }
}
