import type { ConnectionOptions, TlsOptions as ServerOptions } from 'node:tls';
import { isIP } from 'node:net';
import type { TlsOptions } from './contract.ts';
import { transportErrors } from './errors.ts';

/** For a client of `host`. */
export function tlsConnectOptions(
  tls: TlsOptions = {},
  host: string,
): Pick<ConnectionOptions, 'ca' | 'cert' | 'key' | 'servername' | 'rejectUnauthorized' | 'minVersion'> {
  const { ca, cert, key, servername, rejectUnauthorized = true } = tls;
  return {
    ...(ca === undefined ? {} : { ca: ca as string | string[] }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    // An address is no name for SNI; the certificate is checked against the host all the same.
    ...(servername !== undefined ? { servername } : isIP(host) === 0 ? { servername: host } : {}),
    rejectUnauthorized,
    minVersion: 'TLSv1.2',
  };
}

/** For a server. Clients must show a certificate of `ca`, unless `rejectUnauthorized` is false. @throws SP_TRANSPORT_BAD_OPTION */
export function tlsServerOptions(tls: TlsOptions = {}): ServerOptions {
  const { ca, cert, key, rejectUnauthorized = true } = tls;
  if (cert === undefined || key === undefined) throw transportErrors.BAD_OPTION({ option: 'tls', value: 'without cert or key', reason: 'a hub needs both' });
  if (rejectUnauthorized && ca === undefined)
    throw transportErrors.BAD_OPTION({
      option: 'tls.ca',
      value: 'unset',
      reason: 'clients are asked for certificates that it has signed (or set rejectUnauthorized to false)',
    });
  return {
    cert,
    key,
    ...(ca === undefined ? {} : { ca: ca as string | string[] }),
    requestCert: rejectUnauthorized,
    rejectUnauthorized,
    minVersion: 'TLSv1.2',
  };
}

/** True for what another attempt will not mend: certificates that are refused, peers that speak no TLS. */
export function isTlsError(error: unknown): boolean {
  const { code = '', message = '' } = error as { code?: string; message?: string };
  return /^(ERR_SSL|ERR_TLS|CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|HOSTNAME_MISMATCH)/.test(code) || /\b(tls|ssl|certificate)\b/i.test(message);
}
