import { systemClock, type Clock } from '../core/clock.ts';
import { SparkProxyError } from '../core/errors.ts';
import { newId } from '../core/ids.ts';
import { createLogger, type Logger } from '../core/logger.ts';
import type { RegisterCenter } from '../registry/contract.ts';
import { createRegisterCenter } from '../registry/index.ts';
import type { Transport } from '../transports/contract.ts';
import { Admin, type SparkApplications } from './admin.ts';
import { dispatcherErrors } from './errors.ts';
import { Gateway } from './gateway.ts';
import { TaskHistory } from './history.ts';
import { Leadership, leaderId, type LeadershipOptions } from './leadership.ts';
import type { LocalDispatcher } from './local.ts';
import { createDispatcher, type DispatcherOptions } from './service.ts';

/** What began with a time at the lead, and ends with it. */
export interface LeadingPart {
  close(): unknown;
  /** What operators may ask of Apache Spark. */
  readonly spark?: SparkApplications;
}

export interface DispatcherServerOptions {
  /** Schemes without a broker of their own (`tcp:`) are served by one dispatcher process, which leads; the others are its guests. */
  readonly url: string;
  /** Opens the transport, as `hub` first where the scheme needs one. */
  readonly connect: (url: string, role: 'hub' | 'client') => Promise<Transport>;
  readonly beatMs?: number;
  readonly ttlMs?: number;
  readonly version?: string;
  /** Of each term's dispatcher: selector, order, limits. Asked at the beginning of each term. */
  readonly dispatcher: () => Promise<Pick<DispatcherOptions, 'selector'> & Partial<DispatcherOptions>>;
  readonly queueDepth?: number;
  /** Called whenever this process begins to lead; what it returns is closed when it leads no more. In-process sources of tasks attach here. */
  readonly onLeading?: (dispatcher: LocalDispatcher, registry: RegisterCenter) => LeadingPart | undefined | void | Promise<LeadingPart | undefined>;
  readonly onStandby?: () => void;
  readonly clock?: Clock;
  readonly logger?: Logger;
}

export interface DispatcherServer {
  /** Where workers and applications connect to. */
  readonly url: string;
  readonly isLeading: boolean;
  /**
   * Leaves in good order: to a standby at once, which adopts what workers hold; without one, what runs may finish for
   * `graceMs`, and the rest goes back to its applications. Idempotent.
   */
  drain(graceMs: number): Promise<void>;
}

/** A guest tries for the seat again after so long. */
const RESEAT_MS = 100;
const MAX_RESEAT_MS = 2000;

/** One time at a transport: until it is closed, or (a guest) until its host is gone. */
interface Seat {
  readonly transport: Transport;
  readonly registry: RegisterCenter;
  readonly leadership: Leadership;
  readonly lost: Promise<void>;
  close(): Promise<void>;
}

/** One term at the lead. */
interface Term {
  readonly gateway: Gateway;
  end(how: 'abandon' | 'close'): Promise<void>;
}

/**
 * The dispatcher as a service: stands by or leads (see Leadership), and while it leads serves every application, worker
 * and operator of its cluster. Each term has a dispatcher of its own, made anew: what it must know is said again by the
 * applications (their unfinished tasks) and the workers (the leases they hold).
 *
 * On tcp the address is the seat: who can bind it is the hub, and leads. Others are guests of its broker; when the hub's
 * process ends, one of them binds the address and leads under the next term.
 * It does not keep its process alive by itself.
 * @throws what `connect` throws the first time, SP_DISPATCHER_NO_SEAT
 */
export async function startDispatcherServer(options: DispatcherServerOptions): Promise<DispatcherServer> {
  const server = new Server(options);
  await server.open();
  return server;
}

class Server implements DispatcherServer {
  readonly #options: DispatcherServerOptions;
  readonly #id = newId('dispatcher');
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #history: TaskHistory;
  readonly #needsHub: boolean;
  #seat: Seat | undefined;
  #term: Term | undefined;
  #knownTerm = 0;
  #url: string;
  #stopped = false;
  #stop: () => void = () => undefined;
  readonly #stopping: Promise<void>;
  #running: Promise<void> = Promise.resolve();
  #draining: Promise<void> | undefined;

  constructor(options: DispatcherServerOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#logger = options.logger ?? createLogger('dispatcher');
    this.#history = new TaskHistory(this.#clock);
    this.#url = options.url;
    this.#needsHub = options.url.startsWith('tcp');
    this.#stopping = new Promise((resolve) => (this.#stop = resolve));
  }

  get url(): string {
    return this.#url;
  }

  get isLeading(): boolean {
    return this.#seat?.leadership.isLeading ?? false;
  }

  async open(): Promise<void> {
    this.#seat = await this.#take();
    this.#running = this.#run();
  }

