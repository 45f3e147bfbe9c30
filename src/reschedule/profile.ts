import type { Configuration } from '../core/config.ts';
import type { ApplicationProfile } from '../protocol/application.ts';

/** What configuration says of how an application's tasks are ordered and treated. */
export function profileOf(configuration: Configuration, application: string): ApplicationProfile {
  const pool = configuration.get('dispatch.pool');
  const quorum = configuration.get('verify.quorum');
  return {
    application,
    ...(pool === undefined ? {} : { pool }),
    weight: configuration.get('dispatch.pool.weight'),
    minShare: configuration.get('dispatch.pool.minShare'),
    priority: configuration.get('dispatch.priority'),
    maxLeases: configuration.get('dispatch.max.leases'),
    retryBackoffMs: configuration.get('dispatch.retry.backoff'),
    poison: configuration.get('dispatch.poison'),
    ...(configuration.get('spark.speculation') === 'true'
      ? {
          speculation: {
            quantile: configuration.get('spark.speculation.quantile'),
            multiplier: configuration.get('spark.speculation.multiplier'),
            minTaskRuntimeMs: configuration.get('spark.speculation.minTaskRuntime'),
          },
        }
      : {}),
    ...(quorum > 0 ? { verify: { quorum, maxReplicas: configuration.get('verify.max.replicas'), comparator: configuration.get('verify.comparator') } } : {}),
    placement: {
      ...some('preferredHosts', list(configuration.get('placement.hosts'))),
      ...some('requiredHosts', list(configuration.get('placement.required.hosts'))),
      ...some('preferredLabels', labels(configuration.get('placement.labels'))),
      ...some('requiredLabels', labels(configuration.get('placement.required.labels'))),
    },
  };
}

function list(text: string): readonly string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

function labels(text: string): Readonly<Record<string, string>> {
  return Object.fromEntries(
    list(text).map((part) => {
      const at = part.indexOf('=');
      return [part.slice(0, at).trim(), part.slice(at + 1).trim()];
    }),
  );
}

function some<K extends string, V extends object>(name: K, value: V): { readonly [P in K]?: V } {
  return (Object.keys(value).length === 0 ? {} : { [name]: value }) as { readonly [P in K]?: V };
}
