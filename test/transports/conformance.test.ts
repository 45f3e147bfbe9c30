import type { Transport } from '../../src/transports/contract.ts';
import { connectTransport } from '../../src/transports/index.ts';
import { transportConformance, type HarnessLimits, type TransportHarness } from '../conformance/transport.ts';
import { faultProxy, type FaultProxy } from '../support/fault-proxy.ts';

let names = 0;

transportConformance('memory', async (limits) => {
  const url = `memory:conformance-${names++}`;
  const opened: Transport[] = [];
  return {
    async open() {
      const transport = await connectTransport(url, limits);
      opened.push(transport);
      return transport;
    },
    kill: (transport) => transport.close(),
    close: async () => void (await Promise.all(opened.map((each) => each.close()))),
  };
});

/** A hub, and clients that each have a proxy of their own to be killed by. */
async function tcp(limits: HarnessLimits, hubSide: 'sender' | 'receiver' | undefined): Promise<TransportHarness> {
  const hub = await connectTransport('tcp://127.0.0.1:0', { role: 'hub', ...limits });
  const clients: { transport: Transport; proxy: FaultProxy }[] = [];
  return {
    async open(side) {
      if (side === hubSide) return hub;
      const proxy = await faultProxy(Number(new URL(hub.url).port));
      const transport = await connectTransport(`tcp://127.0.0.1:${proxy.port}`, limits);
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
      await hub.close();
      await Promise.all(clients.map(({ proxy }) => proxy.close()));
    },
  };
}

transportConformance('tcp, hub to client', (limits) => tcp(limits, 'sender'));
transportConformance('tcp, client to hub', (limits) => tcp(limits, 'receiver'), { separateReceivers: false });
transportConformance('tcp, client to client', (limits) => tcp(limits, undefined));
