/**
 * The block protocol: blocks of shuffle files over one connection, many requests under way.
 *
 *   client -> server   "SPB1" token(32 bytes), then requests: length u32, id u32, offset f64, size u32, name (the rest)
 *   server -> client   id u32, status u8, length u32, bytes
 *
 * Big endian. A request is at most MAX_REQUEST bytes; what comes otherwise ends the connection.
 */
export const MAGIC = Buffer.from('SPB1');
export const TOKEN_BYTES = 32;
export const HELLO_BYTES = MAGIC.length + TOKEN_BYTES;
export const MAX_REQUEST = 1024;
export const RESPONSE_HEADER = 9;
const REQUEST_HEADER = 16;

export const STATUS = { ok: 0, missing: 1 } as const;

export interface BlockRequest {
  readonly id: number;
  /** `directory/file`, see block-location.ts. */
  readonly file: string;
  readonly offset: number;
  readonly size: number;
}

export function encodeRequest({ id, file, offset, size }: BlockRequest): Buffer {
  const name = Buffer.from(file);
  const out = Buffer.allocUnsafe(4 + REQUEST_HEADER + name.length);
  out.writeUInt32BE(REQUEST_HEADER + name.length, 0);
  out.writeUInt32BE(id, 4);
  out.writeDoubleBE(offset, 8);
  out.writeUInt32BE(size, 16);
  name.copy(out, 20);
  return out;
}

/** Requests of one connection from chunks as they come. @throws RangeError when a length is out of bounds */
export class RequestParser {
  #rest: Buffer = Buffer.alloc(0);

  push(chunk: Buffer): BlockRequest[] {
    let data = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const requests: BlockRequest[] = [];
    while (data.length >= 4) {
      const length = data.readUInt32BE(0);
      if (length <= REQUEST_HEADER || length > MAX_REQUEST) throw new RangeError(`a block request of ${length} bytes`);
      if (data.length < 4 + length) break;
      const offset = data.readDoubleBE(8);
      if (!Number.isSafeInteger(offset) || offset < 0) throw new RangeError('a block request with a bad offset');
      requests.push({ id: data.readUInt32BE(4), offset, size: data.readUInt32BE(16), file: data.toString('utf8', 20, 4 + length) });
      data = data.subarray(4 + length);
    }
    this.#rest = data;
    return requests;
  }
}

export function responseHeader(id: number, status: number, length: number): Buffer {
  const out = Buffer.allocUnsafe(RESPONSE_HEADER);
  out.writeUInt32BE(id, 0);
  out.writeUInt8(status, 4);
  out.writeUInt32BE(length, 5);
  return out;
}
