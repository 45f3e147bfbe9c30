import { decodeRecords } from '../protocol/columns.ts';

/**
 * Cached partitions as one thread sees them. The bytes are shared memory owned by the process (see executor/block-manager.ts);
 * decoded records are held weakly, so that memory pressure frees them and the bytes are decoded again.
 */
export class ThreadBlocks {
  readonly #bytes = new Map<string, Uint8Array>();
  readonly #decoded = new Map<string, WeakRef<unknown[]>>();
  readonly #announce: (id: string, bytes: Uint8Array) => void;

  constructor(announce: (id: string, bytes: Uint8Array) => void) {
    this.#announce = announce;
  }

  get(id: string): unknown[] | undefined {
    const bytes = this.#bytes.get(id);
    if (bytes === undefined) return undefined;
    const known = this.#decoded.get(id)?.deref();
    if (known !== undefined) return known;
    const records = decodeRecords(bytes);
    this.#decoded.set(id, new WeakRef(records));
    return records;
  }

  /** A partition that this thread has computed. */
  put(id: string, bytes: Uint8Array, records: unknown[]): void {
    const shared = new Uint8Array(new SharedArrayBuffer(bytes.byteLength));
    shared.set(bytes);
    this.add(id, shared);
    this.#decoded.set(id, new WeakRef(records));
    this.#announce(id, shared);
  }

  /** A partition that another thread of this process has computed. */
  add(id: string, shared: Uint8Array): void {
    this.#bytes.set(id, shared);
  }

  drop(id: string): void {
    this.#bytes.delete(id);
    this.#decoded.delete(id);
  }
}
