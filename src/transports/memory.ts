import { Broker, type BrokerOptions } from './broker.ts';
import type { TransportFactory, TransportOptions } from './contract.ts';
import { transportErrors } from './errors.ts';
import { DEFAULT_MAX_FRAME_BYTES, localTransport } from './local.ts';

/** The bounds are those given by whoever opens a name first. */
export interface MemoryOptions extends TransportOptions, BrokerOptions {}

interface SharedBroker {
  readonly broker: Broker;
  users: number;
}

const brokers = new Map<string, SharedBroker>();

/** `memory:name`: all transports of one name in this process share a broker, which is gone when the last of them closes. */
export const memoryTransport: TransportFactory = {
  schemes: ['memory'],
  async connect(url: URL, options: MemoryOptions = {}) {
    const name = url.pathname;
    const shared = brokers.get(name) ?? { broker: new Broker(options), users: 0 };
    brokers.set(name, shared);
    shared.users++;
    return localTransport(shared.broker, {
      url: `memory:${name}`,
      inProcess: true,
      maxFrameBytes: options.maxFrameBytes ?? DEFAULT_MAX_FRAME_BYTES,
      async close() {
        if (--shared.users > 0) return;
        brokers.delete(name);
        shared.broker.close(transportErrors.CLOSED({ url: `memory:${name}` }));
      },
    });
  },
};
