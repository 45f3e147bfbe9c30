import type { Envelope } from '../protocol/envelope.ts';

/**
 * How frames travel. Chosen by URL scheme (see index.ts); a transport is a plain object from a factory.
 *
 * What a transport does NOT do: it does not retry tasks, select workers, order tasks, or keep anything longer than its
 * broker does. Delivery is at least once: a handler sees a frame again when it did not ack before its connection ended.
 *
 * ORDERING: frames of one sender to one queue arrive in order, redeliveries excepted.
 */
export interface Transport {
  /** The URL others connect to, passwords removed (for a tcp hub: with the port that was bound). */
  readonly url: string;
  /** Who sends and who reads are in this process: the `content` of an envelope arrives without being encoded. @defaultValue false */
  readonly inProcess?: boolean;
  /**
   * Puts a frame on a queue (made on first use). Resolves when the broker has taken responsibility for it.
   * @throws SP_TRANSPORT_CLOSED, SP_TRANSPORT_FRAME_TOO_LARGE, SP_TRANSPORT_DISCONNECTED
   */
  send(queue: string, envelope: Envelope): Promise<void>;
  /**
   * Reads a queue. At most `prefetch` frames are unacknowledged at a time. Several consumers of one queue share its frames.
   * Survives reconnects until `cancel()`.
   */
  consume(queue: string, options: ConsumeOptions, handler: (delivery: Delivery) => void): Promise<Subscription>;
  /** Sends to everyone subscribed to the topic now; nothing is kept for later subscribers, and none is acknowledged. */
  broadcast(topic: string, envelope: Envelope): Promise<void>;
  subscribe(topic: string, handler: (envelope: Envelope) => void): Promise<Subscription>;
  /** Drops a queue and what is in it. */
  deleteQueue(queue: string): Promise<void>;
  /**
   * Connection changes, for logs, the register center and whoever must send again. A broker that takes nothing any more or has
   * lost what it kept (SP_TRANSPORT_BROKER_FULL, SP_TRANSPORT_DATA_LOST) counts as `disconnected`. Returns the unsubscribe function.
   */
  onConnection(listener: (state: 'connected' | 'disconnected', reason?: Error) => void): () => void;
  /** Keeps the process alive while true (default false): set while work is under way. */
  setActive(active: boolean): void;
  /** Ends all subscriptions; unacknowledged frames go back to their queues. Idempotent. */
  close(): Promise<void>;
}

export interface ConsumeOptions {
  /** Frames delivered and not yet acknowledged. @defaultValue 16 */
  readonly prefetch?: number;
}

export interface Delivery {
  readonly envelope: Envelope;
  /** True when an earlier consumer received it and did not acknowledge. */
  readonly redelivered: boolean;
  ack(): void;
  /** Back to the head of the queue (default), or dropped. */
  nack(options?: { requeue?: boolean }): void;
}

export interface Subscription {
  cancel(): Promise<void>;
}

/** One per URL scheme. */
export interface TransportFactory {
  readonly schemes: readonly string[];
  /** `role: 'hub'` hosts the broker where the scheme has none of its own (tcp, memory); others ignore it. */
  connect(url: URL, options: TransportOptions): Promise<Transport>;
}

export interface TransportOptions {
  /** `hub` binds and serves, `client` connects. @defaultValue 'client' */
  readonly role?: 'hub' | 'client';
  /** Largest frame accepted or sent, bytes. @defaultValue 67108864 */
  readonly maxFrameBytes?: number;
  /** Gives up connecting (first time) after this many milliseconds. @defaultValue 10000 */
  readonly connectTimeoutMs?: number;
  /** For `rediss:`, `amqps:` and `tcps:`; PEM texts. */
  readonly tls?: TlsOptions;
  /** Where the URL has none. */
  readonly username?: string;
  readonly password?: string;
  /** A tcp hub may listen beyond loopback: frames are signed with a key. (With `tcps:` and client certificates it may without.) */
  readonly allowRemote?: boolean;
}

export interface TlsOptions {
  /** Authorities the peer's certificate may be signed by. @defaultValue those of Node */
  readonly ca?: string | readonly string[];
  /** Own certificate and key: needed by a hub, and for mutual TLS. */
  readonly cert?: string;
  readonly key?: string;
  /** Name the peer's certificate must have. @defaultValue the host of the URL */
  readonly servername?: string;
  /** False: the peer may have any certificate, which protects from nothing but listeners. A hub with false asks for none. @defaultValue true */
  readonly rejectUnauthorized?: boolean;
}
