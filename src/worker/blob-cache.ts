interface CachedBlob {
  readonly bytes: Uint8Array;
  /** Tasks at work that name it. */
  pins: number;
}

/**
 * Blobs of a worker: the least recently used go first when they take more than `limitBytes` together; those that a task at
 * work names stay, whatever they take.
 *
 * OWNERSHIP: keeps a copy of its own, so that no frame is held for the blob in it.
 */
export class BlobCache {
  readonly #limitBytes: number;
  /** In order of last use. */
  readonly #blobs = new Map<string, CachedBlob>();
  #bytes = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  has(hash: string): boolean {
    return this.#blobs.has(hash);
  }

  get(hash: string): Uint8Array | undefined {
    return this.#blobs.get(hash)?.bytes;
  }

  add(hash: string, bytes: Uint8Array): void {
    if (this.#blobs.has(hash)) return;
    this.#blobs.set(hash, { bytes: bytes.slice(), pins: 0 });
    this.#bytes += bytes.length;
    this.#evict(hash);
  }

  /** Keeps a blob that is there until it is unpinned as often. */
  pin(hash: string): void {
    (this.#blobs.get(hash) as CachedBlob).pins++;
  }

  unpin(hash: string): void {
    const blob = this.#blobs.get(hash);
    if (blob === undefined) return;
    if (--blob.pins > 0) return;
    // Its use has ended now: until here it could not go.
    this.#blobs.delete(hash);
    this.#blobs.set(hash, blob);
    this.#evict();
  }

  #evict(spare?: string): void {
    if (this.#bytes <= this.#limitBytes) return;
    for (const [hash, blob] of this.#blobs) {
      // What has just come is what somebody waits for.
      if (blob.pins > 0 || hash === spare) continue;
      this.#blobs.delete(hash);
      this.#bytes -= blob.bytes.length;
      if (this.#bytes <= this.#limitBytes) return;
    }
  }
}
