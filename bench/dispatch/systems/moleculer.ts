import { freePort } from '../../../test/support/server-process.ts';
import type { System } from './contract.ts';
import { payload, peer, result } from './peer.ts';

interface Broker {
  start(): Promise<void>;
  stop(): Promise<void>;
  createService(service: object): unknown;
  waitForServices(name: string): Promise<unknown>;
  call(action: string, parameters: unknown): Promise<unknown>;
}
interface Moleculer {
  readonly ServiceBroker: new (options: object) => Broker;
}

/** `redis:` URL, or for its own TCP the addresses of the two nodes. */
function broker(nodeID: string, address: string): Broker {
  const { ServiceBroker } = peer<Moleculer>('moleculer');
  const transporter = address.startsWith('redis:') ? address : { type: 'TCP', options: { udpDiscovery: false, urls: address.split(' ') } };
  return new ServiceBroker({ nodeID, namespace: 'bench', logger: false, transporter });
}

/** Calls of an action of another node. */
export const moleculer: System = {
  async client(spec, onDone, startWorker) {
    const address = spec.address === '' ? `127.0.0.1:${await freePort()}/client 127.0.0.1:${await freePort()}/worker` : spec.address;
    const own = broker('client', address);
    await own.start();
    await startWorker({ ...spec, address });
    await own.waitForServices('echo');
    return {
      submit(tasks) {
        for (let i = 0; i < tasks; i++) void own.call('echo.run', { data: payload }).then(() => onDone(1));
      },
      close: () => own.stop(),
    };
  },
  async worker({ address }) {
    const own = broker('worker', address);
    own.createService({ name: 'echo', actions: { run: () => result } });
    await own.start();
  },
};
