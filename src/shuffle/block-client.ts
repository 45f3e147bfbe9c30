/** Fetches blocks of shuffle files from the block servers of other machines; one connection a server and thread, kept for a while. */
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { systemClock, type Clock, type Timer } from '../core/clock.ts';
import type { Certificates } from '../core/certificates.ts';
import type { BlockLocation } from './block-location.ts';
import { encodeRequest, MAGIC, RESPONSE_HEADER, STATUS } from './block-protocol.ts';

export interface BlockClientOptions {
  /** A server that is silent for so long while something is asked of it counts as gone, milliseconds. @defaultValue 30000 */
  readonly timeoutMs?: number;
  /** Connections that nobody uses are closed after this, milliseconds. @defaultValue 30000 */
  readonly idleMs?: number;
  readonly tls?: Certificates;
  /** @defaultValue systemClock */
  readonly clock?: Clock;
}

export interface WantedBlock {
  /** `directory/file` on its server. */
  readonly file: string;
  readonly offset: number;
  readonly size: number;
}

interface Pending {
  readonly into: Buffer;
  got: number;
  readonly resolve: (bytes: Buffer) => void;
  readonly reject: (error: Error) => void;
}

const TLS = 'tls:';
/** One try again, since a connection that was idle may have been closed by the other side just now. */
const TRIES = 2;

export class BlockClient {
  readonly #options: Required<Omit<BlockClientOptions, 'tls'>> & { readonly tls: Certificates | undefined };
  readonly #links = new Map<string, BlockLink>();

  constructor(options: BlockClientOptions = {}) {
    this.#options = { timeoutMs: 30_000, idleMs: 30_000, clock: systemClock, tls: undefined, ...options };
  }

  /** The bytes of one block, unchecked. Rejects when its server or its file is gone. */
  async fetch(location: BlockLocation, wanted: WantedBlock): Promise<Buffer> {
    for (let attempt = 1; ; attempt++) {
      const link = this.#link(location);
      try {
        return await link.fetch(wanted);
      } catch (error) {
        if (attempt >= TRIES || error instanceof MissingBlock) throw error;
      }
    }
  }

  close(): void {
    for (const link of this.#links.values()) link.end(new Error('the reader was closed'));
  }

  #link(location: BlockLocation): BlockLink {
    const key = `${location.address} ${location.token}`;
    let link = this.#links.get(key);
    if (link === undefined) {
      link = new BlockLink(location, this.#options, () => this.#links.delete(key));
      this.#links.set(key, link);
    }
    return link;
  }
}

class MissingBlock extends Error {}

class BlockLink {
  readonly #socket: Socket;
  readonly #options: { readonly timeoutMs: number; readonly idleMs: number; readonly clock: Clock };
  readonly #pending = new Map<number, Pending>();
  readonly #ended: () => void;
  #header: Buffer = Buffer.alloc(0);
  /** The block whose bytes are coming now. */
  #current: { readonly id: number; readonly pending: Pending } | undefined;
  #ids = 0;
  #timer: Timer | undefined;
  #closed = false;

  constructor(location: BlockLocation, options: { timeoutMs: number; idleMs: number; clock: Clock; tls: Certificates | undefined }, ended: () => void) {
    this.#options = options;
    this.#ended = ended;
    const secure = location.address.startsWith(TLS);
    const address = secure ? location.address.slice(TLS.length) : location.address;
    const at = address.lastIndexOf(':');
    const host = address.slice(0, at).replace(/^\[|\]$/g, '');
    const port = Number(address.slice(at + 1));
    // Executors come and go at any address: the authority vouches for them, not a name in the certificate.
    this.#socket = secure ? connectTls({ port, host, ...options.tls, checkServerIdentity: () => undefined }) : connect(port, host);
    this.#socket
      .setNoDelay(true)
      .on('data', (chunk: Buffer) => this.#received(chunk))
      .on('error', (error) => this.end(error))
      .on('close', () => this.end(new Error('its server closed the connection')));
    this.#socket.write(Buffer.concat([MAGIC, Buffer.from(location.token, 'hex')]));
  }

  fetch({ file, offset, size }: WantedBlock): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const id = (this.#ids = (this.#ids + 1) >>> 0);
      this.#pending.set(id, { into: Buffer.allocUnsafeSlow(size), got: 0, resolve, reject });
      this.#socket.ref();
      this.#socket.write(encodeRequest({ id, file, offset, size }));
      if (this.#pending.size === 1) this.#watch();
    });
  }

  /** Everything asked and not yet answered fails. Idempotent. */
  end(error: Error): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#timer?.cancel();
    this.#socket.destroy();
    this.#ended();
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
  }

  /** Silence is fatal while something is under way, and only tidied up when nothing is. */
  #watch(): void {
    this.#timer?.cancel();
    const { clock, timeoutMs, idleMs } = this.#options;
    const waiting = this.#pending.size > 0;
    const reason = waiting ? `nothing came for ${timeoutMs} ms` : 'idle';
    this.#timer = clock.after(waiting ? timeoutMs : idleMs, () => this.end(new Error(reason)), { background: true });
    if (!waiting) this.#socket.unref();
  }

  #received(chunk: Buffer): void {
    let data = chunk;
    while (data.length > 0 && !this.#closed) {
      if (this.#current === undefined) {
        this.#header = this.#header.length === 0 ? data : Buffer.concat([this.#header, data]);
        if (this.#header.length < RESPONSE_HEADER) return this.#watch();
        data = this.#header.subarray(RESPONSE_HEADER);
        if (!this.#begin()) return;
        continue;
      }
      const { pending } = this.#current;
      const take = Math.min(data.length, pending.into.length - pending.got);
      data.copy(pending.into, pending.got, 0, take);
      pending.got += take;
      data = data.subarray(take);
      this.#finishIfWhole();
    }
    this.#watch();
  }

  /** Reads a header; false when the connection had to be ended. */
  #begin(): boolean {
    const id = this.#header.readUInt32BE(0);
    const status = this.#header.readUInt8(4);
    const length = this.#header.readUInt32BE(5);
    this.#header = Buffer.alloc(0);
    const pending = this.#pending.get(id);
    if (pending === undefined || (status === STATUS.ok && length !== pending.into.length)) {
      this.end(new Error('its server does not speak the block protocol'));
      return false;
    }
    if (status !== STATUS.ok) {
      this.#pending.delete(id);
      pending.reject(new MissingBlock('its server does not have it'));
      return true;
    }
    this.#current = { id, pending };
    this.#finishIfWhole();
    return true;
  }

  #finishIfWhole(): void {
    if (this.#current === undefined || this.#current.pending.got < this.#current.pending.into.length) return;
    const { id, pending } = this.#current;
    this.#current = undefined;
    this.#pending.delete(id);
    pending.resolve(pending.into);
  }
}
