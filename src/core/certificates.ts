import { readFileSync } from 'node:fs';
import type { ConfigKey } from './config-schema.ts';
import type { Configuration } from './config.ts';
import { CONFIG_ERRORS } from './config-errors.ts';

/** Of TLS links, PEM. */
export interface Certificates {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

/** The file that a key of the configuration names. @throws SP_CONFIG_UNREADABLE */
export function fileOf(configuration: Configuration, key: ConfigKey): string | undefined {
  const path = configuration.get(key) as string | undefined;
  if (path === undefined) return undefined;
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw CONFIG_ERRORS.UNREADABLE({ path, reason: (cause as Error).message }, cause);
  }
}

/** `transport.tls.*`. @throws SP_CONFIG_UNREADABLE */
export function certificatesOf(configuration: Configuration): Certificates {
  const [ca, cert, key] = [fileOf(configuration, 'transport.tls.ca'), fileOf(configuration, 'transport.tls.cert'), fileOf(configuration, 'transport.tls.key')];
  return { ...(ca === undefined ? {} : { ca }), ...(cert === undefined ? {} : { cert }), ...(key === undefined ? {} : { key }) };
}

/** Certificates for links between executors, which show theirs on both sides; undefined unless all of them are there. */
export function mutualCertificates(configuration: Configuration): Required<Certificates> | undefined {
  const { ca, cert, key } = certificatesOf(configuration);
  return ca === undefined || cert === undefined || key === undefined ? undefined : { ca, cert, key };
}
