import type { Redis } from 'ioredis';
import { mkdirSync, rmdirSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, expect, it, vi } from 'vitest';
import { newKeyLine, parseKeyRing, secureTransport } from '../../src/security/index.ts';
import type { Delivery, Transport } from '../../src/transports/contract.ts';
import { connectTransport, type AnyTransportOptions } from '../../src/transports/index.ts';
import { Inbox, envelope, reading, text } from '../conformance/transport.ts';
import { faultProxy, type FaultProxy } from '../support/fault-proxy.ts';
import { startRedis, type RedisServer, type RedisServerOptions } from '../support/redis.ts';
import { describeWith } from '../support/requires.ts';
import { next } from './tcp-bed.ts';

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

async function redis(options: RedisServerOptions = {}): Promise<RedisServer> {
  const server = await startRedis(options);
  closers.push(() => server.stop());
  return server;
}

async function open(url: string, options: AnyTransportOptions = {}): Promise<Transport> {
  const transport = await connectTransport(url, { maxBackoffMs: 50, ...options });
  closers.push(() => transport.close());
  return transport;
}

async function proxyTo(server: RedisServer): Promise<FaultProxy & { readonly url: string }> {
  const proxy = await faultProxy(server.port);
  closers.push(() => proxy.close());
  return Object.assign(proxy, { url: `redis://127.0.0.1:${proxy.port}` });
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 20));
}

const numbers = (count: number): string[] => Array.from({ length: count }, (_, i) => String(i));