  drain(graceMs: number): Promise<void> {
    this.#draining ??= (async () => {
      const seat = this.#seat;
      const term = this.#term;
      if (term !== undefined && seat !== undefined && seat.leadership.standbys === 0) await term.gateway.drain(graceMs);
      this.#stopped = true;
      this.#stop();
      await this.#running;
    })();
    return this.#draining;
  }

  /** Keeps a seat until it is stopped. */
  async #run(): Promise<void> {
    for (;;) {
      const seat = this.#seat as Seat;
      await Promise.race([seat.lost, this.#stopping]);
      await seat.close();
      this.#seat = undefined;
      if (this.#stopped) return;
      const next = await this.#retake();
      if (next === undefined) return;
      this.#seat = next;
    }
  }

  async #retake(): Promise<Seat | undefined> {
    for (let pause = RESEAT_MS; !this.#stopped; pause = Math.min(2 * pause, MAX_RESEAT_MS)) {
      try {
        return await this.#take();
      } catch (error) {
        this.#logger.warn('no dispatcher can be reached, and the address cannot be served yet', { error: (error as Error).message });
      }
      await Promise.race([this.#stopping, new Promise<void>((resolve) => this.#clock.after(pause, resolve))]);
    }
    return undefined;
  }

  async #take(): Promise<Seat> {
    const { url, connect } = this.#options;
    if (!this.#needsHub) return this.#sit(await connect(url, 'client'), 'broker');
    let taken: unknown;
    try {
      return await this.#sit(await connect(this.#url, 'hub'), 'hub');
    } catch (error) {
      if (!SparkProxyError.is(error) || error.code !== 'SP_TRANSPORT_LISTEN_FAILED') throw error;
      taken = error;
    }
    try {
      return await this.#sit(await connect(this.#url, 'client'), 'guest');
    } catch (error) {
      throw dispatcherErrors.NO_SEAT({ url: this.#url }, SparkProxyError.is(error) && error.code === 'SP_TRANSPORT_CONNECT_FAILED' ? taken : error);
    }
  }

  async #sit(transport: Transport, kind: LeadershipOptions['seat']): Promise<Seat> {
    const { beatMs = 1000, ttlMs = 3000, version = '' } = this.#options;
    // With port 0 a free one was taken, and stays ours.
    this.#url = transport.url;
    const registry = createRegisterCenter(transport, { beatMs, ttlMs, clock: this.#clock });
    const leadership: Leadership = new Leadership({
      registry,
      clock: this.#clock,
      logger: this.#logger,
      id: this.#id,
      version,
      beatMs,
      seat: kind,
      knownTerm: this.#knownTerm,
      lead: async (term) => {
        this.#term = await this.#lead(transport, registry, term, (higher) => leadership.higherTerm(higher));
      },
      stepDown: async () => {
        await this.#term?.end('abandon');
        this.#term = undefined;
        this.#options.onStandby?.();
      },
    });
    let lose: () => void = () => undefined;
    const lost = new Promise<void>((resolve) => (lose = resolve));
    const off = transport.onConnection((state) => {
      if (state === 'disconnected' && kind === 'guest') lose();
    });
    const close = async (): Promise<void> => {
      off();
      this.#knownTerm = Math.max(this.#knownTerm, leadership.term);
      await leadership.close();
      const handOver = leadership.standbys > 0 || !this.#stopped;
      await this.#term?.end(handOver ? 'abandon' : 'close');
      this.#term = undefined;
      await registry.close();
      await transport.close();
    };
    const seat: Seat = { transport, registry, leadership, lost, close };
    try {
      await leadership.open();
    } catch (error) {
      await close();
      throw error;
    }
    if (!leadership.isLeading) this.#options.onStandby?.();
    return seat;
  }

  async #lead(transport: Transport, registry: RegisterCenter, term: number, onHigherTerm: (term: number) => void): Promise<Term> {
    const { beatMs = 1000, queueDepth = 2, version = '', onLeading } = this.#options;
    const dispatcher = await createDispatcher({
      queueDepth,
      ...(await this.#options.dispatcher()),
      transport,
      registry,
      id: leaderId(this.#id, term),
      term,
      version,
      clock: this.#clock,
      logger: this.#logger,
      observer: this.#history,
      onHigherTerm,
    });
    const gateway: Gateway = new Gateway({
      transport,
      registry,
      dispatcher,
      queueDepth,
      beatMs,
      onHigherTerm,
      onAdmin: (delivery, reply) => admin.answer(delivery, reply),
      clock: this.#clock,
      logger: this.#logger,
    });
    const admin = new Admin({ registry, dispatcher, history: this.#history, gateway: () => gateway, spark: () => part?.spark, now: () => this.#clock.now() });
    let part: LeadingPart | undefined;
    await admin.open();
    await gateway.open();
    part = (await onLeading?.(dispatcher, registry)) ?? undefined;
    return {
      gateway,
      async end(how) {
        await part?.close();
        admin.close();
        await gateway.close();
        await (how === 'abandon' ? dispatcher.abandon() : dispatcher.close());
      },
    };
  }
}
