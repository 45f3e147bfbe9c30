import { Intercept } from 'spark-proxy/aspects';
import { offload } from 'spark-proxy/reschedule';

/** An ordinary class of a server, whose work takes the processor for a while. */
export class Reports {
  @Intercept(offload())
  async primes(below: number): Promise<{ readonly found: number; readonly pid: number }> {
    let found = 0;
    for (let n = 2; n < below; n++) {
      let prime = true;
      for (let d = 2; d * d <= n && prime; d++) prime = n % d !== 0;
      if (prime) found++;
    }
    return { found, pid: process.pid };
  }
}
