import { defineErrors } from '../core/errors.ts';

export const transportErrors = defineErrors('TRANSPORT', {
  UNKNOWN_SCHEME: ['No transport for "{scheme}:" URLs; known are {known}', 'Use one of these schemes, such as tcp://127.0.0.1:7077.'],
  BAD_URL: ['"{url}" is not a transport URL: {reason}', 'Write it like tcp://127.0.0.1:7077, redis://127.0.0.1:6379, amqp://127.0.0.1:5672 or memory:name.'],
  BAD_OPTION: ['Transport option {option} is {value}: {reason}', 'Correct the option.'],
  BAD_NAME: ['"{name}" cannot name a queue or topic: {reason}', 'Use 1 to 255 characters.'],
  CLOSED: ['The transport {url} is closed', 'It was closed by this process; connect again.'],
  FRAME_TOO_LARGE: ['A frame of {bytes} bytes is larger than the limit of {limit}', 'Send smaller pieces, or raise maxFrameBytes on every process.'],
  DISCONNECTED: [
    'No connection to {url} for {ms} ms',
    'Check that the hub or broker runs and can be reached; what was sent meanwhile may or may not have arrived.',
  ],
  CONNECT_FAILED: ['Cannot connect to {url} within {ms} ms: {reason}', 'Start the hub or broker first, and check host and port.'],
  AUTHENTICATION: [
    '{url} refused user or password: {reason}',
    'Correct them: in the URL, in redis.password, or in the file that transport.password.file names.',
  ],
  TLS: [
    'No TLS connection to {url}: {reason}',
    'Check transport.tls.ca, transport.tls.cert and transport.tls.key, the host name, and that the port speaks TLS.',
  ],
  BROKER_FULL: ['{url} takes no more: {reason}', 'Give it memory or disk, or drain its queues; what it confirmed before is kept.'],
  DATA_LOST: [
    '{url} has lost what it kept: it was flushed, or started again empty',
    'Unfinished tasks are dispatched again. Turn on persistence to survive restarts (Redis: appendonly yes).',
  ],
  LISTEN_FAILED: ['Cannot listen on {url}', 'Another process may hold the port; use port 0 for a free one.'],
  NOT_LOOPBACK: [
    'Refused to listen on {host}, which is not a loopback address: frames would be accepted from anyone',
    'Use 127.0.0.1; or set a key, so that frames are signed; or tcps: with certificates on both sides (transport.tls.ca, .cert, .key).',
  ],
  HANDSHAKE: ['{url} does not speak the protocol of a spark-proxy hub: {reason}', 'Check that the port is that of a hub.'],
  VERSION: ['Peer speaks version {version} of the wire protocol, this process version {known}', 'Run the same version of spark-proxy everywhere.'],
  LIMITS: ['The hub accepts frames of {theirs} bytes, this client only {ours}', 'Set the same maxFrameBytes on every process.'],
  BAD_FRAME: ['The peer sent what is no frame: {reason}', 'Check what connects to this port; only this connection is closed.'],
  OVERLOADED: ['The peer exceeded {what} ({limit})', 'It is too slow, or sends too much without waiting; only this connection is closed.'],
  LOST: ['The connection to {url} was lost: {reason}', 'It is made again by itself.'],
  REFUSED: ['The hub refused: {reason}', 'See the log of the hub.'],
});
