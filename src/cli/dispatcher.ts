import { setTimeout as wait } from 'node:timers/promises';
import { watchConfiguration } from '../core/config-live.ts';
import { pinSparkTasks } from '../apache-spark/index.ts';
import { loadConfiguration } from '../core/config.ts';
import { createLogger, setLogLevel } from '../core/logger.ts';
import { version } from '../core/version.ts';
import { startDispatcherServer } from '../dispatcher/server.ts';
import { dispatcherSettings } from '../reschedule/dispatcher-settings.ts';
import type { HostSelector } from '../selectors/contract.ts';
import { connectConfigured } from '../security/index.ts';
import { transportUrlOf } from '../transports/index.ts';
import { checkAgents, startConfiguredAgents } from './agents.ts';
import { CLI_ERRORS } from './errors.ts';
import { parseOptions, parseSettings, type Command } from './command.ts';

const logger = createLogger('dispatcher');

/** A guest looks for its host for so long; the address may be about to be free. */
const CONNECT_MS = 2000;

const OPTIONS = {
  url: { type: 'string' },
  selector: { type: 'string' },
  'agent-port': { type: 'string' },
  conf: { type: 'string', multiple: true },
} as const;

export const dispatcherCommand: Command = {
  name: 'dispatcher',
  summary: 'run a dispatcher that many applications share',
  help: `Usage: spark-proxy dispatcher --url URL [options]

Serves every application and worker that connects to URL, until it gets SIGTERM or SIGINT: then a standby takes over, or what
runs finishes and the rest goes back to its applications. Start a second one with the same URL: it stands by, and takes over
when the first one ends. On tcp they must be on one host: whoever can bind the address leads.

      --url URL        tcp://127.0.0.1:7077 (serves it), or that of a broker
      --agent-port P   await the agents of Apache Spark drivers there: 7078, or 0.0.0.0:7078
      --selector NAME  how a worker is chosen (see host.selector)
      --conf KEY=VALUE any setting (see spark-proxy conf); may be repeated

Examples:
  spark-proxy dispatcher --url tcp://127.0.0.1:7077
  spark-proxy worker --url tcp://127.0.0.1:7077 --slots 4
  spark-proxy run --url tcp://127.0.0.1:7077 words.ts
  spark-proxy dispatcher --url tcp://127.0.0.1:7077 --agent-port 7078
  spark-proxy status --url tcp://127.0.0.1:7077
`,
  async run(args) {
    const values = parseOptions('dispatcher', args, OPTIONS);
    const flags = new Map(parseSettings('dispatcher', values.conf ?? []));
    if (values.url !== undefined) flags.set('transport.url', values.url);
    if (values.selector !== undefined) flags.set('host.selector', values.selector);
    if (values['agent-port'] !== undefined) flags.set('agent.listen', values['agent-port']);
    const configuration = loadConfiguration({ flags });
    const watching = watchConfiguration(configuration, { flags }, { signal: true });
    setLogLevel(configuration.get('log.level'));
    const url = transportUrlOf(configuration);
    if (url === undefined) throw CLI_ERRORS.USAGE({ command: 'dispatcher', reason: 'no --url is given, and neither transport.url nor redis.host is set' });

    checkAgents(configuration);
    let stop: (signal: string) => void = () => undefined;
    const stopped = new Promise<string>((resolve) => (stop = resolve));
    const signals = ['SIGTERM', 'SIGINT'] as const;
    for (const signal of signals) process.on(signal, stop);
    let selector: HostSelector;
    try {
      const server = await startDispatcherServer({
        url,
        connect: (to, role) => connectConfigured(to, configuration, { role, connectTimeoutMs: CONNECT_MS }),
        beatMs: configuration.get('registry.beat'),
        ttlMs: configuration.get('registry.ttl'),
        version,
        queueDepth: configuration.get('dispatch.queue.depth'),
        dispatcher: async () => {
          const settings = await dispatcherSettings(configuration);
          selector = settings.selector;
          return { ...settings, selector: pinSparkTasks(selector) };
        },
        onLeading: async (dispatcher, registry) => {
          logger.info('leads', { id: dispatcher.id, pid: process.pid, term: dispatcher.term });
          const agents = await startConfiguredAgents(configuration, { dispatcher, registry, selector });
          return agents === undefined ? undefined : { close: agents.close, spark: agents.service };
        },
        onStandby: () => logger.info('stands by', { pid: process.pid }),
      });
      logger.info('ready', { pid: process.pid, url: server.url });
      const signal = await stopped;
      logger.info('stopping', { signal });
      const grace = configuration.get('dispatcher.drain.grace');
      // Whoever asks twice wants it to end now.
      const again = new Promise<void>((resolve) => signals.forEach((one) => process.once(one, () => resolve())));
      await Promise.race([server.drain(grace), again, wait(grace + 10_000, undefined, { ref: false })]);
      return 0;
    } finally {
      watching.close();
      for (const signal of signals) process.removeListener(signal, stop);
    }
  },
};
