import type { Configuration } from '../core/config.ts';
import { orderFactory } from '../dispatcher/orders.ts';
import type { DispatcherOptions } from '../dispatcher/service.ts';
import { configuredSelector } from './configured-selector.ts';

/** What configuration says of how a dispatcher decides, embedded or a service. @throws SP_SELECTOR_* */
export async function dispatcherSettings(configuration: Configuration) {
  const wait = configuration.get('spark.locality.wait');
  return {
    selector: await configuredSelector(configuration, { locality: { processMs: wait, nodeMs: wait } }),
    queueDepth: configuration.get('dispatch.queue.depth'),
    maxLeases: configuration.get('dispatch.max.leases'),
    newOrder: orderFactory(configuration.get('dispatch.order')),
  } satisfies Partial<DispatcherOptions>;
}
