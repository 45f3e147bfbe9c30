/** Keys by id: one signs, all are accepted, so that keys change while processes run. */
import { createSecretKey, hkdfSync, randomBytes, type KeyObject } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { systemClock, type Clock } from '../core/clock.ts';
import type { Configuration } from '../core/config.ts';
import { createLogger } from '../core/logger.ts';
import { SECURITY_ERRORS } from './errors.ts';

const logger = createLogger('security');

/** Shorter ones can be guessed. */
const MIN_KEY_BYTES = 32;
const MAX_KEYS = 16;
const ID = /^[\w.-]{1,32}$/;
/** How often the file is looked at. */
const LOOK_MS = 2000;

/** What a key is used for; one secret gives independent keys for each. */
export type Purpose = 'sign' | 'seal' | 'link';

export interface RingKey {
  readonly id: string;
  key(purpose: Purpose): KeyObject;
}

export interface KeyRing {
  /** Signs and seals. */
  readonly current: RingKey;
  get(id: string): RingKey | undefined;
  /** The current one first. */
  all(): readonly RingKey[];
}

function ringKey(id: string, secret: Uint8Array): RingKey {
  const derived = new Map<Purpose, KeyObject>();
  return {
    id,
    key(purpose) {
      let key = derived.get(purpose);
      // HKDF with SHA-256, RFC 5869.
      if (key === undefined) derived.set(purpose, (key = createSecretKey(Buffer.from(hkdfSync('sha256', secret, '', `spark-proxy ${purpose} 1`, 32)))));
      return key;
    },
  };
}

/**
 * Lines `id: base64`, the first of which signs; `#` begins a comment. One bare base64 is the key `default`.
 * @throws SP_SECURITY_BAD_KEY
 */
export function parseKeyRing(text: string, where: string): KeyRing {
  const keys = new Map<string, RingKey>();
  const fail = (reason: string): Error => SECURITY_ERRORS.BAD_KEY({ where, reason });
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    const line = raw.replace(/#.*$/, '').trim();
    if (line === '') continue;
    const at = line.indexOf(':');
    const [id, encoded] = at < 0 ? ['default', line] : [line.slice(0, at).trim(), line.slice(at + 1).trim()];
    // Neither line nor key is shown: it may be a secret in the wrong place.
    if (!ID.test(id)) throw fail(`line ${index + 1}: a key has an id of 1 to 32 letters, digits, dots and dashes`);
    if (keys.has(id)) throw fail(`line ${index + 1}: key ${id} is there twice`);
    if (!/^[A-Za-z0-9+/_-]+={0,2}$/.test(encoded)) throw fail(`line ${index + 1}: key ${id} is not base64`);
    const secret = Buffer.from(encoded, 'base64');
    if (secret.length < MIN_KEY_BYTES) throw fail(`line ${index + 1}: key ${id} has ${secret.length} bytes, at least ${MIN_KEY_BYTES} are needed`);
    if (keys.size >= MAX_KEYS) throw fail(`more than ${MAX_KEYS} keys`);
    keys.set(id, ringKey(id, secret));
  }
  const current = keys.values().next().value;
  if (current === undefined) throw fail('it is empty');
  return { current, get: (id) => keys.get(id), all: () => [...keys.values()] };
}

/** @throws SP_SECURITY_KEY_FILE, SP_SECURITY_BAD_KEY */
function readKeyFile(path: string): KeyRing {
  let text: string;
  try {
    const { mode } = statSync(path);
    if ((mode & 0o077) !== 0) throw SECURITY_ERRORS.KEY_FILE({ path, reason: `others may read it (mode ${(mode & 0o777).toString(8)})` });
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code?.startsWith('SP_') === true) throw error;
    throw SECURITY_ERRORS.KEY_FILE({ path, reason: (error as Error).message }, error);
  }
  return parseKeyRing(text, path);
}

/** A ring that follows its file: a changed file is read again, a bad one is refused and the keys stay. */
export function watchKeyFile(path: string, clock: Clock = systemClock): KeyRing {
  let ring = readKeyFile(path);
  const stamp = (): string => {
    const { mtimeMs, size, ino } = statSync(path);
    return `${mtimeMs} ${size} ${ino}`;
  };
  let seen = stamp();
  let told = '';
  clock.every(LOOK_MS, () => {
    try {
      const now = stamp();
      if (now === seen) return;
      seen = now;
      ring = readKeyFile(path);
      told = '';
      logger.info('keys were read again', { path, signs: ring.current.id });
    } catch (error) {
      const { message } = error as Error;
      // Once, not every two seconds.
      if (message !== told) logger.error('the keys stay as they were', { error: message });
      told = message;
    }
  });
  return {
    get current() {
      return ring.current;
    },
    get: (id) => ring.get(id),
    all: () => ring.all(),
  };
}

/** One watcher a file. */
const watched = new Map<string, KeyRing>();

/** From key.file, else SPARK_PROXY_KEY in the environment; undefined: there is none. @throws SP_SECURITY_KEY_FILE, SP_SECURITY_BAD_KEY */
export function keyRingOf(configuration: Configuration, env: NodeJS.ProcessEnv = process.env): KeyRing | undefined {
  const path = configuration.get('key.file');
  if (path !== undefined) {
    let ring = watched.get(path);
    if (ring === undefined) watched.set(path, (ring = watchKeyFile(path)));
    return ring;
  }
  const text = env['SPARK_PROXY_KEY'];
  return text === undefined || text === '' ? undefined : parseKeyRing(text, 'SPARK_PROXY_KEY');
}

/** A new line for a key file. */
export function newKeyLine(id: string): string {
  return `${id}: ${randomBytes(MIN_KEY_BYTES).toString('base64')}`;
}
