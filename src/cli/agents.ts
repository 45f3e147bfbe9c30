/** The agent link of a dispatcher process, as configuration says. */
import { hostname } from 'node:os';
import { advertiseDispatcher, sealForWorkers, startAgentService, type AgentService, type AgentServiceOptions } from '../apache-spark/index.ts';
import { systemClock } from '../core/clock.ts';
import type { Configuration } from '../core/config.ts';
import { createLogger } from '../core/logger.ts';
import type { LocalDispatcher } from '../dispatcher/local.ts';
import type { RegisterCenter } from '../registry/contract.ts';
import { keyRingOf, mayListen } from '../security/index.ts';
import type { HostSelector } from '../selectors/contract.ts';
import { CLI_ERRORS } from './errors.ts';

const logger = createLogger('apache-spark');

/** `7078`, `0.0.0.0:7078`. @throws SP_CLI_USAGE */
export function parseListen(text: string): { readonly host: string; readonly port: number } {
  const match = /^(?:(.+):)?(\d{1,5})$/.exec(text.trim());
  const port = Number(match?.[2]);
  if (match === null || port > 65_535) throw CLI_ERRORS.USAGE({ command: 'dispatcher', reason: `agent.listen ${text}: expected PORT or HOST:PORT` });
  return { host: match[1] ?? '127.0.0.1', port };
}

/** Says at the start what would fail when this process leads. @throws SP_CLI_USAGE, SP_SECURITY_* */
export function checkAgents(configuration: Configuration): void {
  const listen = configuration.get('agent.listen');
  if (listen !== undefined) mayListen('the agent link', parseListen(listen).host, configuration);
}

interface AgentsOf {
  readonly host: string;
  readonly dispatcher: LocalDispatcher;
}

export interface ConfiguredAgents {
  readonly service: AgentService;
  close(): Promise<void>;
}

/** The agent link as configuration says: its keys, and secrets sealed for workers. @throws SP_SPARK_LISTEN_FAILED; SP_SECURITY_* */
export async function startAgents(
  configuration: Configuration,
  { host, dispatcher, ...where }: Pick<AgentServiceOptions, 'port' | 'registry' | 'selector' | 'expectedWorkers'> & AgentsOf,
): Promise<AgentService> {
  mayListen('the agent link', host, configuration);
  const ring = keyRingOf(configuration);
  const service = await startAgentService({
    ...where,
    host,
    keys: ring === undefined ? undefined : () => ring.all().map((key) => key.key('link')),
    dispatcher: dispatcher.id,
    attach: (profile, listener) => dispatcher.attach(profile, listener),
    seal: ring === undefined ? undefined : (secret, application) => sealForWorkers(secret, application, ring),
    registerMs: configuration.get('worker.register.timeout'),
    logger,
  });
  const DESTINATION = 'reschedule.dst.executor';
  if (configuration.get(DESTINATION) === 'internal') service.setMode('internal');
  const off = configuration.onChange((key) => {
    if (key === DESTINATION) service.setMode(configuration.get(DESTINATION));
  });
  return {
    get address() {
      return service.address;
    },
    applications: () => service.applications(),
    stop: (application, reason) => service.stop(application, reason),
    killTask: (application, taskId, reason) => service.killTask(application, taskId, reason),
    setMode: (mode, application) => service.setMode(mode, application),
    close: async () => {
      off();
      await service.close();
    },
  };
}

/** Undefined: `agent.listen` is not set. @throws SP_SPARK_LISTEN_FAILED; SP_CLI_* */
export async function startConfiguredAgents(
  configuration: Configuration,
  { dispatcher, registry, selector }: { readonly dispatcher: LocalDispatcher; readonly registry: RegisterCenter; readonly selector: HostSelector },
): Promise<ConfiguredAgents | undefined> {
  const listen = configuration.get('agent.listen');
  if (listen === undefined) return undefined;
  const { host, port } = parseListen(listen);
  const expectedWorkers = configuration.get('worker.instances');
  const service = await startAgents(configuration, { host, port, registry, selector, dispatcher, expectedWorkers });
  const redisHost = configuration.get('redis.host');
  const reachable =
    host === '0.0.0.0' || host === '::' ? service.address.replace(/^.*:/, `${configuration.get('worker.host') ?? hostname()}:`) : service.address;
  logger.info('agents are awaited', { address: reachable });
  if (redisHost === undefined) return { service, close: () => service.close() };
  const leave = await advertiseDispatcher({
    host: redisHost,
    port: configuration.get('redis.port'),
    password: configuration.get('redis.password'),
    cluster: configuration.get('registry.cluster'),
    address: reachable,
    clock: systemClock,
    logger,
  });
  return {
    service,
    close: async () => {
      await leave();
      await service.close();
    },
  };
}
