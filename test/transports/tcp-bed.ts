import { setImmediate as turn } from 'node:timers/promises';
import { afterAll, afterEach, beforeEach } from 'vitest';
import type { Transport } from '../../src/transports/contract.ts';
import { connectTransport, type AnyTransportOptions } from '../../src/transports/index.ts';
import { faultProxy, type FaultProxy } from '../support/fault-proxy.ts';
import { rawClient, type RawClient } from './raw-client.ts';

/** Backs off briefly: tests wait for events, not for time. */
export const QUICK = { maxBackoffMs: 5 };

/** A hub for each test, and what connects to it; all of it is closed afterwards, and must leave no handle behind. */
export interface TcpBed {
  /** The hub that proxies and raw clients connect to. */
  hub: Transport;
  /** Opens another hub, and makes it the one. */
  openHub(options?: AnyTransportOptions): Promise<Transport>;
  openClient(url: string, options?: AnyTransportOptions): Promise<Transport>;
  openProxy(): Promise<FaultProxy & { readonly url: string }>;
  openRaw(): Promise<RawClient>;
  /** Closed after the test. */
  keep<T extends { close(): Promise<void> }>(closeable: T): T;
}

export function tcpBed(): TcpBed {
  const closers: (() => Promise<void>)[] = [];

  const bed: TcpBed = {
    hub: undefined as unknown as Transport,
    keep(closeable) {
      closers.push(() => closeable.close());
      return closeable;
    },
    async openHub(options = {}) {
      bed.hub = bed.keep(await connectTransport('tcp://127.0.0.1:0', { role: 'hub', ...options }));
      return bed.hub;
    },
    openClient: async (url, options = {}) => bed.keep(await connectTransport(url, { ...QUICK, ...options })),
    async openProxy() {
      const proxy = bed.keep(await faultProxy(Number(new URL(bed.hub.url).port)));
      return Object.assign(proxy, { url: `tcp://127.0.0.1:${proxy.port}` });
    },
    openRaw: async () => bed.keep(await rawClient(bed.hub.url)),
  };

  beforeEach(async () => {
    await bed.openHub();
  });

  afterEach(async () => {
    for (const close of closers.splice(0).toReversed()) await close();
  });

  afterAll(async () => {
    // Unlike process.getActiveResourcesInfo(), the report lists handles that do not keep the process alive, too. Closed ones
    // stay for some turns of the event loop; one that is not closed makes this hook time out.
    Object.assign(process.report, { excludeNetwork: true });
    const open = (): boolean => (process.report.getReport() as unknown as { libuv: { type: string }[] }).libuv.some((handle) => handle.type === 'tcp');
    while (open()) await turn();
  });

  return bed;
}

/** Resolves with the reason at the next change to that state. */
export function next(transport: Transport, wanted: 'connected' | 'disconnected'): Promise<Error | undefined> {
  return new Promise((resolve) => {
    const off = transport.onConnection((state, reason) => {
      if (state !== wanted) return;
      off();
      resolve(reason);
    });
  });
}
