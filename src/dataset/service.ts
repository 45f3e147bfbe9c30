/**
 * The driver's service for tasks: `POST /stages/<id>/transaction` and `POST /stages/<id>/version`. Every request carries the
 * token of this driver; the answer names the store and may hold its password, so the service listens on loopback unless it is told otherwise.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { randomBytes, timingSafeEqual } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { errorToWire, SparkProxyError } from '../core/errors.ts';
import type { JobTransactions } from './job-transactions.ts';
import type { StoreAddress } from './open-store.ts';

export interface DatasetService {
  readonly url: string;
  readonly token: string;
  close(): Promise<void>;
}

const OBSOLETE = new Set(['SP_DATASET_JOB_OVER', 'SP_DATASET_TRANSACTION_ENDED', 'SP_DATASET_DRAINING']);

export async function startService(host: string, jobs: JobTransactions, store: StoreAddress): Promise<DatasetService> {
  const token = randomBytes(32).toString('hex');
  const expected = Buffer.from(`Bearer ${token}`);
  const server = createServer((request, response) => {
    request.resume();
    void answer(request, response, expected, jobs, store);
  });
  server.headersTimeout = 10_000;
  server.requestTimeout = 60_000;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, host, resolve);
  });
  server.unref();
  const { port } = server.address() as AddressInfo;
  return { url: `http://${host.includes(':') ? `[${host}]` : host}:${port}`, token, close: () => closeServer(server) };
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

async function answer(request: IncomingMessage, response: ServerResponse, expected: Buffer, jobs: JobTransactions, store: StoreAddress): Promise<void> {
  const send = (status: number, body: unknown): void => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  };
  const given = Buffer.from(request.headers.authorization ?? '');
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) return send(401, {});
  const match = /^\/stages\/(\d{1,15})\/(transaction|version)$/.exec(request.url ?? '');
  if (match === null || request.method !== 'POST') return send(404, {});
  const stageId = Number(match[1]);
  try {
    if (match[2] === 'version') send(200, { version: await jobs.version(stageId) });
    else send(200, { transaction: await jobs.ask(stageId), store });
  } catch (error) {
    // 410: gone for good; the rest may be told in the error.
    send(SparkProxyError.is(error) && OBSOLETE.has(error.code) ? 410 : 500, { error: errorToWire(error) });
  }
}
