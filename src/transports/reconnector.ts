import type { Timer } from '../core/clock.ts';
import { SparkProxyError } from '../core/errors.ts';
import type { Random } from '../core/ids.ts';
import { createLogger } from '../core/logger.ts';
import { transportErrors } from './errors.ts';
import type { KeepAlive } from './keep-alive.ts';
import { guarded } from './local.ts';
import type { RemoteSettings } from './settings.ts';

const logger = createLogger('transport');
const BACKOFF_BASE_MS = 50;
/** A broker that starts may take a question and never answer it (RabbitMQ: who reads a quorum queue whose leader is being found). */
const FIRST_ANSWER_MS = 2000;

/**
 * Exponential back-off with full jitter (AWS Architecture Blog, 2015), so that many clients do not come back as one.
 * @param attempt failures so far, from 0
 */
export function backoffMs(attempt: number, maxMs: number, random: Random, baseMs = BACKOFF_BASE_MS): number {
  return random() * Math.min(maxMs, baseMs * 2 ** Math.min(attempt, 20));
}

const FINAL = new Set([
  'SP_TRANSPORT_VERSION',
  'SP_TRANSPORT_LIMITS',
  'SP_TRANSPORT_HANDSHAKE',
  'SP_TRANSPORT_AUTHENTICATION',
  'SP_TRANSPORT_TLS',
  'SP_TRANSPORT_BAD_URL',
]);

/** True for errors that another attempt will not mend: whoever connects for the first time is told at once. */
export function isFinal(error: Error | undefined): boolean {
  return SparkProxyError.is(error) && FINAL.has(error.code);
}

/** True for what failed because a connection did: it may be tried again on the next. */
export function isConnectionError(error: unknown): boolean {
  return SparkProxyError.is(error) && /^SP_TRANSPORT_(LOST|DISCONNECTED|CLOSED|CONNECT_FAILED)$/.test(error.code);
}

export type ConnectionListener = (state: 'connected' | 'disconnected', reason?: Error) => void;

/** A connection that was made. */
export interface Session {
  /** Ends it in good order. */
  end(): Promise<void>;
  /** Ends it at once. */
  destroy(): void;
}

export interface ReconnectorOptions<S extends Session> {
  /** For people. */
  readonly url: string;
  readonly settings: RemoteSettings;
  readonly keepAlive: KeepAlive;
  /** One attempt. `lost` is to be called when the session ends by itself. */
  attempt(lost: (reason: Error) => void): Promise<S>;
  /** There is a session: everything that stands is set up on it. What it throws ends the session. */
  connected(session: S): Promise<void>;
  /** It is the session now: what waited goes out. */
  ready(session: S): void;
  disconnected(): void;
  /** Without a session for `disconnectTimeoutMs`, or closed: nothing waits any longer. */
  givenUp(error: Error): void;
}

/**
 * Keeps a session with a broker: connects, connects again, tells who listens, and gives up what waits when it takes too long.
 *
 * STATES: `session` is set while one is established; in between, operations wait (see disconnectTimeoutMs).
 */
