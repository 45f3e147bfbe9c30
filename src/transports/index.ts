import type { Transport, TransportFactory } from './contract.ts';
import { transportErrors } from './errors.ts';
import { memoryTransport, type MemoryOptions } from './memory.ts';
import { tcpTransport } from './tcp/index.ts';
import type { BrokerClientOptions } from './settings.ts';
import type { TcpOptions } from './tcp/settings.ts';

export { transportOptionsOf, transportUrlOf } from './configured.ts';
export { isLoopback } from './reachable.ts';

/** What any scheme may be given; each takes what it knows. */
export type AnyTransportOptions = MemoryOptions & TcpOptions & BrokerClientOptions;

const redis = async (): Promise<TransportFactory> => (await import('./redis/index.ts')).redisTransport;
const rabbitmq = async (): Promise<TransportFactory> => (await import('./rabbitmq/index.ts')).rabbitmqTransport;

/** Scheme -> factory. A transport with a dependency of its own is imported here when it is first asked for. */
const factories = new Map<string, () => Promise<TransportFactory> | TransportFactory>([
  ['memory', () => memoryTransport],
  ['tcp', () => tcpTransport],
  ['tcps', () => tcpTransport],
  ['redis', redis],
  ['rediss', redis],
  ['amqp', rabbitmq],
  ['amqps', rabbitmq],
]);

/**
 * Opens a transport by the scheme of its URL: `memory:name`, `tcp://127.0.0.1:7077`.
 * @throws SP_TRANSPORT_BAD_URL, SP_TRANSPORT_UNKNOWN_SCHEME, and what the transport throws when it cannot connect
 */
export async function connectTransport(url: string, options: AnyTransportOptions = {}): Promise<Transport> {
  if (!URL.canParse(url)) throw transportErrors.BAD_URL({ url, reason: 'it has no scheme' });
  const parsed = new URL(url);
  const scheme = parsed.protocol.slice(0, -1);
  const load = factories.get(scheme);
  if (load === undefined) throw transportErrors.UNKNOWN_SCHEME({ scheme, known: [...factories.keys()].map((known) => `${known}:`).join(', ') });
  const factory = await load();
  return factory.connect(parsed, options);
}
