/** The agent link of a dispatcher: Spark applications become applications of the dispatcher. */
import { systemClock, type Clock, type Timer } from '../core/clock.ts';
import { createLogger, type Logger } from '../core/logger.ts';
import { version } from '../core/version.ts';
import type { DispatcherListener } from '../dispatcher/contract.ts';
import type { ApplicationProfile } from '../protocol/application.ts';
import type { SparkApplicationInfo } from '../protocol/spark-application.ts';
import type { Announcement, RegisterCenter, Registration, RegistryEvent } from '../registry/contract.ts';
import type { HostSelector } from '../selectors/contract.ts';
import { settingsOf, sparkLabels } from './announcement.ts';
import { SparkApplication, type SparkPort, type SparkWorkers } from './application.ts';
import { sparkErrors } from './errors.ts';
import { TOLD_EVENTS, type SparkEvent } from './events.ts';
import { startLinkServer, type LinkHandler, type LinkPeer, type LinkServer, type LinkServerOptions } from './link-server.ts';
import { SPARK_KIND } from './placement.ts';
import { fittingVersion, parseVersionsLabel, VERSIONS_LABEL } from './versions.ts';

export interface AgentServiceOptions {
  /** @defaultValue 127.0.0.1 */
  readonly host?: string;
  /** 0: any free port. */
  readonly port: number;
  /** Keys of the cluster, one of which agents prove. @defaultValue none: whoever reaches the port may speak */
  readonly keys?: LinkServerOptions['keys'];
  /** Gives an application its way into the dispatcher. */
  readonly attach: (profile: ApplicationProfile, listener: DispatcherListener) => SparkPort;
  readonly registry: RegisterCenter;
  /** Chooses workers; the dispatcher itself must have it wrapped by `pinSparkTasks`. */
  readonly selector: HostSelector;
  /** Id of the dispatcher, for logs of the drivers. */
  readonly dispatcher?: string;
  /** Spark's authentication secret, sealed for workers. @defaultValue it is not announced */
  readonly seal?: ((secret: string, application: string) => string) | undefined;
  /** Captured and not heard of for so long: sent Spark's own way, milliseconds. @defaultValue 15000 */
  readonly deliverMs?: number;
  /** How long a new context waits for its external executors, milliseconds. @defaultValue 30000 */
  readonly registerMs?: number;
  /** Workers that are about to come, beside those that are there. @defaultValue 0 */
  readonly expectedWorkers?: number;
  /** How long an application is kept whose link broke, milliseconds. @defaultValue 60000 */
  readonly lingerMs?: number;
  readonly onEvent?: (application: string, event: SparkEvent) => void;
  readonly clock?: Clock;
  readonly logger?: Logger;
}

export interface AgentService {
  /** `host:port` for `spark.proxy.dispatcher`. */
  readonly address: string;
  /** Applications that are linked, and those that ended lately. */
  applications(): readonly SparkApplicationInfo[];
  /** SparkContext.stop from outside. False: no such application is linked. An application is named by its id or run id. */
  stop(application: string, reason: string): boolean;
  killTask(application: string, taskId: number, reason: string): boolean;
  /** `reschedule.dst.executor`, live: of one application (false: no such one is linked), or of all and those to come. */
  setMode(mode: 'external' | 'internal', application?: string): boolean;
  close(): Promise<void>;
}

/** Ended applications that are still told of. */
const MAX_ENDED = 64;

/** @throws SP_SPARK_LISTEN_FAILED */
export async function startAgentService(options: AgentServiceOptions): Promise<AgentService> {
  const service = new Agents(options);
  await service.open();
  return service;
}

interface Entry {
  readonly application: SparkApplication;
  announcement: Announcement | undefined;
  lingering: Timer | undefined;
}

class Agents implements AgentService, SparkWorkers {
  readonly #options: AgentServiceOptions;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #entries = new Map<string, Entry>();
  readonly #ended: SparkApplicationInfo[] = [];
  readonly #workers = new Map<string, Registration>();
  readonly #draining = new Set<string>();
  #server: LinkServer | undefined;
  #unwatch: (() => void) | undefined;
  #mode: 'external' | 'internal' | undefined;
  version = 0;

