import { createHmac, hash, type KeyObject } from 'node:crypto';

const BLOCK_BYTES = 64;
const DIGEST_BYTES = 32;
/** Up to here copying a message costs less than the objects that hash it in parts, and their collection as garbage. */
const COPIED_BYTES = 65_536;

/** The two keyed blocks of HMAC; behind the outer one there is room for the inner digest. */
interface Pads {
  readonly inner: Buffer;
  readonly outer: Buffer;
}

const pads = new WeakMap<KeyObject, Pads>();
const message = Buffer.allocUnsafeSlow(BLOCK_BYTES + COPIED_BYTES);
const digest = Buffer.allocUnsafeSlow(DIGEST_BYTES);
/** Whose inner block is in `message`. */
let latest: KeyObject | undefined;
let latestPads: Pads;

function padsOf(key: KeyObject): Pads {
  let known = pads.get(key);
  if (known === undefined) {
    const secret = key.export();
    const block = Buffer.alloc(BLOCK_BYTES);
    block.set(secret.length > BLOCK_BYTES ? hash('sha256', secret, 'buffer') : secret);
    const outer = Buffer.alloc(BLOCK_BYTES + DIGEST_BYTES);
    outer.set(block.map((byte) => byte ^ 0x5c));
    known = { inner: Buffer.from(block.map((byte) => byte ^ 0x36)), outer };
    pads.set(key, known);
  }
  return known;
}

/**
 * HMAC-SHA256 (RFC 2104) of two parts in a row; the result is good until the next call. For a small message the object that
 * `createHmac` makes costs several times what hashing does, so its two hashes are taken in one call each.
 */
export function hmacSha256(key: KeyObject, first: Uint8Array, second: Uint8Array): Buffer {
  const bytes = first.length + second.length;
  if (bytes > COPIED_BYTES) return createHmac('sha256', key).update(first).update(second).digest();
  if (key !== latest) {
    latestPads = padsOf(key);
    message.set(latestPads.inner);
    latest = key;
  }
  const { outer } = latestPads;
  message.set(first, BLOCK_BYTES);
  message.set(second, BLOCK_BYTES + first.length);
  outer.write(hash('sha256', message.subarray(0, BLOCK_BYTES + bytes), 'binary'), BLOCK_BYTES, 'latin1');
  digest.write(hash('sha256', outer, 'binary'), 'latin1');
  return digest;
}
