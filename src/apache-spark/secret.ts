/** Spark's authentication secret on its way from a dispatcher to workers: in the register center everyone can read it. */
import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto';
import { sparkErrors } from './errors.ts';

const IV_BYTES = 12;
const TAG_BYTES = 16;

/** A key for secrets of one application only. */
function keyFor(clusterKey: Uint8Array, application: string): Buffer {
  return createHmac('sha256', clusterKey).update('spark-proxy spark secret ').update(application).digest();
}

/** AES-256-GCM: iv, ciphertext, tag as base64. */
export function sealForWorkers(secret: string, application: string, clusterKey: Uint8Array): string {
  const iv = randomBytes(IV_BYTES);
  const cipher = createCipheriv('aes-256-gcm', keyFor(clusterKey, application), iv);
  return Buffer.concat([iv, cipher.update(secret, 'utf8'), cipher.final(), cipher.getAuthTag()]).toString('base64');
}

/** @throws SP_SPARK_NO_SECRET: another key, or not a sealed secret */
export function openForWorker(sealed: string, application: string, clusterKey: Uint8Array): string {
  const bytes = Buffer.from(sealed, 'base64');
  try {
    const decipher = createDecipheriv('aes-256-gcm', keyFor(clusterKey, application), bytes.subarray(0, IV_BYTES));
    decipher.setAuthTag(bytes.subarray(bytes.length - TAG_BYTES));
    return Buffer.concat([decipher.update(bytes.subarray(IV_BYTES, bytes.length - TAG_BYTES)), decipher.final()]).toString('utf8');
  } catch (cause) {
    throw sparkErrors.NO_SECRET({ application }, cause);
  }
}
