/** Which dispatcher does an application use: one of its own, or a service that many share? */
import { systemClock } from '../core/clock.ts';
import type { Configuration } from '../core/config.ts';
import { SparkProxyError } from '../core/errors.ts';
import type { Dispatcher, DispatcherListener } from '../dispatcher/contract.ts';
import { connectDispatcher } from '../dispatcher/remote.ts';
import { createDispatcher } from '../dispatcher/service.ts';
import type { RegisterCenter } from '../registry/contract.ts';
import { createRegisterCenter } from '../registry/index.ts';
import { leaderOf } from '../registry/leader.ts';
import type { Transport } from '../transports/contract.ts';
import { connectConfigured } from '../security/index.ts';
import { profileOf } from './profile.ts';
import { dispatcherSettings } from './dispatcher-settings.ts';

export interface OpenDispatcher {
  readonly transport: Transport;
  readonly registry: RegisterCenter;
  readonly dispatcher: Dispatcher;
  readonly service: boolean;
}

/** Transport and, where the scheme itself says so, which it is. */
async function connect(url: string, configuration: Configuration): Promise<{ transport: Transport; service: boolean | undefined }> {
  const mode = configuration.get('dispatcher.mode');
  if (!url.startsWith('tcp')) return { transport: await connectConfigured(url, configuration), service: mode === 'auto' ? undefined : mode === 'service' };
  const role = mode === 'service' ? 'client' : configuration.get('transport.role');
  if (role === 'client') return { transport: await connectConfigured(url, configuration, { role }), service: mode !== 'embedded' };
  try {
    return { transport: await connectConfigured(url, configuration, { role }), service: false };
  } catch (error) {
    if (mode !== 'auto' || !SparkProxyError.is(error) || error.code !== 'SP_TRANSPORT_LISTEN_FAILED') throw error;
    // Somebody serves this address already.
    return { transport: await connectConfigured(url, configuration, { role: 'client' }), service: true };
  }
}

/** True as soon as a leading dispatcher is announced; false after a beat without one. */
async function isServed(registry: RegisterCenter, beatMs: number): Promise<boolean> {
  let off: () => void = () => undefined;
  const seen = new Promise<boolean>((resolve, reject) => {
    systemClock.after(beatMs, () => resolve(false));
    registry
      .watch('dispatcher', (event) => {
        if (event.type === 'joined' && leaderOf(event.entry) !== undefined) resolve(true);
      })
      .then((unwatch) => (off = unwatch), reject);
  });
  try {
    return await seen;
  } finally {
    off();
  }
}

/** @throws what the transport throws when it cannot connect, SP_SELECTOR_UNKNOWN */
export async function openDispatcher(url: string, configuration: Configuration, application: string, listener: DispatcherListener): Promise<OpenDispatcher> {
  const beatMs = configuration.get('registry.beat');
  const { transport, service: known } = await connect(url, configuration);
  const registry = createRegisterCenter(transport, { beatMs, ttlMs: configuration.get('registry.ttl') });
  try {
    const service = known ?? (await isServed(registry, beatMs));
    const dispatcher = service
      ? await connectDispatcher({
          transport,
          registry,
          profile: profileOf(configuration, application),
          listener,
          beatMs,
          queueMs: configuration.get('dispatch.queue.time'),
          takeoverMs: configuration.get('dispatcher.takeover'),
        })
      : await createDispatcher({
          transport,
          registry,
          ...(await dispatcherSettings(configuration)),
          clock: systemClock,
          listener,
        });
    if (!service) dispatcher.profile(profileOf(configuration, application));
    return { transport, registry, dispatcher, service };
  } catch (error) {
    await registry.close();
    await transport.close();
    throw error;
  }
}
