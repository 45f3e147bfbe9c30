import type { Configuration } from '../core/config.ts';
import { orderFactory } from '../dispatcher/orders.ts';
import { compareResults, loadCompareResults } from '../executor/compare-results.ts';
import type { DispatcherOptions } from '../dispatcher/service.ts';
import { configuredSelector } from './configured-selector.ts';

/** What configuration says of how a dispatcher decides, embedded or a service. @throws SP_SELECTOR_*, SP_TASK_BAD_COMPARATOR */
export async function dispatcherSettings(configuration: Configuration) {
  const wait = configuration.get('spark.locality.wait');
  return {
    selector: await configuredSelector(configuration, { locality: { processMs: wait, nodeMs: wait } }),
    queueDepth: configuration.get('dispatch.queue.depth'),
    queueMs: configuration.get('dispatch.queue.time'),
    maxLeases: configuration.get('dispatch.max.leases'),
    retryBackoffMs: configuration.get('dispatch.retry.backoff'),
    comparators: await comparators(configuration.get('verify.comparator')),
    newOrder: orderFactory(configuration.get('dispatch.order')),
  } satisfies Partial<DispatcherOptions>;
}

/** Those that have no code of the user's, by any application's word; a module only when this process's own configuration names it. */
async function comparators(configured: string) {
  const own = await loadCompareResults(configured);
  return { get: (name: string) => (name === configured ? own : compareResults(name)) };
}
