import { connect as connectAmqp, type Channel, type ChannelModel } from 'amqplib';
import { Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest';
import { newKeyLine, parseKeyRing, secureTransport } from '../../src/security/index.ts';
import type { Transport } from '../../src/transports/contract.ts';
import { connectTransport, type AnyTransportOptions } from '../../src/transports/index.ts';
import { envelope, reading, text } from '../conformance/transport.ts';
import { faultProxy, type FaultProxy } from '../support/fault-proxy.ts';
import { startRabbitmq, type RabbitmqServer } from '../support/rabbitmq.ts';
import { describeWith } from '../support/requires.ts';
import { next } from './tcp-bed.ts';

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

const numbers = (count: number): string[] => Array.from({ length: count }, (_, i) => String(i));
const code = (error: unknown): unknown => (error as { code?: string } | undefined)?.code;

/** Resolves when the transport says that it is disconnected for a reason of this code. */
function told(transport: Transport, expected: string): Promise<void> {
  return new Promise((resolve) => {
    const off = transport.onConnection((_, reason) => {
      if (code(reason) !== expected) return;
      off();
      resolve();
    });
  });
}

describeWith(['rabbitmq'], 'the RabbitMQ transport', () => {
  let server: RabbitmqServer;
  let cluster = 0;
  beforeAll(async () => {
    server = await startRabbitmq();
  }, 120_000);
  afterAll(() => server.stop());

  /** A fresh cluster for a test: queues of one are not seen by another. */
  const fresh = (): string => `faults-${cluster++}`;

  async function open(name: string, options: AnyTransportOptions = {}, port = server.port): Promise<Transport> {
    const transport = await connectTransport(`amqp://guest:guest@127.0.0.1:${port}?cluster=${name}`, { maxBackoffMs: 100, ...options });
    closers.push(() => transport.close());
    return transport;
  }

  async function proxied(): Promise<FaultProxy> {
    const proxy = await faultProxy(server.port);
    closers.push(() => proxy.close());
    return proxy;
  }

  /** A bare client beside the transport. */
  async function bare(): Promise<ChannelModel> {
    const model = await connectAmqp(server.url);
    model.on('error', () => undefined);
    closers.push(() => model.close().catch(() => undefined));
    return model;
  }

  /** Frames that are ready, and in nobody's hands. */
  async function ready(admin: Channel, name: string): Promise<number> {
    return (await admin.checkQueue(`spark-proxy:${name}:q:q`)).messageCount;
  }

  it('carries signed frames of any size', async () => {
    const name = fresh();
    const ring = parseKeyRing(newKeyLine('one'), 'the test');
    const [sender, receiver] = [secureTransport(await open(name), ring), secureTransport(await open(name), ring)];
    const inbox = await reading(receiver, 'q');
    const bodies = [10, 300_000, 0, 262_144].map((size) => new Uint8Array(size).fill(size % 251));
    for (const body of bodies) await sender.send('q', envelope(body));
    expect((await inbox.until(bodies.length)).map(({ envelope: { body } }) => Buffer.from(body))).toEqual(bodies.map((body) => Buffer.from(body)));
  });

  it('loses nothing and repeats nothing over a kill and restart, with quorum and with classic queues', async () => {
    const kinds = await Promise.all(
      (['quorum', 'classic'] as const).map(async (queueType) => {
        const name = fresh();
        const options = { queueType, disconnectTimeoutMs: 120_000 };
        const [sender, receiver] = [await open(name, options), await open(name, options)];
        const inbox = await reading(receiver, 'q', { prefetch: 8 });
        await sender.send('q', envelope('0'));
        await inbox.until(1);
        return { sender, receiver, inbox };
      }),
    );
    // RabbitMQ 3.10 writes the declaration of a queue some time after it has answered (and forgets its messages with it).
    await server.settle();
    const sends = kinds.flatMap(({ sender }) =>
      numbers(300)
        .slice(1)
        .map((body) => sender.send('q', envelope(body))),
    );
    await Promise.all(kinds.map(({ inbox }) => inbox.until(50)));
    const back = kinds.flatMap(({ sender, receiver }) => [next(sender, 'connected'), next(receiver, 'connected')]);
    await server.restart();
    const began = performance.now();
    await Promise.all(back);
    // A broker that answers is found within 5 s.
    expect(performance.now() - began).toBeLessThan(5000);
    await Promise.all(sends);
    for (const { inbox } of kinds) {
      await inbox.until(300);
      expect(inbox.items.map((each) => text(each.envelope))).toEqual(numbers(300));
    }
  }, 240_000);

  it('goes on when the broker closes the channel of a consumer, and does not hand out again what is in hand', async () => {
    // 30 minutes by default, looked at once a minute; a channel reads both when it is made.
    const limits = (timeout: number, tick: number): Promise<string> =>
      server.ctl('eval', `application:set_env(rabbit, consumer_timeout, ${timeout}), application:set_env(rabbit, channel_tick_interval, ${tick}).`);
    const name = fresh();
    const admin = await (await bare()).createChannel();
    try {
      await limits(500, 100);
      const options = { queueType: 'classic', random: () => 1 } as const;
      const [sender, receiver] = [await open(name, options), await open(name, options)];
      const inbox = await reading(receiver, 'q', { prefetch: 2 }, false);
      for (const body of ['long', 'other', 'third']) await sender.send('q', envelope(body));
      await inbox.until(2);
      // Its channel was closed: what it held is back, until it has opened another.
      while ((await ready(admin, name)) < 3);
      await receiver.send('q', envelope('fourth'));
      for (const delivery of inbox.items) delivery.ack();
      for (let count = 3; count <= 4; count++) (await inbox.until(count)).at(-1)!.ack();
      expect(inbox.items.map((each) => text(each.envelope))).toEqual(['long', 'other', 'third', 'fourth']);
      // Also what was acknowledged while there was no channel is gone in the end.
      while ((await ready(admin, name)) > 0);
    } finally {
      await limits(1_800_000, 60_000);
    }
  }, 120_000);

  it('reads on when its queue was deleted under it and the broker cancelled the consumer', async () => {
    const name = fresh();
    const [sender, receiver] = [await open(name), await open(name)];
    const inbox = await reading(receiver, 'q');
    await sender.send('q', envelope('before'));
    await inbox.until(1);
    const model = await bare();
    const admin = await model.createChannel();
    const readers = async (): Promise<number> => {
      const channel = await model.createChannel();
      // Asked for a queue that is not there, the broker closes it.
      channel.on('error', () => undefined);
      return channel.checkQueue(`spark-proxy:${name}:q:q`).then(
        (found) => found.consumerCount,
        () => 0,
      );
    };
    expect(await readers()).toBe(1);
    await admin.deleteQueue(`spark-proxy:${name}:q:q`);
    // A quorum queue that is declared again before the broker has told its readers gives them nothing (3.10).
    await vi.waitUntil(async () => (await readers()) === 1, { timeout: 30_000 });
    // The sender finds out by itself, too: the queue it published to is gone.
    for (const body of ['a', 'b', 'c']) await sender.send('q', envelope(body));
    await inbox.until(4);
    expect(inbox.items.map((each) => text(each.envelope))).toEqual(['before', 'a', 'b', 'c']);
  }, 60_000);

  it('reads on when another deletes its queue and a third declares it again before the broker has told the reader', async () => {
    const name = fresh();
    const [one, two, receiver] = [await open(name), await open(name), await open(name)];
    const inbox = await reading(receiver, 'q');
    for (let i = 0; i < 10; i++) {
      await one.deleteQueue('q');
      await two.send('q', envelope(String(i)));
      await inbox.until(i + 1);
    }
    expect(inbox.items.map((each) => text(each.envelope))).toEqual(numbers(10));
  }, 60_000);

  it.each([
    ['memory', ['set_vm_memory_high_watermark', 'absolute', '1'], ['set_vm_memory_high_watermark', '0.8']],
    ['disk', ['set_disk_free_limit', '999999GB'], ['set_disk_free_limit', '10MB']],
  ])(
    'fails sends with a code when the broker has no %s, keeps what it took, still acknowledges, and sends on when there is room',
    async (_, alarm, relief) => {
      const name = fresh();
      const sender = await open(name, { connectTimeoutMs: 3000 });
      const receiver = await open(name);
      for (const body of ['1', '2', '3']) await sender.send('q', envelope(body));
      await server.ctl(...alarm);
      const full = told(sender, 'SP_TRANSPORT_BROKER_FULL');
      const outcome = sender.send('q', envelope('too much')).catch((error: unknown) => error);
      await full;
      expect(code(await outcome)).toBe('SP_TRANSPORT_BROKER_FULL');
      const inbox = await reading(receiver, 'q', { prefetch: 1 });
      expect((await inbox.until(3)).map((each) => text(each.envelope))).toEqual(['1', '2', '3']);
      const relieved = next(sender, 'connected');
      await server.ctl(...relief);
      await relieved;
      await sender.send('q', envelope('again'));
      await inbox.until(4);
      // What failed may have been taken all the same: its sender cannot know.
      expect(['again', 'too much']).toContain(text(inbox.items[3]!.envelope));
    },
    240_000,
  );

  it('takes a frame once when the confirm of its publication was lost', async () => {
    const name = fresh();
    const proxy = await proxied();
    const sender = await open(name, { queueType: 'classic' }, proxy.port);
    const receiver = await open(name, { queueType: 'classic' });
    const inbox = await reading(receiver, 'q');
    const expected: string[] = [];
    for (let round = 0; round < 8; round++) {
      const bodies = numbers(20).map((i) => `${round}:${i}`);
      expected.push(...bodies);
      const sends = bodies.map((body) => sender.send('q', envelope(body)));
      // Somewhere in the middle of what is written now.
      proxy.cutAfter(300 + round * 531);
      await Promise.all(sends);
    }
    await inbox.until(expected.length);
    expect(inbox.items.map((each) => text(each.envelope))).toEqual(expected);
  }, 120_000);

  it('notices a half-open connection, and gives up what waits after the disconnect time-out', async () => {
    const name = fresh();
    const proxy = await proxied();
    const sender = await open(name, { heartbeatMs: 250, disconnectTimeoutMs: 300, connectTimeoutMs: 1000 }, proxy.port);
    const gone = next(sender, 'disconnected');
    proxy.blackhole(true);
    const send = sender.send('q', envelope('nowhere')).catch((error: unknown) => error);
    expect(code(await gone)).toBe('SP_TRANSPORT_LOST');
    expect(code(await send)).toBe('SP_TRANSPORT_DISCONNECTED');
    const back = next(sender, 'connected');
    proxy.blackhole(false);
    proxy.cut();
    await back;
    await sender.send('q', envelope('here'));
  }, 60_000);

  it('waits for no acknowledgement of TCP: Nagle is off on both connections', async () => {
    const set = vi.spyOn(Socket.prototype, 'setNoDelay');
    await open(fresh());
    expect(set.mock.calls.filter(([on]) => on === true)).toHaveLength(2);
    set.mockRestore();
  });

  it('says what is wrong with user, password, virtual host or address, within the connect time-out', async () => {
    const refused = { code: 'SP_TRANSPORT_AUTHENTICATION' };
    await expect(connectTransport(`amqp://guest:wrong@127.0.0.1:${server.port}`)).rejects.toMatchObject(refused);
    await expect(connectTransport(`amqp://nobody:guest@127.0.0.1:${server.port}`)).rejects.toMatchObject(refused);
    await expect(connectTransport(`amqp://guest:guest@127.0.0.1:${server.port}/elsewhere`, { connectTimeoutMs: 3000 })).rejects.toMatchObject({
      code: 'SP_TRANSPORT_CONNECT_FAILED',
      message: expect.stringContaining('virtual host elsewhere'),
    });
    const proxy = await proxied();
    const url = `amqp://guest:guest@127.0.0.1:${proxy.port}`;
    proxy.refuse(true);
    await expect(connectTransport(url, { connectTimeoutMs: 500 })).rejects.toMatchObject({ code: 'SP_TRANSPORT_CONNECT_FAILED' });
    proxy.refuse(false);
    proxy.blackhole(true);
    await expect(connectTransport(url, { connectTimeoutMs: 500 })).rejects.toMatchObject({ code: 'SP_TRANSPORT_CONNECT_FAILED' });
  }, 60_000);

  it('leaves nothing of a queue in the broker when it was deleted, large bodies included', async () => {
    const name = fresh();
    const sender = await open(name);
    const inbox = await reading(await open(name), 'read');
    for (const body of ['small', new Uint8Array(600_000)]) await sender.send('read', envelope(body));
    await inbox.until(2);
    await sender.deleteQueue('read');
    for (let rows = 'x'; rows.includes(`spark-proxy:${name}:`);) rows = await server.ctl('list_queues', 'name');
  }, 60_000);
});
