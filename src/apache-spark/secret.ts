/** Spark's authentication secret on its way from a dispatcher to workers: in the register center everyone can read it. */
import { open, seal, type KeyRing } from '../security/index.ts';
import { sparkErrors } from './errors.ts';

/** It opens for this application only. */
const purposeOf = (application: string): string => `spark.authenticate.secret ${application}`;

/** Sealed under the ring's first key, base64. */
export function sealForWorkers(secret: string, application: string, ring: KeyRing): string {
  return Buffer.from(seal(ring, purposeOf(application), Buffer.from(secret, 'utf8'))).toString('base64');
}

/** @throws SP_SPARK_NO_SECRET: another key, or not a sealed secret */
export function openForWorker(sealed: string, application: string, ring: KeyRing): string {
  try {
    return Buffer.from(open(ring, purposeOf(application), Buffer.from(sealed, 'base64'))).toString('utf8');
  } catch (cause) {
    throw sparkErrors.NO_SECRET({ application }, cause);
  }
}
