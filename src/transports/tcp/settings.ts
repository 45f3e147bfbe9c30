import { systemClock, type Clock } from '../../core/clock.ts';
import type { Random } from '../../core/ids.ts';
import type { BrokerOptions } from '../broker.ts';
import type { TransportOptions } from '../contract.ts';
import { transportErrors } from '../errors.ts';
import { DEFAULT_MAX_FRAME_BYTES } from '../local.ts';

export interface TcpOptions extends TransportOptions, BrokerOptions {
  /** A sign of life is sent at least this often, milliseconds. @defaultValue 1000 */
  readonly heartbeatMs?: number;
  /** Beats without a byte from the peer after which it is taken for dead. @defaultValue 4 */
  readonly missedBeats?: number;
  /** Client: longest pause between two attempts to connect, milliseconds (exponential, full jitter). @defaultValue 2000 */
  readonly maxBackoffMs?: number;
  /** Client: sends fail with SP_TRANSPORT_DISCONNECTED after being without a connection for this long, milliseconds. @defaultValue 30000 */
  readonly disconnectTimeoutMs?: number;
  /** Hub: unconfirmed frames a client may have under way to one queue. @defaultValue 256 */
  readonly windowFrames?: number;
  /** Hub: unconfirmed bytes a client may have under way to one queue (one larger frame is allowed). @defaultValue 8388608 */
  readonly windowBytes?: number;
  /** Hub. @defaultValue 10000 */
  readonly maxConnections?: number;
  /** @defaultValue systemClock */
  readonly clock?: Clock;
  /** Jitter. @defaultValue Math.random */
  readonly random?: Random;
}

export type TcpSettings = Readonly<Required<Omit<TcpOptions, keyof BrokerOptions | 'role'>>> & BrokerOptions;

const DEFAULTS: TcpSettings = {
  maxFrameBytes: DEFAULT_MAX_FRAME_BYTES,
  connectTimeoutMs: 10_000,
  heartbeatMs: 1000,
  missedBeats: 4,
  maxBackoffMs: 2000,
  disconnectTimeoutMs: 30_000,
  windowFrames: 256,
  windowBytes: 8_388_608,
  maxConnections: 10_000,
  clock: systemClock,
  random: Math.random,
};

/** Options with defaults filled in, checked and frozen. @throws SP_TRANSPORT_BAD_OPTION */
export function tcpSettings(options: TcpOptions): TcpSettings {
  const settings = { ...DEFAULTS, ...Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) } as TcpSettings;
  for (const [option, value] of Object.entries(settings)) {
    if (typeof value === 'number' && !(value >= 1)) throw transportErrors.BAD_OPTION({ option, value, reason: 'it must be at least 1' });
  }
  if (settings.maxFrameBytes > 0xffff_ffff - 65_536) {
    throw transportErrors.BAD_OPTION({ option: 'maxFrameBytes', value: settings.maxFrameBytes, reason: 'it must be below 4 GiB' });
  }
  return Object.freeze(settings);
}
