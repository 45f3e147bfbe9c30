import { readFileSync } from 'node:fs';
import type { ConfigKey } from '../core/config-schema.ts';
import type { Configuration } from '../core/config.ts';
import type { TransportOptions } from './contract.ts';
import { transportErrors } from './errors.ts';

/** `transport.url`, or that of the Redis which `redis.host` names (without its password: see `transportOptionsOf`). */
export function transportUrlOf(configuration: Configuration): string | undefined {
  const url = configuration.get('transport.url');
  const host = configuration.get('redis.host');
  if (url !== undefined || host === undefined) return url;
  return `redis://${host.includes(':') ? `[${host}]` : host}:${configuration.get('redis.port')}`;
}

function fileOf(configuration: Configuration, key: ConfigKey): string | undefined {
  const path = configuration.get(key) as string | undefined;
  if (path === undefined) return undefined;
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw transportErrors.BAD_OPTION({ option: key, value: path, reason: (cause as Error).message }, cause);
  }
}

/**
 * User, password and certificates for `connectTransport`. What the URL says itself comes first.
 * @throws SP_TRANSPORT_BAD_OPTION when a file cannot be read
 */
export function transportOptionsOf(configuration: Configuration): TransportOptions {
  const username = configuration.get('transport.username');
  const password =
    configuration.get('transport.password') ??
    fileOf(configuration, 'transport.password.file')?.split(/\r?\n/, 1)[0] ??
    (/^(redis|rediss):/.test(transportUrlOf(configuration) ?? '') ? configuration.get('redis.password') : undefined);
  const [ca, cert, key] = [fileOf(configuration, 'transport.tls.ca'), fileOf(configuration, 'transport.tls.cert'), fileOf(configuration, 'transport.tls.key')];
  const servername = configuration.get('transport.tls.servername');
  const given = <K extends string, V>(name: K, value: V | undefined): Partial<Record<K, V>> => (value === undefined ? {} : ({ [name]: value } as Record<K, V>));
  const tls = { ...given('ca', ca), ...given('cert', cert), ...given('key', key), ...given('servername', servername) };
  return { ...given('username', username), ...given('password', password), ...(Object.keys(tls).length === 0 ? {} : { tls }) };
}
