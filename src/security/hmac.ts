import { createHmac, hash, type KeyObject } from 'node:crypto';

const BLOCK_BYTES = 64;
const DIGEST_BYTES = 32;
/** Up to here copying a message costs less than the objects that hash it in parts, and their collection as garbage. */
const SMALL_BYTES = 65_536;

/** The two keyed blocks of HMAC; behind the outer one there is room for the inner digest. */
interface Pads {
  readonly inner: Buffer;
  readonly outer: Buffer;
}

const pads = new WeakMap<KeyObject, Pads>();
const scratch = Buffer.allocUnsafeSlow(BLOCK_BYTES + SMALL_BYTES);

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
 * HMAC-SHA256 (RFC 2104) of two parts in a row. For a small message the object that `createHmac` makes costs several times what
 * hashing does, so its two hashes are taken in one call each.
 */
export function hmacSha256(key: KeyObject, first: Uint8Array, second: Uint8Array): Buffer {
  const bytes = first.length + second.length;
  if (bytes > SMALL_BYTES) return createHmac('sha256', key).update(first).update(second).digest();
  const { inner, outer } = padsOf(key);
  scratch.set(inner);
  scratch.set(first, BLOCK_BYTES);
  scratch.set(second, BLOCK_BYTES + first.length);
  outer.write(hash('sha256', scratch.subarray(0, BLOCK_BYTES + bytes), 'binary'), BLOCK_BYTES, 'latin1');
  return Buffer.from(hash('sha256', outer, 'binary'), 'latin1');
}
