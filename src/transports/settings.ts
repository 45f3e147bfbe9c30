import { systemClock, type Clock } from '../core/clock.ts';
import type { Random } from '../core/ids.ts';
import type { BrokerOptions } from './broker.ts';
import type { TransportOptions } from './contract.ts';
import { transportErrors } from './errors.ts';
import { DEFAULT_MAX_FRAME_BYTES } from './local.ts';

/** What every transport over a network may be given. */
export interface RemoteOptions extends TransportOptions, BrokerOptions {
  /** A sign of life is sent at least this often, milliseconds. @defaultValue 1000 */
  readonly heartbeatMs?: number;
  /** Beats without a byte from the peer after which it is taken for dead. @defaultValue 4 */
  readonly missedBeats?: number;
  /** Client: longest pause between two attempts to connect, milliseconds (exponential, full jitter). @defaultValue 2000 */
  readonly maxBackoffMs?: number;
  /** Client: sends fail with SP_TRANSPORT_DISCONNECTED after being without a connection for this long, milliseconds. @defaultValue 30000 */
  readonly disconnectTimeoutMs?: number;
  /** @defaultValue systemClock */
  readonly clock?: Clock;
  /** Jitter. @defaultValue Math.random */
  readonly random?: Random;
}

/** Options of the transports onto brokers of their own, Redis and RabbitMQ. */
export interface BrokerClientOptions extends RemoteOptions {
  /** Silence after which what a client had in hand goes to others, milliseconds (Redis). @defaultValue 10000 */
  readonly consumerTtlMs?: number;
  /** A queue nobody reads or asks for is dropped after this long, with what is in it, milliseconds. @defaultValue 3600000 */
  readonly idleQueueMs?: number;
  /** Larger bodies are kept beside the queue and travel in pieces, so that they hold up no small frame, bytes. @defaultValue 262144 */
  readonly inlineBytes?: number;
  /** RabbitMQ: what queues are made of; all processes must agree. @defaultValue 'quorum' */
  readonly queueType?: 'quorum' | 'classic';
}

type Filled<T> = Readonly<Required<Omit<T, keyof BrokerOptions | 'role' | 'tls' | 'username' | 'password' | 'allowRemote'>>> &
  BrokerOptions &
  Pick<TransportOptions, 'tls' | 'username' | 'password' | 'allowRemote'>;

export type RemoteSettings = Filled<RemoteOptions>;
export type BrokerClientSettings = Filled<BrokerClientOptions> & Required<Pick<BrokerOptions, 'maxQueueBytes' | 'maxQueueFrames'>>;

export const REMOTE_DEFAULTS: RemoteSettings = {
  maxFrameBytes: DEFAULT_MAX_FRAME_BYTES,
  connectTimeoutMs: 10_000,
  heartbeatMs: 1000,
  missedBeats: 4,
  maxBackoffMs: 2000,
  disconnectTimeoutMs: 30_000,
  clock: systemClock,
  random: Math.random,
};

const BROKER_CLIENT_DEFAULTS: BrokerClientSettings = {
  ...REMOTE_DEFAULTS,
  maxQueueBytes: 67_108_864,
  maxQueueFrames: 65_536,
  consumerTtlMs: 10_000,
  idleQueueMs: 3_600_000,
  inlineBytes: 262_144,
  queueType: 'quorum',
};

/** Options with defaults filled in, checked and frozen. @throws SP_TRANSPORT_BAD_OPTION */
export function fillSettings<S extends RemoteSettings>(defaults: S, options: RemoteOptions): S {
  const settings = { ...defaults, ...Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) } as S;
  for (const [option, value] of Object.entries(settings)) {
    if (typeof value === 'number' && !(value >= 1)) throw transportErrors.BAD_OPTION({ option, value, reason: 'it must be at least 1' });
  }
  if (settings.maxFrameBytes > 0xffff_ffff - 65_536) {
    throw transportErrors.BAD_OPTION({ option: 'maxFrameBytes', value: settings.maxFrameBytes, reason: 'it must be below 4 GiB' });
  }
  return Object.freeze(settings);
}

/** @throws SP_TRANSPORT_BAD_OPTION */
export function brokerClientSettings(options: BrokerClientOptions): BrokerClientSettings {
  return fillSettings(BROKER_CLIENT_DEFAULTS, options);
}

const CLUSTER = /^[\w.-]{1,64}$/;

/** The parts of a broker's URL, the password apart. */
export interface BrokerAddress {
  readonly host: string;
  readonly port: number;
  readonly username: string | undefined;
  readonly password: string | undefined;
  /** First path segment, decoded. */
  readonly path: string;
  /** Names of everything in the broker begin with it: `?cluster=NAME`. @defaultValue 'default' */
  readonly cluster: string;
  /** Without user and password: for people, logs and errors. */
  readonly shown: string;
}

/** @throws SP_TRANSPORT_BAD_URL */
export function brokerAddress(url: URL, defaultPort: number, options: TransportOptions): BrokerAddress {
  const shown = new URL(url.href);
  shown.username = '';
  shown.password = '';
  const fail = (reason: string): Error => transportErrors.BAD_URL({ url: shown.href, reason });
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (host === '') throw fail('it needs a host');
  for (const name of url.searchParams.keys()) if (name !== 'cluster') throw fail(`it knows no parameter ${name}, only cluster`);
  const cluster = url.searchParams.get('cluster') ?? 'default';
  if (!CLUSTER.test(cluster)) throw fail('a cluster is named by 1 to 64 letters, digits, dots, dashes and underscores');
  const given = (text: string): string | undefined => (text === '' ? undefined : decodeURIComponent(text));
  return {
    host,
    port: url.port === '' ? defaultPort : Number(url.port),
    username: given(url.username) ?? options.username,
    password: given(url.password) ?? options.password,
    path: decodeURIComponent(url.pathname.replace(/^\//, '')),
    cluster,
    shown: shown.href,
  };
}
