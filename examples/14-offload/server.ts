/**
 * A web server whose heavy method runs on external workers: one line more on the method, and settings. Here the server starts two
 * workers for itself; with `transport.url` set to tcp:, redis: or amqp:, workers on other machines do it.
 *   npx spark-proxy run examples/14-offload/server.ts
 */
import fastify from 'fastify';
import { openOffload } from 'spark-proxy/reschedule';
import { Reports } from './reports.ts';

const BELOW = 400_000;

const outside = openOffload({ 'worker.instances': '2' });
const reports = new Reports();
const server = fastify();
server.get('/primes/:below', async ({ params }) => await reports.primes(Number((params as { below: string }).below)));
server.get('/health', async () => 'well');
const url = await server.listen({ host: '127.0.0.1', port: 0 });

async function measure(): Promise<void> {
  const heavy = Promise.all(Array.from({ length: 6 }, async () => (await (await fetch(`${url}/primes/${BELOW}`)).json()) as { found: number; pid: number }));
  let done = false;
  void heavy.then(() => (done = true));
  let answered = 0;
  // The server goes on answering while its heavy work is elsewhere.
  while (!done) answered += (await (await fetch(`${url}/health`)).text()) === 'well' ? 1 : 0;
  const results = await heavy;
  const pids = new Set(results.map(({ pid }) => pid));
  const where = pids.has(process.pid) ? 'inside' : `on ${pids.size} workers`;
  console.log(`${results.length} requests, ${results[0]?.found} primes each, ${where}; meanwhile ${answered > 20 ? 'many' : 'few'} other requests answered`);
}

// Also waits for the workers: calls do so by themselves.
await outside.workers(2);
await measure();
await outside.close();
await server.close();
