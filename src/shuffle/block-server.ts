/** Serves the shuffle files of one executor process to reduce tasks of other machines. */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { open, type FileHandle } from 'node:fs/promises';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { createLogger } from '../core/logger.ts';
import type { Certificates } from '../core/certificates.ts';
import { parseBlockFile, type BlockLocation } from './block-location.ts';
import { HELLO_BYTES, MAGIC, RequestParser, responseHeader, STATUS, TOKEN_BYTES, type BlockRequest } from './block-protocol.ts';
import { SHUFFLE_ERRORS } from './errors.ts';

const logger = createLogger('block-server');

/** Bytes read from a file at a time. */
const CHUNK = 262_144;
/** Requests of one connection that wait; beyond that nothing more is read from it. */
const MAX_WAITING = 256;
const MAX_CONNECTIONS = 1024;
const HELLO_MS = 10_000;

export interface BlockServerOptions {
  /** Directory below which each application has one of its own. */
  readonly directory: string;
  /** Name or address that others reach it by; it listens there. */
  readonly host: string;
  /** @defaultValue 0, any free one */
  readonly port?: number;
  /** @defaultValue `host` */
  readonly machine?: string;
  /** With them, readers must show certificates of the same authority. */
  readonly tls?: Required<Certificates> | undefined;
}

export interface BlockServer {
  readonly location: BlockLocation;
  close(): Promise<void>;
}

/**
 * LIMITS: 1024 connections; a connection that does not show the token within 10 s, or asks for anything that is no block
 * file below the directory, is ended. One chunk of a file a connection is held in memory.
 * @throws SP_SHUFFLE_CANNOT_SERVE
 */
export async function startBlockServer({ directory, host, port = 0, machine = host, tls }: BlockServerOptions): Promise<BlockServer> {
  const token = randomBytes(TOKEN_BYTES);
  const sockets = new Set<Socket>();
  const accept = (socket: Socket): void => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    // A reader that ends in mid-block is none of our business.
    socket.on('error', () => socket.destroy());
    socket.setNoDelay(true).unref();
    serve(socket, token, directory);
  };
  const server: Server =
    tls === undefined ? createServer(accept) : createTlsServer({ ...tls, requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.2' }, accept);
  server.maxConnections = MAX_CONNECTIONS;
  try {
    server.listen(port, host);
    await once(server, 'listening');
  } catch (cause) {
    throw SHUFFLE_ERRORS.CANNOT_SERVE({ host, port, reason: (cause as Error).message }, cause);
  }
  server.on('error', (error) => logger.warn('the block server', { error: error.message }));
  server.unref();
  const shown = host.includes(':') ? `[${host}]` : host;
  return {
    location: { machine, address: `${tls === undefined ? '' : 'tls:'}${shown}:${(server.address() as AddressInfo).port}`, token: token.toString('hex') },
    async close() {
      for (const socket of sockets) socket.destroy();
      if (server.listening) await new Promise((resolve) => server.close(resolve));
    },
  };
}

function serve(socket: Socket, token: Buffer, directory: string): void {
  const parser = new RequestParser();
  let hello: Buffer | undefined = Buffer.alloc(0);
  const impatient = setTimeout(() => socket.destroy(), HELLO_MS);
  impatient.unref();
  socket.once('close', () => clearTimeout(impatient));
  const waiting: BlockRequest[] = [];
  let busy = false;

  const work = async (): Promise<void> => {
    busy = true;
    for (let request = waiting.shift(); request !== undefined && !socket.destroyed; request = waiting.shift()) {
      if (waiting.length < MAX_WAITING / 2 && socket.isPaused()) socket.resume();
      await answer(socket, directory, request);
    }
    busy = false;
  };

  socket.on('data', (data: Buffer) => {
    let chunk = data;
    if (hello !== undefined) {
      hello = Buffer.concat([hello, chunk]);
      if (hello.length < HELLO_BYTES) return;
      const shown = hello.subarray(MAGIC.length, HELLO_BYTES);
      if (!hello.subarray(0, MAGIC.length).equals(MAGIC) || !timingSafeEqual(shown, token)) {
        socket.destroy();
        return;
      }
      clearTimeout(impatient);
      chunk = hello.subarray(HELLO_BYTES);
      hello = undefined;
    }
    try {
      waiting.push(...parser.push(chunk));
    } catch {
      socket.destroy();
      return;
    }
    if (waiting.length >= MAX_WAITING) socket.pause();
    if (!busy) work().catch(() => socket.destroy());
  });
}

async function answer(socket: Socket, directory: string, { id, file, offset, size }: BlockRequest): Promise<void> {
  const name = parseBlockFile(file);
  if (name === undefined) {
    socket.destroy();
    return;
  }
  let handle: FileHandle;
  try {
    handle = await open(join(directory, ...name), 'r');
  } catch {
    socket.write(responseHeader(id, STATUS.missing, 0));
    return;
  }
  try {
    const { size: length } = await handle.stat();
    if (offset + size > length) {
      socket.write(responseHeader(id, STATUS.missing, 0));
      return;
    }
    socket.write(responseHeader(id, STATUS.ok, size));
    for (let sent = 0; sent < size && !socket.destroyed;) {
      const { buffer, bytesRead } = await handle.read(Buffer.allocUnsafe(Math.min(CHUNK, size - sent)), 0, null, offset + sent);
      if (bytesRead === 0) throw new Error('the file shrank');
      sent += bytesRead;
      if (!socket.write(buffer.subarray(0, bytesRead))) await drained(socket);
    }
  } finally {
    await handle.close();
  }
}

/** Resolves when the reader has taken what was written, or is gone. */
function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      socket.removeListener('drain', done);
      socket.removeListener('close', done);
      resolve();
    };
    socket.once('drain', done).once('close', done);
  });
}