  constructor(options: AgentServiceOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#logger = options.logger ?? createLogger('apache-spark');
  }

  async open(): Promise<void> {
    this.#unwatch = await this.#options.registry.watch('worker', (event) => this.#workerEvent(event));
    const { host = '127.0.0.1', port, keys } = this.#options;
    this.#server = await startLinkServer({ host, port, keys, logger: this.#logger, clock: this.#clock, accept: (peer) => this.#accept(peer) });
  }

  #workerEvent(event: RegistryEvent): void {
    if (event.type === 'beat') {
      if (this.#workers.has(event.id)) this.#drains(event.id, event.load.draining);
      return;
    }
    if (event.type === 'joined') {
      const { entry, load } = event;
      if (!entry.kinds.includes(SPARK_KIND)) return;
      this.#workers.set(entry.id, entry);
      this.#drains(entry.id, load.draining);
    } else {
      this.#draining.delete(event.id);
      if (!this.#workers.delete(event.id)) return;
    }
    this.version++;
    for (const { application } of this.#entries.values()) application.workersChanged();
  }

  #drains(workerId: string, draining: boolean): void {
    if (draining === this.#draining.has(workerId)) return;
    if (draining) this.#draining.add(workerId);
    else this.#draining.delete(workerId);
    for (const { application } of this.#entries.values()) application.workerDrains(workerId, draining);
  }

  get address(): string {
    return `${this.#server?.host ?? ''}:${this.#server?.port ?? 0}`;
  }

  get(workerId: string): Registration | undefined {
    return this.#workers.get(workerId);
  }

  started(workerId: string): number {
    let count = 0;
    for (const { application } of this.#entries.values()) count += application.started(workerId);
    return count;
  }

  isDraining(workerId: string): boolean {
    return this.#draining.has(workerId);
  }

  fitting(sparkVersion: string, scalaVersion: string): readonly Registration[] {
    return [...this.#workers.values()].filter(
      (worker) => !this.#draining.has(worker.id) && fittingVersion(parseVersionsLabel(worker.labels[VERSIONS_LABEL]), sparkVersion, scalaVersion) !== undefined,
    );
  }

  #accept(peer: LinkPeer): { welcome: Record<string, string>; handler: LinkHandler } {
    const { hello, remote } = peer;
    const [role, runId, sparkId] = [hello.get('role'), hello.get('runId'), hello.get('spark.app.id')];
    if (role !== 'driver' || !runId || !sparkId) throw sparkErrors.LINK_REFUSED({ remote, reason: 'it is no driver that says its run id and application' });
    for (const known of this.#entries.values()) {
      if (known.application.hello.get('runId') !== runId) continue;
      known.lingering?.cancel();
      known.lingering = undefined;
      known.application.relink(peer);
      this.#logger.info('a driver is back', { application: known.application.id });
      return this.#welcome(known, peer);
    }
    const id = this.#entries.has(sparkId) ? `${sparkId}.${runId.slice(0, 8)}` : sparkId;
    const { registerMs = 30_000, deliverMs = 15_000, expectedWorkers = 0, onEvent } = this.#options;
    const entry: Entry = {
      announcement: undefined,
      lingering: undefined,
      application: new SparkApplication(peer, {
        id,
        clock: this.#clock,
        logger: this.#logger,
        workers: this,
        selector: this.#options.selector,
        attach: (listener) => this.#options.attach({ application: id }, listener),
        deliverMs,
        registerMs,
        expectedWorkers,
        onEvent,
        onActivity: (jobs) => entry.announcement?.update({ running: jobs, queued: 0, draining: false }),
      }),
    };
    this.#entries.set(id, entry);
    this.#logger.info('a Spark application', { application: id, name: hello.get('spark.app.name'), version: hello.get('sparkVersion'), remote });
    void this.#announce(entry);
    return this.#welcome(entry, peer);
  }

  #welcome(entry: Entry, peer: LinkPeer): { welcome: Record<string, string>; handler: LinkHandler } {
    const { application } = entry;
    const welcome = { application: application.id, dispatcher: this.#options.dispatcher ?? '', version, ...TOLD_EVENTS };
    if (this.#mode !== undefined) {
      const mode = this.#mode;
      this.#clock.after(0, () => application.setMode(mode), { background: true });
    }
    let current = true;
    const handler: LinkHandler = {
      frame: (type, reader) => current && application.frame(type, reader),
      closed: () => {
        current = false;
        if (application.peer !== peer) return;
        application.closed();
        entry.lingering = this.#clock.after(this.#options.lingerMs ?? 60_000, () => this.#end(entry, 'its driver does not come back'), { background: true });
        if (application.finished) this.#end(entry, 'it has ended');
      },
    };
    return { welcome, handler };
  }

  async #announce(entry: Entry): Promise<void> {
    const { application } = entry;
    const { hello, id } = application;
    const say = (name: string): string => hello.get(name) ?? '';
    const secret = hello.get('authSecret');
    const authenticated = hello.get('authenticated') === 'true';
    if (authenticated && (secret === undefined || this.#options.seal === undefined)) this.#logger.error(sparkErrors.NO_SECRET({ application: id }).message);
    const labels = sparkLabels({
      application: id,
      sparkId: say('spark.app.id'),
      driverUrl: `spark://CoarseGrainedScheduler@${say('spark.driver.host')}:${say('spark.driver.port')}`,
      sparkVersion: say('sparkVersion'),
      scalaVersion: say('scalaVersion'),
      mode: application.mode,
      settings: settingsOf(hello),
      sealedSecret: secret === undefined ? '' : (this.#options.seal?.(secret, id) ?? ''),
      authenticated,
    });
    labels['name'] = say('spark.app.name');
    labels['run.id'] = say('runId');
    const registration: Registration = {
      kind: 'application',
      id,
      host: say('spark.driver.host'),
      pid: Number(say('pid')) || 0,
      version,
      slots: 0,
      kinds: [SPARK_KIND],
      labels,
      queue: '',
    };
    try {
      entry.announcement = await this.#options.registry.announce(registration);
      // Its driver ended meanwhile.
      if (!this.#entries.has(id)) await entry.announcement.leave();
    } catch (error) {
      this.#logger.error('an application could not be announced', { application: id, error: (error as Error).message });
    }
  }

  #end(entry: Entry, reason: string): void {
    const { application } = entry;
    if (this.#entries.get(application.id) !== entry) return;
    this.#entries.delete(application.id);
    entry.lingering?.cancel();
    this.#ended.push({ ...application.info(), linked: false, executors: [] });
    if (this.#ended.length > MAX_ENDED) this.#ended.shift();
    application.end(reason);
    this.#logger.info('a Spark application is over', { application: application.id, reason });
    entry.announcement?.leave().catch((error: unknown) => this.#logger.debug('while leaving', { error: (error as Error).message }));
  }

  #find(name: string): SparkApplication | undefined {
    const entry = this.#entries.get(name) ?? [...this.#entries.values()].find(({ application }) => application.hello.get('runId') === name);
    return entry?.application.linked === true ? entry.application : undefined;
  }

  applications(): readonly SparkApplicationInfo[] {
    return [...[...this.#entries.values()].map(({ application }) => application.info()), ...this.#ended];
  }

  stop(name: string, reason: string): boolean {
    const application = this.#find(name);
    application?.stop(reason);
    return application !== undefined;
  }

  killTask(name: string, taskId: number, reason: string): boolean {
    const application = this.#find(name);
    application?.killTask(taskId, reason);
    return application !== undefined;
  }

  setMode(mode: 'external' | 'internal', name?: string): boolean {
    if (name !== undefined) {
      const application = this.#find(name);
      application?.setMode(mode);
      return application !== undefined;
    }
    this.#mode = mode;
    for (const { application } of this.#entries.values()) application.setMode(mode);
    return true;
  }

  async close(): Promise<void> {
    this.#unwatch?.();
    await this.#server?.close();
    for (const entry of this.#entries.values()) {
      this.#entries.delete(entry.application.id);
      entry.lingering?.cancel();
      entry.application.end('the dispatcher ends');
      await entry.announcement?.leave().catch((error: unknown) => this.#logger.debug('while leaving', { error: (error as Error).message }));
    }
  }
}