export class Reconnector<S extends Session> {
  readonly #options: ReconnectorOptions<S>;
  readonly #listeners = new Set<ConnectionListener>();
  #session: S | undefined;
  /** The session being set up, which may be lost meanwhile. */
  #fresh: S | undefined;
  #attempt = 0;
  /** Times that a broker took a connection and did not answer on it, since there was a session. */
  #silences = 0;
  #retry: Timer | undefined;
  #giveUp: Timer | undefined;
  #last: Error | undefined;
  #givenUp = false;
  #attempting: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: ReconnectorOptions<S>) {
    this.#options = options;
  }

  get session(): S | undefined {
    return this.#session;
  }

  get closed(): boolean {
    return this.#closing !== undefined;
  }

  /** Connects for the first time. @throws SP_TRANSPORT_CONNECT_FAILED and what is final */
  async open(): Promise<void> {
    const { settings, url, keepAlive } = this.#options;
    let off = (): void => undefined;
    let timeout: Timer | undefined;
    try {
      await keepAlive.hold((resolve, reject) => {
        off = this.onConnection((state, reason) => {
          if (state === 'connected') resolve();
          else if (isFinal(reason)) reject(reason as Error);
        });
        const { connectTimeoutMs: ms } = settings;
        timeout = settings.clock.after(ms, () => reject(transportErrors.CONNECT_FAILED({ url, ms, reason: this.#last?.message ?? 'no answer' }, this.#last)));
        this.#connect();
      });
    } catch (error) {
      await this.close();
      throw error;
    } finally {
      off();
      timeout?.cancel();
    }
  }

  onConnection(listener: ConnectionListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** @throws SP_TRANSPORT_CLOSED, SP_TRANSPORT_DISCONNECTED */
  check(): void {
    if (this.#closing !== undefined) throw transportErrors.CLOSED({ url: this.#options.url });
    if (this.#givenUp) throw this.disconnectedError();
  }

  disconnectedError(): Error {
    return transportErrors.DISCONNECTED({ url: this.#options.url, ms: this.#options.settings.disconnectTimeoutMs }, this.#last);
  }

  /** Tells who listens; also of what is as good as a lost connection (a broker that takes nothing, or lost what it had). */
  tell(state: 'connected' | 'disconnected', reason?: Error): void {
    for (const listener of [...this.#listeners]) guarded('a connection listener', () => listener(state, reason))(undefined);
  }

  close(beforeEnd?: (session: S) => Promise<void>): Promise<void> {
    this.#closing ??= (async () => {
      const { keepAlive, url } = this.#options;
      keepAlive.begin();
      keepAlive.close();
      this.#retry?.cancel();
      this.#giveUp?.cancel();
      this.#options.givenUp(transportErrors.CLOSED({ url }));
      const session = this.#session;
      if (session !== undefined) {
        await beforeEnd?.(session);
        await session.end();
      }
      this.#fresh?.destroy();
      await this.#attempting;
      keepAlive.end();
    })();
    return this.#closing;
  }

  #connect(): void {
    this.#attempting = this.#tryOnce().finally(() => (this.#attempting = undefined));
  }

  async #tryOnce(): Promise<void> {
    let session: S | undefined;
    let lost = false;
    try {
      session = await this.#options.attempt((reason) => {
        lost = true;
        this.#onLost(session, reason);
      });
      this.#fresh = session;
      if (!this.closed) await this.#inTime(this.#options.connected(session));
      if (this.closed || lost) {
        session.destroy();
        return;
      }
      this.#session = session;
      this.#attempt = 0;
      this.#silences = 0;
      this.#givenUp = false;
      this.#last = undefined;
      this.#giveUp?.cancel();
      this.#options.ready(session);
      this.tell('connected');
    } catch (error) {
      session?.destroy();
      if (!lost) this.#failed(error as Error);
    } finally {
      this.#fresh = undefined;
    }
  }

  /** Twice as patient after each time, since the broker may only be slow. */
  async #inTime(answers: Promise<void>): Promise<void> {
    const { settings, url } = this.#options;
    const ms = Math.min(settings.connectTimeoutMs, FIRST_ANSWER_MS * 2 ** Math.min(this.#silences, 20));
    let timer: Timer | undefined;
    const late = new Promise<never>((_, reject) => {
      const give = (): void => {
        this.#silences++;
        reject(transportErrors.LOST({ url, reason: `it takes connections, but has not answered for ${ms} ms` }));
      };
      timer = settings.clock.after(ms, give, { background: true });
    });
    try {
      await Promise.race([answers, late]);
    } finally {
      timer?.cancel();
      // Ends with its session.
      answers.catch(() => undefined);
    }
  }

  #onLost(session: S | undefined, reason: Error): void {
    if (this.closed) return;
    if (this.#session === undefined || this.#session !== session) return this.#failed(reason);
    const { settings, url } = this.#options;
    this.#session = undefined;
    logger.info('disconnected', { url, reason: reason.message });
    this.#giveUp = settings.clock.after(
      settings.disconnectTimeoutMs,
      () => {
        this.#givenUp = true;
        this.#options.givenUp(this.disconnectedError());
      },
      { background: true },
    );
    this.#failed(reason);
  }

  #failed(reason: Error): void {
    const { settings } = this.#options;
    this.#last = reason;
    if (this.closed) return;
    this.#options.disconnected();
    this.tell('disconnected', reason);
    // A listener may have closed the transport.
    if (this.closed) return;
    this.#retry = settings.clock.after(backoffMs(this.#attempt++, settings.maxBackoffMs, settings.random), () => this.#connect(), { background: true });
  }
}