describeWith(['redis'], 'the Redis transport', () => {
  it('carries signed frames of any size', async () => {
    const server = await redis();
    const ring = parseKeyRing(newKeyLine('one'), 'the test');
    const [sender, receiver] = [secureTransport(await open(server.url), ring), secureTransport(await open(server.url), ring)];
    const inbox = await reading(receiver, 'q');
    const bodies = [10, 300_000, 0, 262_144].map((size) => new Uint8Array(size).fill(size % 251));
    for (const body of bodies) await sender.send('q', envelope(body));
    expect((await inbox.until(bodies.length)).map(({ envelope: { body } }) => Buffer.from(body))).toEqual(bodies.map((body) => Buffer.from(body)));
  });

  it('leaves no key behind when everyone has closed and queues were read or deleted', async () => {
    const server = await redis();
    const [a, b] = [await connectTransport(server.url), await connectTransport(server.url)];
    const inbox = await reading(b, 'read');
    for (const body of ['small', new Uint8Array(600_000)]) await a.send('read', envelope(body));
    await inbox.until(2);
    await a.send('deleted', envelope(new Uint8Array(600_000)));
    await a.deleteQueue('deleted');
    await Promise.all([a.close(), b.close()]);
    expect(await server.client().keys('*')).toEqual([]);
  });

  it('keeps nothing of frames that are done: two thousand leave as little as ten', async () => {
    const server = await redis();
    const [sender, receiver] = [await open(server.url), await open(server.url)];
    const inbox = await reading(receiver, 'q', { prefetch: 64 });
    const client = server.client();
    const measure = async (): Promise<unknown> => {
      await until(async () => (await client.xlen('spark-proxy:default:q:q')) === 0);
      const pending = (await client.xpending('spark-proxy:default:q:q', 'g')) as unknown[];
      return { keys: (await client.keys('*')).sort(), pending: pending[0], counts: await client.hget('spark-proxy:default:m:q', 'n') };
    };
    for (const body of numbers(10)) await sender.send('q', envelope(body));
    await inbox.until(10);
    const few = await measure();
    await Promise.all(numbers(2000).map((body) => sender.send('q', envelope(body))));
    await inbox.until(2010);
    expect(await measure()).toEqual(few);
  });

  it('waits for no acknowledgement of TCP: Nagle is off', async () => {
    const server = await redis();
    const set = vi.spyOn(Socket.prototype, 'setNoDelay');
    await open(server.url);
    expect(set.mock.calls.filter(([on]) => on !== false)).toHaveLength(1);
    set.mockRestore();
  });

  it('gives every key a time to live, so that what a killed process leaves goes by itself', async () => {
    const server = await redis();
    const a = await open(server.url);
    await reading(a, 'in-hand', {}, false);
    await a.send('in-hand', envelope('x'));
    await a.send('waiting', envelope(new Uint8Array(600_000)));
    const client = server.client();
    const keys = await client.keys('*');
    expect(keys.length).toBeGreaterThan(4);
    expect(await Promise.all(keys.map(async (key) => [key, (await client.pttl(key)) > 0]))).toEqual(keys.map((key) => [key, true]));
  });

  it('takes leave also when its connection is lost: what it acknowledged is done, what it had in hand goes to others, nothing is left', async () => {
    const server = await redis();
    const proxy = await proxyTo(server);
    const sender = await open(server.url);
    // By time alone the others would get nothing; its way back takes longer than the test.
    const leaving = await open(proxy.url, { consumerTtlMs: 600_000, maxBackoffMs: 600_000, random: () => 1 });
    const held = await reading(leaving, 'q', {}, false);
    for (const body of ['done', 'in hand']) await sender.send('q', envelope(body));
    const [done] = await held.until(2);
    const lost = next(leaving, 'disconnected');
    proxy.cut();
    await lost;
    done?.ack();
    await leaving.close();
    const staying = await open(server.url);
    const inbox = await reading(staying, 'q');
    const [delivery] = await inbox.until(1);
    expect({ body: text(delivery!.envelope), redelivered: delivery!.redelivered }).toEqual({ body: 'in hand', redelivered: true });
    await until(async () => (await server.client().xlen('spark-proxy:default:q:q')) === 0);
    await Promise.all([sender.close(), staying.close()]);
    expect(inbox.items).toHaveLength(1);
    expect(await server.client().keys('*')).toEqual([]);
  });

  it('gives back also what it refuses before it knows that it is connected again', async () => {
    const server = await redis();
    const proxy = await proxyTo(server);
    const [sender, receiver] = [await open(server.url), await open(proxy.url)];
    const seen: boolean[] = [];
    await receiver.consume('q', { prefetch: 1 }, (delivery) => {
      seen.push(delivery.redelivered);
      if (seen.length === 1) delivery.nack();
      else delivery.ack();
    });
    proxy.refuse(true);
    const lost = next(receiver, 'disconnected');
    proxy.cut();
    await lost;
    await sender.send('q', envelope('x'));
    // It is among the first that comes by the new connection.
    proxy.refuse(false);
    await until(() => seen.length === 2);
    await until(async () => (await server.client().xlen('spark-proxy:default:q:q')) === 0);
  });

  it('leaves to another what was given to it while the first was taken for dead', async () => {
    const server = await redis();
    const proxy = await proxyTo(server);
    const [sender, away] = [await open(server.url), await open(proxy.url, { maxBackoffMs: 1, consumerTtlMs: 200, heartbeatMs: 50 })];
    const first = await reading(away, 'q', {}, false);
    for (const body of ['a', 'b']) await sender.send('q', envelope(body));
    const [a, b] = await first.until(2);
    const present = await open(server.url, { consumerTtlMs: 200, heartbeatMs: 50 });
    const second = await reading(present, 'q', { prefetch: 1 }, false);
    proxy.refuse(true);
    proxy.cut();
    await second.until(1);
    const back = next(away, 'connected');
    proxy.refuse(false);
    await back;
    // The one is in the hands of another now, the other was kept for it.
    const client = server.client();
    a?.ack();
    b?.ack();
    await until(async () => (await client.xlen('spark-proxy:default:q:q')) === 1);
    await present.close();
    expect(text((await first.until(3))[2]!.envelope)).toBe('a');
    first.items[2]!.ack();
    await until(async () => (await client.xlen('spark-proxy:default:q:q')) === 0);
  });

  it('hands on nothing once it is being closed', async () => {
    const server = await redis();
    const [sender, closing] = [await open(server.url), await open(server.url)];
    const inbox = await reading(closing, 'q', {}, false);
    const closed = closing.close();
    await sender.send('q', envelope('late'));
    await closed;
    expect(inbox.items).toEqual([]);
    const other = await reading(sender, 'q');
    expect(text((await other.until(1))[0]!.envelope)).toBe('late');
  });

  it('keeps clusters apart', async () => {
    const server = await redis();
    const [a, b] = [await open(`${server.url}?cluster=a`), await open(`${server.url}?cluster=b`)];
    const [inA, inB] = [await reading(a, 'q'), await reading(b, 'q')];
    await a.send('q', envelope('a'));
    await b.send('q', envelope('b'));
    expect([text((await inA.until(1))[0]!.envelope), text((await inB.until(1))[0]!.envelope)]).toEqual(['a', 'b']);
  });

  it('loses nothing and repeats nothing over a kill and restart with an append-only file', async () => {
    const server = await redis({ appendOnly: true });
    const [sender, receiver] = [await open(server.url), await open(server.url)];
    const inbox = await reading(receiver, 'q', { prefetch: 4 });
    const sends: Promise<void>[] = [];
    for (const body of numbers(300)) {
      sends.push(sender.send('q', envelope(body)));
      if (body === '100' || body === '200') {
        await inbox.until(Number(body) / 2);
        const back = [next(sender, 'connected'), next(receiver, 'connected')];
        await server.restart();
        const began = performance.now();
        await Promise.all(back);
        expect(performance.now() - began).toBeLessThan(5000);
      }
    }
    await Promise.all(sends);
    await inbox.until(300);
    expect(inbox.items.map((d) => text(d.envelope))).toEqual(numbers(300));
  }, 60_000);

  it('tells that everything is lost after FLUSHALL, and goes on', async () => {
    const server = await redis();
    const [sender, receiver] = [await open(server.url), await open(server.url)];
    const inbox = await reading(receiver, 'q', { prefetch: 2 }, false);
    for (const body of numbers(6)) await sender.send('q', envelope(body));
    await inbox.until(2);
    const told = [sender, receiver].map(
      (side) =>
        new Promise<void>((resolve) =>
          side.onConnection((_, reason) => (reason as { code?: string } | undefined)?.code === 'SP_TRANSPORT_DATA_LOST' && resolve()),
        ),
    );
    await server.client().flushall();
    await Promise.all(told);
    for (const delivery of inbox.items) delivery.ack();
    // Driven again by whoever sent them.
    for (const body of ['a', 'b', 'c']) await sender.send('q', envelope(body));
    await until(() => {
      for (const delivery of inbox.items) delivery.ack();
      return inbox.items.length >= 5;
    });
    expect(inbox.items.slice(2).map((d) => text(d.envelope))).toEqual(['a', 'b', 'c']);
  });

  it('says what is wrong with a password, at once and without showing it', async () => {
    const server = await redis({ password: 'secret-word' });
    const began = performance.now();
    for (const url of [server.url.replace('secret-word', 'wrong-word'), `redis://127.0.0.1:${server.port}`]) {
      const error = await connectTransport(url).catch((e: unknown) => e as Error);
      expect(error).toMatchObject({ code: 'SP_TRANSPORT_AUTHENTICATION' });
      expect(String((error as Error).stack)).not.toMatch(/wrong-word|secret-word/);
    }
    expect(performance.now() - began).toBeLessThan(9000);
    const good = await open(`redis://127.0.0.1:${server.port}`, { password: 'secret-word' });
    expect((await open(server.url)).url).toBe(`redis://127.0.0.1:${server.port}`);
    await good.send('q', envelope('in'));
  });

  it('fails within the connect time-out when nobody listens, or something else does', async () => {
    const server = await redis();
    await server.kill();
    await expect(connectTransport(server.url, { connectTimeoutMs: 500 })).rejects.toMatchObject({ code: 'SP_TRANSPORT_CONNECT_FAILED' });
    const hub = await connectTransport('tcp://127.0.0.1:0', { role: 'hub' });
    closers.push(() => hub.close());
    await expect(connectTransport(hub.url.replace('tcp:', 'redis:'), { connectTimeoutMs: 1000 })).rejects.toMatchObject({
      code: 'SP_TRANSPORT_CONNECT_FAILED',
    });
  });

  it('fails sends with a code when Redis is out of memory, keeps what it took, and takes more when there is room', async () => {
    const server = await redis({ args: ['--maxmemory', '4mb', '--maxmemory-policy', 'noeviction'] });
    const sender = await open(server.url, { connectTimeoutMs: 1000 });
    let taken = 0;
    const failed = await (async () => {
      for (;;) {
        try {
          await sender.send('q', envelope(new Uint8Array(100_000)));
          taken++;
        } catch (error) {
          return error;
        }
      }
    })();
    expect(failed).toMatchObject({ code: 'SP_TRANSPORT_BROKER_FULL' });
    expect(taken).toBeGreaterThan(5);
    const receiver = server.client();
    await receiver.config('SET', 'maxmemory', '0');
    await sender.send('q', envelope('again'));
    const inbox = await reading(await open(server.url), 'q', { prefetch: 100 });
    await inbox.until(taken + 1);
    expect(text(inbox.items[taken]!.envelope)).toBe('again');
  });

  it('fails sends with a code when Redis cannot write to its disk, keeps what it took, and takes more when it can', async () => {
    const server = await redis({ args: ['--save', '3600 100000'] });
    const client = server.client();
    const [, directory] = (await client.config('GET', 'dir')) as [string, string];
    const saved = async (status: 'ok' | 'err'): Promise<void> => {
      await client.bgsave();
      await until(async () => /rdb_bgsave_in_progress:0/.test(await client.info('persistence')));
      expect(await client.info('persistence')).toContain(`rdb_last_bgsave_status:${status}`);
    };
    const sender = await open(server.url, { connectTimeoutMs: 1000 });
    await sender.send('q', envelope('kept'));
    // Its file cannot be written here, as on a disk that is full.
    mkdirSync(join(directory, 'dump.rdb'));
    await saved('err');
    await expect(sender.send('q', envelope('refused'))).rejects.toMatchObject({
      code: 'SP_TRANSPORT_BROKER_FULL',
      message: expect.stringContaining('MISCONF'),
    });
    rmdirSync(join(directory, 'dump.rdb'));
    await saved('ok');
    await sender.send('q', envelope('again'));
    const inbox = await reading(await open(server.url), 'q');
    await inbox.until(2);
    expect(inbox.items.map((d) => text(d.envelope))).toEqual(['kept', 'again']);
  });

  it('acknowledges also while Redis is out of memory', async () => {
    const server = await redis();
    const [sender, receiver] = [await open(server.url), await open(server.url)];
    const inbox = await reading(receiver, 'q', { prefetch: 1 });
    await sender.send('q', envelope('first'));
    await inbox.until(1);
    const held = new Inbox<Delivery>();
    await receiver.consume('r', { prefetch: 2 }, held.push);
    for (const body of ['1', '2', '3']) await sender.send('r', envelope(body));
    await held.until(2);
    await server.client().config('SET', 'maxmemory', '1');
    held.items[0]!.ack();
    await held.until(3);
    await server.client().config('SET', 'maxmemory', '0');
  });

  it('takes a frame once when the answer to its push was lost', async () => {
    const server = await redis();
    const proxy = await proxyTo(server);
    const sender = await open(proxy.url, { heartbeatMs: 100 });
    const receiver = await open(server.url);
    const inbox = await reading(receiver, 'q');
    for (let round = 0; round < 10; round++) {
      const sends = numbers(20).map((i) => sender.send('q', envelope(`${round}:${i}`)));
      // Somewhere in the middle of what is written now.
      proxy.cutAfter(200 + round * 173);
      await Promise.all(sends);
    }
    await inbox.until(200);
    const seen = inbox.items.map((d) => text(d.envelope));
    expect(seen).toEqual(Array.from({ length: 10 }, (_, round) => numbers(20).map((i) => `${round}:${i}`)).flat());
  }, 60_000);

  it('keeps what is in hand its own over a cut connection, and acknowledges it afterwards', async () => {
    const server = await redis();
    const proxy = await proxyTo(server);
    const receiver = await open(proxy.url);
    const sender = await open(server.url);
    const inbox = await reading(receiver, 'q', { prefetch: 3 }, false);
    for (const body of numbers(5)) await sender.send('q', envelope(body));
    await inbox.until(3);
    const back = next(receiver, 'connected');
    proxy.cut();
    await back;
    for (const delivery of inbox.items.slice()) delivery.ack();
    await inbox.until(5);
    for (const delivery of inbox.items) delivery.ack();
    expect(inbox.items.map((d) => text(d.envelope))).toEqual(numbers(5));
    const client = server.client();
    await until(async () => (await client.xlen('spark-proxy:default:q:q')) === 0);
  });

  it('notices a half-open connection, and gives up what waits after the disconnect time-out', async () => {
    const server = await redis();
    const proxy = await proxyTo(server);
    const sender = await open(proxy.url, { heartbeatMs: 50, disconnectTimeoutMs: 300, connectTimeoutMs: 300 });
    const gone = next(sender, 'disconnected');
    proxy.blackhole(true);
    const send = sender.send('q', envelope('nowhere')).catch((error: unknown) => error);
    expect(await gone).toMatchObject({ code: 'SP_TRANSPORT_LOST' });
    expect(await send).toMatchObject({ code: 'SP_TRANSPORT_DISCONNECTED' });
    proxy.blackhole(false);
    proxy.cut();
    await next(sender, 'connected');
    await sender.send('q', envelope('here'));
  });

  it('does not bury the others when Redis itself was away for longer than they live', async () => {
    const server = await redis();
    const [one, two] = [
      await open(server.url, { consumerTtlMs: 300, heartbeatMs: 50, missedBeats: 100 }),
      await open(server.url, { consumerTtlMs: 300, heartbeatMs: 50, missedBeats: 100 }),
    ];
    const inbox = await reading(one, 'q', {}, false);
    const other = await reading(two, 'q', { prefetch: 1 }, false);
    for (const body of ['a', 'b']) await two.send('q', envelope(body));
    await inbox.until(1);
    await other.until(1);
    await server.pause();
    await new Promise((resolve) => setTimeout(resolve, 600));
    await server.resume();
    for (const delivery of [...inbox.items, ...other.items]) delivery.ack();
    const client: Redis = server.client();
    await until(async () => (await client.xlen('spark-proxy:default:q:q')) === 0);
  });

  it('drops what is no frame, and goes on', async () => {
    const server = await redis();
    const transport = await open(server.url);
    const inbox = await reading(transport, 'q');
    const client = server.client();
    const prefix = 'spark-proxy:default:';
    await client.xadd(`${prefix}q:q`, '*', 'e', 'garbage');
    await client.hincrby(`${prefix}m:q`, 'n', 1);
    await client.publish(`${prefix}in:nobody`, 'x');
    await client.publish(`${prefix}t:topic`, 'garbage');
    await transport.send('q', envelope('fine'));
    expect(text((await inbox.until(1))[0]!.envelope)).toBe('fine');
  });

  it('keeps the order of frames of all sizes, also of those that waited for a consumer', async () => {
    const server = await redis();
    const [sender, receiver] = [await open(server.url), await open(server.url)];
    const sizes = [1, 100, 2100, 30_000, 2, 5000, 2048, 2049, 300_000, 7, 8, 9000, 10];
    const sent = Array.from({ length: 10 * sizes.length }, (_, i) => {
      const body = new Uint8Array(sizes[i % sizes.length]!);
      body[0] = i;
      return envelope(body);
    });
    const send = (from: number, to: number): Promise<unknown> => Promise.all(sent.slice(from, to).map((each) => sender.send('q', each)));
    await send(0, 40);
    const inbox = await reading(receiver, 'q', { prefetch: 7 });
    await send(40, 80);
    // A second consumer takes its share.
    const other = await reading(await open(server.url), 'q', { prefetch: 5 });
    await send(80, sent.length);
    const all = inbox.items;
    await until(() => all.length + other.items.length === sent.length);
    const seen = [...all, ...other.items].map(({ envelope: { body } }) => [body[0], body.length]);
    expect(seen.toSorted(([a], [b]) => a! - b!)).toEqual(sent.map(({ body }) => [body[0], body.length]));
    for (const { items } of [inbox, other]) {
      const order = items.map(({ envelope: { body } }) => body[0]!);
      expect(order).toEqual(order.toSorted((a, b) => a - b));
    }
  });

  it('gives to another consumer what was published for one whose connection is gone', async () => {
    const server = await redis();
    const proxy = await proxyTo(server);
    const away = await open(proxy.url, { heartbeatMs: 60_000 });
    const sender = await open(server.url);
    const first = await reading(away, 'q', { prefetch: 10 }, false);
    await sender.send('q', envelope('held'));
    await first.until(1);
    const gone = next(away, 'disconnected');
    proxy.refuse(true);
    proxy.cut();
    await gone;
    const client = server.client();
    await until(async () => (await client.pubsub('CHANNELS', '*:in:*')).length === 1);
    const inbox = await reading(await open(server.url), 'q', { prefetch: 10 });
    const bodies = [...numbers(5), 'x'.repeat(5000)];
    for (const body of bodies) await sender.send('q', envelope(body));
    proxy.refuse(false);
    await until(() => new Set([...inbox.items, ...first.items].map((d) => text(d.envelope))).size === bodies.length + 1);
  });

  it('lets small frames pass while a large one travels', async () => {
    const server = await redis();
    const [sender, receiver] = [await open(server.url), await open(server.url)];
    const large = await reading(receiver, 'large');
    const small = await reading(receiver, 'small');
    let arrived = false;
    const sending = sender.send('large', envelope(new Uint8Array(40_000_000))).then(() => (arrived = true));
    for (const body of numbers(20)) await sender.send('small', envelope(body));
    await small.until(20);
    expect(arrived).toBe(false);
    await sending;
    expect((await large.until(1))[0]!.envelope.body.length).toBe(40_000_000);
  });
});
