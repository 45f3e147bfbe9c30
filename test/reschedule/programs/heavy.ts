import { Intercept, originalOf } from 'spark-proxy/aspects';
import { offload } from 'spark-proxy/reschedule';

/** A class as a server has it; it travels by reference, as it is exported from a module. */
export class Heavy {
  readonly #offset = 10;

  @Intercept(offload())
  async pid(): Promise<number> {
    return process.pid;
  }

  @Intercept(offload())
  async primes(limit: number, ..._rest: unknown[]): Promise<number> {
    let found = 0;
    for (let n = 2; n < limit; n++) {
      let prime = true;
      for (let d = 2; d * d <= n && prime; d++) prime = n % d !== 0;
      if (prime) found++;
    }
    return found;
  }

  @Intercept(offload({ timeoutMs: 500 }))
  async endless(_signal?: AbortSignal): Promise<never> {
    for (;;);
  }

  async usesPrivate(): Promise<number> {
    return this.#offset;
  }
}

export const plainPrimes = originalOf(Heavy.prototype.primes);
