import { connect as connectSocket, type OnReadOpts, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Timer } from '../../core/clock.ts';
import { SparkProxyError } from '../../core/errors.ts';
import { newId } from '../../core/ids.ts';
import { createLogger } from '../../core/logger.ts';
import { envelopeBytes, type BinaryReader } from '../../protocol/codec.ts';
import type { Envelope } from '../../protocol/envelope.ts';
import { checkName } from '../broker.ts';
import type { ConsumeOptions, Delivery, Subscription, Transport } from '../contract.ts';
import { transportErrors } from '../errors.ts';
import { createKeepAlive } from '../keep-alive.ts';
import { DEFAULT_PREFETCH, guarded } from '../local.ts';
import { backoffMs, isFinal, type ConnectionListener } from '../reconnector.ts';
import { Lanes, type Operation } from './lanes.ts';
import { Link, readError } from './link.ts';
import type { TcpSettings } from './settings.ts';
import { isTlsError, tlsConnectOptions } from '../tls.ts';
import { Standings } from './standing.ts';
import { OP, WIRE_MAGIC, WIRE_VERSION } from './wire.ts';

const logger = createLogger('tcp-client');

/**
 * A client of a tcp hub. Connects again by itself, with its consumers, topics and unconfirmed sends.
 *
 * STATES: `#link` is set while a connection is established; in between, operations wait (see disconnectTimeoutMs).
 */
