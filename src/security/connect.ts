import type { Configuration } from '../core/config.ts';
import type { Transport } from '../transports/contract.ts';
import { connectTransport, isLoopback, transportOptionsOf, type AnyTransportOptions } from '../transports/index.ts';
import { SECURITY_ERRORS } from './errors.ts';
import { keyRingOf } from './key-ring.ts';
import { secureTransport } from './secure-transport.ts';

/**
 * Opens a transport as the configuration says: passwords and certificates from their files, frames signed when there is a key.
 * Without a key a hub listens on the loopback address only.
 * @throws as connectTransport; SP_SECURITY_KEY_FILE, SP_SECURITY_BAD_KEY
 */
export async function connectConfigured(url: string, configuration: Configuration, options: AnyTransportOptions = {}): Promise<Transport> {
  const ring = keyRingOf(configuration);
  const configured = { ...transportOptionsOf(configuration), ...options };
  // What never leaves the process needs no signature.
  if (ring === undefined || url.startsWith('memory:')) return connectTransport(url, configured);
  const transport = await connectTransport(url, { ...configured, allowRemote: true });
  return secureTransport(transport, ring, { ttlMs: configuration.get('security.frame.ttl'), skewMs: configuration.get('security.clock.skew') });
}

/** For what listens beside the transport. @throws SP_SECURITY_KEY_NEEDED: beyond the loopback address, and there is no key */
export function mayListen(what: string, host: string, configuration: Configuration): void {
  if (!isLoopback(host) && keyRingOf(configuration) === undefined) throw SECURITY_ERRORS.KEY_NEEDED({ what, host });
}
