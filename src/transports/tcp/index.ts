import type { TransportFactory } from '../contract.ts';
import { transportErrors } from '../errors.ts';
import { openClient } from './client.ts';
import { openHub } from './hub.ts';
import { tcpSettings, type TcpOptions } from './settings.ts';

/** `tcp://host:port`, and `tcps:` over TLS: a hub serves a broker in memory, clients connect to it. Port 0 (hub) takes a free one; see `url`. */
export const tcpTransport: TransportFactory = {
  schemes: ['tcp', 'tcps'],
  async connect(url: URL, options: TcpOptions = {}) {
    const host = url.hostname.replace(/^\[|\]$/g, '');
    if (host === '' || url.port === '') throw transportErrors.BAD_URL({ url: url.href, reason: 'it needs a host and a port' });
    const settings = tcpSettings(options);
    const port = Number(url.port);
    const secure = url.protocol === 'tcps:';
    return options.role === 'hub' ? openHub(host, port, secure, settings) : openClient(host, port, secure, `${url.protocol}//${url.host}`, settings);
  },
};