class TcpClient implements Transport {
  readonly url: string;
  readonly #host: string;
  readonly #port: number;
  readonly #secure: boolean;
  readonly #settings: TcpSettings;
  readonly #session = newId('session');
  readonly #keepAlive = createKeepAlive();
  readonly #standings: Standings;
  readonly #lanes = new Lanes(
    (seq, operation) => this.#write(seq, operation),
    () => this.#link?.writable ?? false,
  );
  readonly #listeners = new Set<ConnectionListener>();
  /** The latest connection, made or in the making. */
  #latest: Link | undefined;
  #link: Link | undefined;
  /** The latest connection whose TLS handshake ended well on this side. */
  #greeted: Link | undefined;
  #maxFrameBytes: number;
  #attempt = 0;
  #retry: Timer | undefined;
  #giveUp: Timer | undefined;
  #givenUp = false;
  #dropped = 0;
  #closing: Promise<void> | undefined;

  constructor(host: string, port: number, secure: boolean, url: string, settings: TcpSettings) {
    this.url = url;
    this.#host = host;
    this.#port = port;
    this.#secure = secure;
    this.#settings = settings;
    this.#standings = new Standings(this.#keepAlive, settings.clock);
    this.#maxFrameBytes = settings.maxFrameBytes;
  }

  /** Connects for the first time. */
  async open(): Promise<void> {
    const { clock, connectTimeoutMs } = this.#settings;
    let last: Error | undefined;
    let off = (): void => undefined;
    let timeout: Timer | undefined;
    try {
      await this.#keepAlive.hold((resolve, reject) => {
        off = this.onConnection((state, reason) => {
          last = reason;
          if (state === 'connected') resolve();
          else if (isFinal(reason)) reject(reason as Error);
        });
        timeout = clock.after(connectTimeoutMs, () =>
          reject(transportErrors.CONNECT_FAILED({ url: this.url, ms: connectTimeoutMs, reason: last?.message ?? 'no answer' }, last)),
        );
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

  send(queue: string, envelope: Envelope): Promise<void> {
    return this.#operation(queue, envelope);
  }

  deleteQueue(queue: string): Promise<void> {
    return this.#operation(queue, undefined);
  }

  async broadcast(topic: string, envelope: Envelope): Promise<void> {
    this.#check();
    checkName(topic);
    this.#checkSize(envelope);
    const link = this.#link;
    if (link === undefined) throw transportErrors.DISCONNECTED({ url: this.url, ms: 0 });
    if (!link.writable) {
      if (this.#dropped++ === 0) logger.warn('the hub is too slow, broadcasts to it are dropped', { url: this.url, topic });
      return;
    }
    link.start(OP.BROADCAST).string(topic);
    link.finish(envelope);
  }

  async consume(queue: string, { prefetch = DEFAULT_PREFETCH }: ConsumeOptions, handler: (delivery: Delivery) => void): Promise<Subscription> {
    this.#check();
    checkName(queue);
    if (!Number.isSafeInteger(prefetch) || prefetch < 1)
      throw transportErrors.BAD_OPTION({ option: 'prefetch', value: prefetch, reason: 'it must be at least 1' });
    return this.#standings.consume(queue, prefetch, handler);
  }

  async subscribe(topic: string, handler: (envelope: Envelope) => void): Promise<Subscription> {
    this.#check();
    checkName(topic);
    return this.#standings.subscribe(topic, handler);
  }

  onConnection(listener: ConnectionListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  setActive(active: boolean): void {
    this.#keepAlive.setActive(active);
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      this.#keepAlive.begin();
      this.#keepAlive.close();
      this.#retry?.cancel();
      this.#giveUp?.cancel();
      const closed = transportErrors.CLOSED({ url: this.url });
      this.#failAll(closed);
      if (this.#link === undefined) this.#latest?.destroy(closed);
      else await this.#link.end();
      this.#keepAlive.end();
    })();
    return this.#closing;
  }

  #operation(queue: string, envelope: Envelope | undefined): Promise<void> {
    try {
      this.#check();
      checkName(queue);
      const bytes = envelope === undefined ? 0 : this.#checkSize(envelope);
      return this.#keepAlive.hold((resolve, reject) => this.#lanes.add({ queue, envelope, bytes, resolve, reject }));
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  #write(seq: number, operation: Operation): void {
    const link = this.#link as Link;
    const out = link.start(operation.envelope === undefined ? OP.DELETE : OP.SEND);
    out.varint(seq);
    out.string(operation.queue);
    link.finish(operation.envelope);
  }

  #connect(): void {
    const { maxFrameBytes, heartbeatMs, missedBeats, clock } = this.#settings;
    let socket!: Socket;
    const open = (onread: OnReadOpts): Socket => {
      const where = { host: this.#host, port: this.#port, onread };
      return (socket = this.#secure ? connectTls({ ...where, ...tlsConnectOptions(this.#settings.tls, this.#host) }) : connectSocket(where));
    };
    const link: Link = new Link(
      open,
      { url: this.url, maxFrameBytes, heartbeatMs, missedBeats, clock },
      {
        frame: (op, reader) => (this.#link === link ? this.#frame(link, op, reader) : this.#welcome(link, op, reader)),
        beforeFlush: () => {
          if (this.#link === link) this.#standings.writeAcks(link);
        },
        drained: () => this.#lanes.resume(),
        closed: (reason) => this.#onClosed(link, reason),
      },
    );
    this.#latest = link;
    const hello = (): void => {
      this.#greeted = link;
      const out = link.start(OP.HELLO);
      out.u32(WIRE_MAGIC);
      out.varint(WIRE_VERSION);
      out.string(this.#session);
      out.varint(maxFrameBytes);
      link.finish();
    };
    socket.once(this.#secure ? 'secureConnect' : 'connect', hello);
  }

  #welcome(link: Link, op: number, reader: BinaryReader): void {
    if (op === OP.ERROR) throw readError(reader);
    if (op !== OP.WELCOME) throw transportErrors.HANDSHAKE({ url: this.url, reason: `it answered with operation ${op}` });
    const version = reader.varint();
    if (version !== WIRE_VERSION) throw transportErrors.VERSION({ version, known: WIRE_VERSION });
    reader.string();
    this.#maxFrameBytes = Math.min(this.#settings.maxFrameBytes, reader.varint());
    const windowFrames = reader.varint();
    const windowBytes = reader.varint();
    reader.end();
    link.established();
    this.#link = link;
    this.#attempt = 0;
    this.#givenUp = false;
    this.#giveUp?.cancel();
    this.#standings.open(link);
    this.#lanes.open(windowFrames, windowBytes);
    this.#tell('connected');
  }

  #frame(link: Link, op: number, reader: BinaryReader): void {
    switch (op) {
      case OP.DELIVER:
        return this.#standings.onDeliver(link, reader);
      case OP.CONFIRM: {
        const count = reader.count('confirms');
        for (let i = 0; i < count; i++) this.#lanes.settle(reader.varint());
        return reader.end();
      }
      case OP.REJECT: {
        const seq = reader.varint();
        return this.#lanes.settle(seq, readError(reader));
      }
      case OP.PUBLISH:
        return this.#standings.onPublish(link, reader);
      case OP.REPLY:
        return this.#standings.onReply(reader);
      case OP.ERROR:
        throw readError(reader);
      default:
        throw transportErrors.BAD_FRAME({ reason: `operation ${op} is unknown` });
    }
  }

  #onClosed(link: Link, reason: Error): void {
    if (this.#latest !== link) return;
    const established = this.#link === link;
    this.#link = undefined;
    this.#lanes.shut();
    this.#standings.shut();
    if (this.#closing !== undefined) return;
    if (established) {
      logger.info('disconnected', { url: this.url, reason: reason.message });
      this.#startGivingUp();
    }
    this.#tell('disconnected', established ? reason : this.#handshakeError(link, reason));
    // A listener may have closed the transport.
    if (this.#closing === undefined) this.#retryLater();
  }

  #startGivingUp(): void {
    const { clock, disconnectTimeoutMs } = this.#settings;
    const giveUp = (): void => {
      this.#givenUp = true;
      this.#failAll(this.#disconnected());
    };
    this.#giveUp = clock.after(disconnectTimeoutMs, giveUp, { background: true });
  }

  #retryLater(): void {
    const { clock, random, maxBackoffMs } = this.#settings;
    this.#retry = clock.after(backoffMs(this.#attempt++, maxBackoffMs, random), () => this.#connect(), { background: true });
  }

  #failAll(error: Error): void {
    this.#lanes.failAll(error);
    this.#standings.failAll(error);
  }

  #tell(state: 'connected' | 'disconnected', reason?: Error): void {
    for (const listener of this.#listeners) guarded('a connection listener', () => listener(state, reason))(undefined);
  }

  #disconnected(): Error {
    return transportErrors.DISCONNECTED({ url: this.url, ms: this.#settings.disconnectTimeoutMs });
  }

  /** What is no frame during the handshake is no hub. */
  #handshakeError(link: Link, reason: Error): Error {
    const { cause } = reason as { cause?: Error };
    if (this.#secure && cause !== undefined && isTlsError(cause)) return transportErrors.TLS({ url: this.url, reason: cause.message }, cause);
    // With TLS 1.3 a client is connected before the hub has judged its certificate, and Node's server then just ends the connection.
    if (this.#secure && this.#greeted === link && SparkProxyError.is(reason) && reason.code === 'SP_TRANSPORT_LOST')
      return transportErrors.TLS({ url: this.url, reason: 'the hub does not accept the certificate of this process' }, reason);
    const garbage = SparkProxyError.is(reason) && /^SP_(PROTOCOL_|TRANSPORT_(BAD_FRAME|FRAME_TOO_LARGE)$)/.test(reason.code);
    return garbage ? transportErrors.HANDSHAKE({ url: this.url, reason: reason.message }, reason) : reason;
  }

  #check(): void {
    if (this.#closing !== undefined) throw transportErrors.CLOSED({ url: this.url });
    if (this.#givenUp) throw this.#disconnected();
  }

  #checkSize(envelope: Envelope): number {
    const bytes = envelopeBytes(envelope);
    if (bytes > this.#maxFrameBytes) throw transportErrors.FRAME_TOO_LARGE({ bytes, limit: this.#maxFrameBytes });
    return bytes;
  }
}

/** @throws SP_TRANSPORT_CONNECT_FAILED, SP_TRANSPORT_TLS, SP_TRANSPORT_HANDSHAKE, SP_TRANSPORT_VERSION, SP_TRANSPORT_LIMITS */
export async function openClient(host: string, port: number, secure: boolean, url: string, settings: TcpSettings): Promise<Transport> {
  const client = new TcpClient(host, port, secure, url, settings);
  await client.open();
  return client;
}
