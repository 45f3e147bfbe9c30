/** Secrets that travel through a broker nobody trusts: AES-256-GCM under the ring's key, bound to what they are for. */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { BinaryReader, BinaryWriter } from '../protocol/codec.ts';
import { SECURITY_ERRORS } from './errors.ts';
import type { KeyRing } from './key-ring.ts';

const VERSION = 1;
const IV_BYTES = 12;
const TAG_BYTES = 16;

/** `purpose` names what the secret is for, such as `spark.authenticate.secret app-1`; it must be the same for `open`. */
export function seal(ring: KeyRing, purpose: string, secret: Uint8Array): Uint8Array {
  const { current } = ring;
  const iv = randomBytes(IV_BYTES);
  const cipher = createCipheriv('aes-256-gcm', current.key('seal'), iv).setAAD(Buffer.from(`${VERSION} ${purpose}`));
  const sealed = Buffer.concat([cipher.update(secret), cipher.final()]);
  const out = new BinaryWriter(256);
  out.reset();
  out.u8(VERSION);
  out.string(current.id);
  out.raw(iv);
  out.raw(cipher.getAuthTag());
  out.bytes(sealed);
  return out.finish();
}

/** @throws SP_SECURITY_SEALED */
export function open(ring: KeyRing, purpose: string, sealed: Uint8Array): Uint8Array {
  const fail = (reason: string, cause?: unknown): Error => SECURITY_ERRORS.SEALED({ purpose, reason }, cause);
  try {
    const reader = new BinaryReader(sealed);
    if (reader.u8() !== VERSION) throw fail('it is of another version');
    const id = reader.string();
    const key = ring.get(id);
    if (key === undefined) throw fail(`key ${id} is unknown`);
    const decipher = createDecipheriv('aes-256-gcm', key.key('seal'), reader.raw(IV_BYTES), { authTagLength: TAG_BYTES });
    decipher.setAAD(Buffer.from(`${VERSION} ${purpose}`)).setAuthTag(reader.raw(TAG_BYTES));
    const content = reader.bytes();
    reader.end();
    return Buffer.concat([decipher.update(content), decipher.final()]);
  } catch (error) {
    if ((error as { code?: string }).code === 'SP_SECURITY_SEALED') throw error;
    throw fail('it was changed, or sealed for something else', error);
  }
}
