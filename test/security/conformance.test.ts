/** Signing changes nothing of a transport's contract. */
import { newKeyLine, parseKeyRing, secureTransport } from '../../src/security/index.ts';
import type { Transport } from '../../src/transports/contract.ts';
import { connectTransport } from '../../src/transports/index.ts';
import { transportConformance } from '../conformance/transport.ts';
import { brokerHarness } from '../support/broker-harness.ts';

const ring = parseKeyRing(newKeyLine('one'), 'the test');
/** What a signature adds to a frame. */
const SIGNATURE = 128;
let names = 0;

transportConformance('memory, signed', async (limits) => {
  const url = `memory:secure-${names++}`;
  const opened: Transport[] = [];
  const sized = limits.maxFrameBytes === undefined ? limits : { ...limits, maxFrameBytes: limits.maxFrameBytes + SIGNATURE };
  return {
    async open() {
      const transport = secureTransport(await connectTransport(url, sized), ring);
      opened.push(transport);
      return transport;
    },
    kill: (transport) => transport.close(),
    close: async () => void (await Promise.all(opened.map((each) => each.close()))),
  };
});

transportConformance('tcp, signed', async (limits) => {
  const sized = limits.maxFrameBytes === undefined ? limits : { ...limits, maxFrameBytes: limits.maxFrameBytes + SIGNATURE };
  const hub = await connectTransport('tcp://127.0.0.1:0', { role: 'hub', ...sized });
  const clients = await brokerHarness(hub.url, sized);
  const bare = new Map<Transport, Transport>();
  return {
    async open(side) {
      const transport = await clients.open(side);
      const secured = secureTransport(transport, ring);
      bare.set(secured, transport);
      return secured;
    },
    kill: (transport) => clients.kill(bare.get(transport) as Transport),
    async close() {
      await clients.close();
      await hub.close();
    },
  };
});
