import { hostname } from 'node:os';

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\]|)$/;

/** True when only processes of this machine can be at the other end of a transport. */
export function isLoopback(host: string): boolean {
  return LOOPBACK.test(host);
}

/** Under which name or address processes at the other end of this transport reach this machine, as far as one can tell. */
export function reachableHost(url: string): string {
  return URL.canParse(url) && !isLoopback(new URL(url).hostname) ? hostname() : '127.0.0.1';
}
