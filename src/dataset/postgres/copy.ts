/** COPY ... BINARY of cells: https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format". */
import { pipeline } from 'node:stream/promises';
import { Readable } from 'node:stream';
import type { Cell } from '../contract.ts';
import type { PgClient, PostgresConnections } from './connection.ts';

const HEADER = Buffer.concat([Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1'), Buffer.alloc(8)]);
const TRAILER = Buffer.from([0xff, 0xff]);
const CHUNK = 1 << 18;

/** Rows (row, col, version, value). */
export class CopyBuffer {
  readonly #chunks: Buffer[] = [HEADER];
  #chunk = Buffer.allocUnsafe(CHUNK);
  #at = 0;
  readonly #version: bigint;

  constructor(version: number) {
    this.#version = BigInt(version);
  }

  #room(bytes: number): void {
    if (this.#at + bytes <= this.#chunk.length) return;
    this.#chunks.push(this.#chunk.subarray(0, this.#at));
    this.#chunk = Buffer.allocUnsafe(Math.max(CHUNK, bytes));
    this.#at = 0;
  }

  add({ row, column, value }: Cell): void {
    const columnBytes = column === '' ? 0 : Buffer.byteLength(column);
    this.#room(2 + 4 + row.length + 4 + columnBytes + 12 + 4 + (value?.length ?? 0));
    const chunk = this.#chunk;
    let at = chunk.writeInt16BE(4, this.#at);
    at = chunk.writeInt32BE(row.length, at);
    chunk.set(row, at);
    at = chunk.writeInt32BE(columnBytes, at + row.length);
    if (columnBytes > 0) at += chunk.write(column, at, 'utf8');
    at = chunk.writeInt32BE(8, at);
    at = chunk.writeBigInt64BE(this.#version, at);
    if (value === null) at = chunk.writeInt32BE(-1, at);
    else {
      at = chunk.writeInt32BE(value.length, at);
      chunk.set(value, at);
      at += value.length;
    }
    this.#at = at;
  }

  async send(connections: PostgresConnections, client: PgClient, table: string): Promise<void> {
    const stream = client.query(connections.copyFrom(`COPY ${table} (row, col, version, value) FROM STDIN BINARY`));
    await pipeline(Readable.from([...this.#chunks, this.#chunk.subarray(0, this.#at), TRAILER], { objectMode: false }), stream);
  }
}
