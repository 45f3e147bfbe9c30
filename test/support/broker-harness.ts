import { randomBytes } from 'node:crypto';
import type { Transport } from '../../src/transports/contract.ts';
import { connectTransport, type AnyTransportOptions } from '../../src/transports/index.ts';
import type { TransportHarness } from '../conformance/transport.ts';
import { faultProxy, type FaultProxy } from './fault-proxy.ts';

/** A cluster of its own in a broker, whose clients each have a proxy to be killed by. */
export async function brokerHarness(url: string, options: AnyTransportOptions): Promise<TransportHarness> {
  const clients: { transport: Transport; proxy: FaultProxy }[] = [];
  const target = new URL(url);
  const cluster = `test-${randomBytes(4).toString('hex')}`;
  return {
    async open() {
      const proxy = await faultProxy(Number(target.port));
      const through = new URL(url);
      through.port = String(proxy.port);
      through.searchParams.set('cluster', cluster);
      const transport = await connectTransport(through.href, options);
      clients.push({ transport, proxy });
      return transport;
    },
    async kill(transport) {
      const proxy = clients.find((client) => client.transport === transport)?.proxy;
      proxy?.refuse(true);
      proxy?.cut();
    },
    async close() {
      await Promise.all(clients.map(({ transport }) => transport.close()));
      await Promise.all(clients.map(({ proxy }) => proxy.close()));
    },
  };
}
