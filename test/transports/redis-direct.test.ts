import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { afterEach, expect, it, vi } from 'vitest';
import type { Transport } from '../../src/transports/contract.ts';
import { connectTransport, type AnyTransportOptions } from '../../src/transports/index.ts';
import { envelope, reading, text } from '../conformance/transport.ts';
import { startRedis, type RedisServer } from '../support/redis.ts';
import { describeWith } from '../support/requires.ts';
import { next } from './tcp-bed.ts';

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

async function redis(): Promise<RedisServer> {
  const server = await startRedis();
  closers.push(() => server.stop());
  return server;
}

async function open(url: string, options: AnyTransportOptions = {}): Promise<Transport> {
  const transport = await connectTransport(url, { maxBackoffMs: 50, heartbeatMs: 100, ...options });
  closers.push(() => transport.close());
  return transport;
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  await vi.waitUntil(condition, { timeout: 30_000, interval: 10 });
}

const numbers = (count: number, from = 0): string[] => Array.from({ length: count }, (_, i) => String(from + i));
const PREFIX = 'spark-proxy:default:';

/** The only consumer of the queue reads by itself, or not. */
const direct = async (server: RedisServer, is = true): Promise<void> => {
  const client = server.client();
  await until(async () => ((await client.hget(`${PREFIX}m:q`, 'd')) !== null) === is);
  if (is) await until(async () => / cmd=xreadgroup /.test(String(await client.client('LIST'))));
};
const calls = async (server: RedisServer, command: string): Promise<number> =>
  Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(await server.client().info('commandstats'))?.[1] ?? 0);
const drained = (server: RedisServer): Promise<void> => until(async () => (await server.client().xlen(`${PREFIX}q:q`)) === 0);

