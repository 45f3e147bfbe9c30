/**
 * Retries with backoff and jitter around a method that calls a server that fails now and then.
 *   npx spark-proxy run examples/11-retry/main.ts
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { around, Intercept, type Advice } from 'spark-proxy/aspects';

interface Retries {
  readonly attempts: number;
  /** Wait before the second attempt; doubled before each further one, of which a random part is waited ("full jitter"). */
  readonly baseMs: number;
  readonly maxMs: number;
  readonly on: (error: unknown) => boolean;
}

/** `proceed()` may be called as often as need be: each call runs the method again. */
const retry = ({ attempts, baseMs, maxMs, on }: Retries): Advice<(...args: never[]) => Promise<unknown>> =>
  around(async (jp, proceed) => {
    for (let attempt = 1; ; attempt++) {
      try {
        return await proceed();
      } catch (error) {
        if (attempt === attempts || !on(error)) throw error;
        console.log(`${String(jp.signature)} failed (${(error as Error).message}), attempt ${attempt} of ${attempts}`);
        await sleep(Math.random() * Math.min(maxMs, baseMs * 2 ** (attempt - 1)));
      }
    }
  });

class Unavailable extends Error {}

class Client {
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  @Intercept(retry({ attempts: 4, baseMs: 20, maxMs: 200, on: (error) => error instanceof Unavailable }))
  async stock(article: string): Promise<number> {
    const response = await fetch(`${this.#url}/${article}`);
    if (response.status === 503) throw new Unavailable('503');
    if (!response.ok) throw new Error(`${response.status}`);
    return Number(await response.text());
  }
}

let requests = 0;
const server = createServer(({ url }, response) => {
  requests++;
  response.writeHead(url === '/pear' ? 404 : requests < 3 ? 503 : 200).end('7');
});
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const client = new Client(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
console.log(`stock ${await client.stock('plum')} after ${requests} requests`);
await client.stock('pear').catch((error: Error) => console.log(`not retried: ${error.message}, ${requests} requests`));
server.closeAllConnections();
server.close();
