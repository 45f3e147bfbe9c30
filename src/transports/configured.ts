import { certificatesOf, fileOf } from '../core/certificates.ts';
import type { Configuration } from '../core/config.ts';
import type { TransportOptions } from './contract.ts';

/** `transport.url`, or that of the Redis which `redis.host` names (without its password: see `transportOptionsOf`). */
export function transportUrlOf(configuration: Configuration): string | undefined {
  const url = configuration.get('transport.url');
  const host = configuration.get('redis.host');
  if (url !== undefined || host === undefined) return url;
  return `redis://${host.includes(':') ? `[${host}]` : host}:${configuration.get('redis.port')}`;
}

/**
 * User, password and certificates for `connectTransport`. What the URL says itself comes first.
 * @throws SP_CONFIG_UNREADABLE
 */
export function transportOptionsOf(configuration: Configuration): TransportOptions {
  const username = configuration.get('transport.username');
  const password =
    configuration.get('transport.password') ??
    fileOf(configuration, 'transport.password.file')?.split(/\r?\n/, 1)[0] ??
    (/^(redis|rediss):/.test(transportUrlOf(configuration) ?? '') ? configuration.get('redis.password') : undefined);
  const servername = configuration.get('transport.tls.servername');
  const given = <K extends string, V>(name: K, value: V | undefined): Partial<Record<K, V>> => (value === undefined ? {} : ({ [name]: value } as Record<K, V>));
  const tls = { ...certificatesOf(configuration), ...given('servername', servername) };
  return { ...given('username', username), ...given('password', password), ...(Object.keys(tls).length === 0 ? {} : { tls }) };
}
