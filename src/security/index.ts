export { connectConfigured, mayListen } from './connect.ts';
export { keyRingOf, newKeyLine, parseKeyRing, watchKeyFile, type KeyRing, type Purpose, type RingKey } from './key-ring.ts';
export { open, seal } from './seal.ts';
export { secureTransport, type SecureOptions } from './secure-transport.ts';
