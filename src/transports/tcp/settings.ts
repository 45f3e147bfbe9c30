import { fillSettings, REMOTE_DEFAULTS, type RemoteOptions, type RemoteSettings } from '../settings.ts';

export interface TcpOptions extends RemoteOptions {
  /** Hub: unconfirmed frames a client may have under way to one queue. @defaultValue 256 */
  readonly windowFrames?: number;
  /** Hub: unconfirmed bytes a client may have under way to one queue (one larger frame is allowed). @defaultValue 8388608 */
  readonly windowBytes?: number;
  /** Hub. @defaultValue 10000 */
  readonly maxConnections?: number;
}

export type TcpSettings = RemoteSettings & Readonly<Required<Pick<TcpOptions, 'windowFrames' | 'windowBytes' | 'maxConnections'>>>;

const DEFAULTS: TcpSettings = { ...REMOTE_DEFAULTS, windowFrames: 256, windowBytes: 8_388_608, maxConnections: 10_000 };

/** Options with defaults filled in, checked and frozen. @throws SP_TRANSPORT_BAD_OPTION */
export function tcpSettings(options: TcpOptions): TcpSettings {
  return fillSettings(DEFAULTS, options);
}
