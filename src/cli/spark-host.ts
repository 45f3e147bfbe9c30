/** A dispatcher with an agent link for Spark applications, in this process. */
import { pinSparkTasks, type AgentService } from '../apache-spark/index.ts';
import type { Configuration } from '../core/config.ts';
import { version } from '../core/version.ts';
import { createDispatcher } from '../dispatcher/service.ts';
import { createRegisterCenter } from '../registry/index.ts';
import { loadSelector } from '../selectors/index.ts';
import { connectConfigured } from '../security/index.ts';
import { startAgents } from './agents.ts';

export interface SparkHostOptions {
  /** Where workers connect; `tcp:` is served here. */
  readonly url: string;
  readonly agentHost?: string;
  /** 0: any free port. */
  readonly agentPort: number;
  /** Workers that a new context waits for. */
  readonly expectedWorkers: number;
}

export interface SparkHost {
  /** Where workers connect. */
  readonly url: string;
  readonly agents: AgentService;
  close(): Promise<void>;
}

/** @throws SP_TRANSPORT_*, SP_SELECTOR_*, the error of listen */
export async function startSparkHost(
  configuration: Configuration,
  { url, agentHost = '127.0.0.1', agentPort, expectedWorkers }: SparkHostOptions,
): Promise<SparkHost> {
  const selector = await loadSelector(configuration.get('host.selector'));
  const transport = await connectConfigured(url, configuration, { role: 'hub' });
  const registry = createRegisterCenter(transport, { beatMs: configuration.get('registry.beat'), ttlMs: configuration.get('registry.ttl') });
  const dispatcher = await createDispatcher({
    transport,
    registry,
    selector: pinSparkTasks(selector),
    queueDepth: configuration.get('dispatch.queue.depth'),
    maxLeases: configuration.get('dispatch.max.leases'),
    version,
  });
  const agents = await startAgents(configuration, { host: agentHost, port: agentPort, registry, selector, dispatcher, expectedWorkers });
  return {
    url: transport.url,
    agents,
    close: async () => {
      await agents.close();
      await dispatcher.close();
      await registry.close();
      await transport.close();
    },
  };
}