/** A proxy whose connections can be held: what their clients write, and the end of it, comes to the server later. */
async function holdingProxy(port: number): Promise<{ readonly url: string; hold(): void; end(): void; release(): Promise<void> }> {
  const links: { client: Socket; upstream: Socket; held: boolean; late: Buffer[] }[] = [];
  const server = createServer({ noDelay: true }, (client) => {
    const upstream = connect({ port, host: '127.0.0.1', noDelay: true });
    const link = { client, upstream, held: false, late: [] as Buffer[] };
    links.push(link);
    client.on('data', (chunk: Buffer) => (link.held ? link.late.push(chunk) : upstream.write(chunk)));
    upstream.on('data', (chunk: Buffer) => client.write(chunk));
    client.on('error', () => undefined).on('close', () => link.held || upstream.destroy());
    upstream.on('error', () => undefined).on('close', () => client.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(async () => {
    for (const { client, upstream } of links) [client, upstream].forEach((each) => each.destroy());
    await new Promise((resolve) => server.close(resolve));
  });
  return {
    url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}`,
    hold: () => links.forEach((link) => (link.held = true)),
    end: () => links.forEach(({ client }) => client.destroy()),
    async release() {
      for (const { upstream, late, held } of links) {
        if (!held || upstream.destroyed) continue;
        await new Promise<void>((resolve) => upstream.write(Buffer.concat(late), () => resolve()));
        upstream.end();
        await once(upstream, 'close');
      }
    },
  };
}

describeWith(['redis'], 'a queue of the Redis transport with one consumer', () => {
  it('is read by that consumer itself, and added to by plain commands', async () => {
    const server = await redis();
    const [sender, receiver] = [await open(server.url, { heartbeatMs: 60_000 }), await open(server.url, { heartbeatMs: 60_000 })];
    const inbox = await reading(receiver, 'q', { prefetch: 64 });
    await direct(server);
    await sender.send('q', envelope('first'));
    const before = await calls(server, 'publish');
    for (const body of numbers(50)) await sender.send('q', envelope(body));
    await inbox.until(51);
    expect(inbox.items.map((d) => text(d.envelope))).toEqual(['first', ...numbers(50)]);
    expect(inbox.items.some((d) => d.redelivered)).toBe(false);
    expect(await calls(server, 'exec')).toBeGreaterThanOrEqual(50);
    // The script gives out none of them.
    expect(await calls(server, 'publish')).toBe(before);
  });

  it('is shared in turns when a second consumer comes, and read by the one that stays', async () => {
    const server = await redis();
    const [sender, receiver] = [await open(server.url), await open(server.url)];
    const one = await reading(receiver, 'q', { prefetch: 50 }, false);
    await direct(server);
    for (const body of numbers(10)) await sender.send('q', envelope(body));
    await one.until(10);
    const other = await open(server.url);
    const two = await reading(other, 'q', { prefetch: 50 }, false);
    expect(await server.client().hget(`${PREFIX}m:q`, 'd')).toBeNull();
    for (const body of numbers(20, 10)) await sender.send('q', envelope(body));
    await one.until(20);
    await two.until(10);
    await other.close();
    await one.until(30);
    for (const delivery of one.items) delivery.ack();
    await direct(server);
    await sender.send('q', envelope('30'));
    await one.until(31);
    one.items[30]!.ack();
    // What the other had came again, marked.
    const fresh = one.items.filter((d) => !d.redelivered).map((d) => Number(text(d.envelope)));
    expect(fresh).toEqual(fresh.toSorted((a, b) => a - b));
    expect(one.items.map((d) => Number(text(d.envelope))).toSorted((a, b) => a - b)).toEqual(numbers(31).map(Number));
    await drained(server);
  });

  it('takes nothing of a lost connection that comes after its place was taken', async () => {
    const server = await redis();
    const proxy = await holdingProxy(server.port);
    const [sender, receiver] = [await open(proxy.url), await open(server.url)];
    const inbox = await reading(receiver, 'q', { prefetch: 100 });
    await direct(server);
    for (const body of numbers(5)) await sender.send('q', envelope(body));
    proxy.hold();
    const sends = numbers(20, 5).map((body) => sender.send('q', envelope(body)));
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    const back = next(sender, 'connected');
    proxy.end();
    await back;
    await Promise.all(sends);
    await proxy.release();
    await sender.send('q', envelope('25'));
    await inbox.until(26);
    await drained(server);
    expect(inbox.items.map((d) => text(d.envelope))).toEqual(numbers(26));
  });

  it('gives again, marked, what was on its way to a reader whose connection ended', async () => {
    const server = await redis();
    const proxy = await holdingProxy(server.port);
    const [sender, receiver] = [await open(server.url), await open(proxy.url)];
    const inbox = await reading(receiver, 'q', { prefetch: 100 });
    await direct(server);
    for (const body of numbers(5)) await sender.send('q', envelope(body));
    await inbox.until(5);
    const client = server.client();
    // Only the reader: what waits in XREADGROUP.
    const [, id] = /id=(\d+) [^\n]* cmd=xreadgroup /.exec(String(await client.client('LIST'))) as unknown as [string, string];
    const sends = numbers(20, 5).map((body) => sender.send('q', envelope(body)));
    await client.client('KILL', 'ID', id);
    await Promise.all(sends);
    await drained(server);
    const seen = inbox.items.map((d) => Number(text(d.envelope)));
    expect(new Set(seen).size).toBe(25);
    const fresh = inbox.items.filter((d) => !d.redelivered).map((d) => Number(text(d.envelope)));
    expect(new Set(fresh).size).toBe(fresh.length);
    expect(fresh).toEqual(fresh.toSorted((a, b) => a - b));
  });

  it('has given again, marked, what somebody took who is not known', async () => {
    const server = await redis();
    const [sender, receiver] = [await open(server.url), await open(server.url)];
    await sender.send('q', envelope('taken'));
    const client = server.client();
    const held = await reading(receiver, 'q', { prefetch: 2 }, false);
    await held.until(1);
    await direct(server);
    // As one does that was taken for dead and comes to life.
    const taking = client.xreadgroup('GROUP', 'g', 'client-x.1', 'COUNT', 5, 'BLOCK', 5000, 'STREAMS', `${PREFIX}q:q`, '>');
    await until(async () => (String(await server.client().client('LIST')).match(/ cmd=xreadgroup /g) ?? []).length === 2);
    for (const body of numbers(8)) await sender.send('q', envelope(body));
    const [[, its]] = (await taking) as [[stream: string, entries: unknown[]]];
    await until(() => {
      for (const delivery of held.items) delivery.ack();
      return held.items.length === 9;
    });
    expect(held.items.map((d) => text(d.envelope)).toSorted()).toEqual([...numbers(8), 'taken']);
    expect(held.items.filter((d) => d.redelivered)).toHaveLength(its.length);
    await drained(server);
  });

  it('comes again to its consumer what that gives back, and never more than it may have in hand', async () => {
    const server = await redis();
    const [sender, receiver] = [await open(server.url), await open(server.url)];
    let [most, hands, refused] = [0, 0, 0];
    const done: string[] = [];
    await receiver.consume('q', { prefetch: 3 }, (delivery) => {
      most = Math.max(most, ++hands);
      setImmediate(() => {
        hands--;
        if (!delivery.redelivered && refused < 20) {
          refused++;
          delivery.nack();
        } else {
          done.push(text(delivery.envelope));
          delivery.ack();
        }
      });
    });
    await direct(server);
    await Promise.all(numbers(60).map((body) => sender.send('q', envelope(body))));
    await until(() => done.length === 60);
    expect(done.toSorted((a, b) => Number(a) - Number(b))).toEqual(numbers(60));
    expect([refused, most]).toEqual([20, 3]);
    await drained(server);
  });

  it('holds no more than its bound, although senders add by themselves', async () => {
    const server = await redis();
    const options = { maxQueueFrames: 300 };
    const [receiver, ...senders] = [await open(server.url), await open(server.url, options), await open(server.url, options)];
    const inbox = await reading(receiver, 'q', { prefetch: 10 }, false);
    await direct(server);
    let taken = 0;
    const sends = senders.flatMap((sender) => numbers(500).map((body) => sender.send('q', envelope(body)).then(() => taken++)));
    // Ready ones, and those in hand: looked at all the time.
    let longest = 0;
    const look = async (): Promise<void> => void (longest = Math.max(longest, await server.client().xlen(`${PREFIX}q:q`)));
    await until(async () => {
      await look();
      return taken >= 300;
    });
    for (let turn = 0; turn < 200; turn++) await look();
    expect(taken).toBeLessThanOrEqual(310);
    await until(async () => {
      await look();
      for (const delivery of inbox.items) delivery.ack();
      return inbox.items.length === 1000;
    });
    expect(longest).toBeLessThanOrEqual(310);
    await Promise.all(sends);
    for (const delivery of inbox.items) delivery.ack();
    await drained(server);
  });

  it('is served by the script where the user may not end connections', async () => {
    const server = await redis();
    await server.client().call('ACL', 'SETUSER', 'plain', 'on', '>word', '~*', '&*', '+@all', '-client|kill');
    const url = `redis://plain:word@127.0.0.1:${server.port}`;
    const [sender, receiver] = [await open(url), await open(url)];
    const inbox = await reading(receiver, 'q');
    for (const body of numbers(40)) await sender.send('q', envelope(body));
    await inbox.until(40);
    expect(inbox.items.map((d) => text(d.envelope))).toEqual(numbers(40));
    expect([await calls(server, 'xreadgroup'), await server.client().hget(`${PREFIX}m:q`, 'd')]).toEqual([0, null]);
    // Once, to see whether it may.
    expect(await calls(server, 'exec')).toBeLessThan(5);
  });

  it('is read again when it was deleted', async () => {
    const server = await redis();
    const [sender, receiver] = [await open(server.url), await open(server.url)];
    const inbox = await reading(receiver, 'q');
    await direct(server);
    await sender.send('q', envelope('before'));
    await inbox.until(1);
    await sender.deleteQueue('q');
    for (const body of numbers(3)) await sender.send('q', envelope(body));
    await inbox.until(4);
    await direct(server);
    await sender.send('q', envelope('after'));
    expect((await inbox.until(5)).map((d) => text(d.envelope))).toEqual(['before', ...numbers(3), 'after']);
  });
});
