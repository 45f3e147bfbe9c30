import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/core/ids.ts';
import { BinaryWriter } from '../../src/protocol/codec.ts';
import { connectTransport, type AnyTransportOptions } from '../../src/transports/index.ts';
import type { Delivery, Transport } from '../../src/transports/contract.ts';
import { OP } from '../../src/transports/tcp/wire.ts';
import { envelope, Inbox, reading, text } from '../conformance/transport.ts';
import { FakeClock } from '../registry/fake-clock.ts';
import { faultProxy, type FaultProxy } from './fault-proxy.ts';
import { rawClient, type RawClient } from './raw-client.ts';

/** Backs off briefly: tests wait for events, not for time. */
const QUICK = { maxBackoffMs: 5 };

/** Resolves with the reason at the next change to that state. */
function next(transport: Transport, wanted: 'connected' | 'disconnected'): Promise<Error | undefined> {
  return new Promise((resolve) => {
    const off = transport.onConnection((state, reason) => {
      if (state !== wanted) return;
      off();
      resolve(reason);
    });
  });
}

describe('the tcp transport', () => {
  let closers: (() => Promise<void>)[];
  let hub: Transport;

  const openHub = async (options: AnyTransportOptions = {}): Promise<Transport> => {
    const made = await connectTransport('tcp://127.0.0.1:0', { role: 'hub', ...options });
    closers.push(() => made.close());
    return made;
  };
  const openClient = async (url: string, options: AnyTransportOptions = {}): Promise<Transport> => {
    const made = await connectTransport(url, { ...QUICK, ...options });
    closers.push(() => made.close());
    return made;
  };
  const openProxy = async (): Promise<FaultProxy & { url: string }> => {
    const proxy = await faultProxy(Number(new URL(hub.url).port));
    closers.push(() => proxy.close());
    return Object.assign(proxy, { url: `tcp://127.0.0.1:${proxy.port}` });
  };
  const openRaw = async (): Promise<RawClient> => {
    const raw = await rawClient(hub.url);
    closers.push(() => raw.close());
    return raw;
  };

  beforeEach(async () => {
    closers = [];
    hub = await openHub();
  });

  afterEach(async () => {
    for (const close of closers.toReversed()) await close();
  });

  afterAll(async () => {
    // Unlike process.getActiveResourcesInfo(), the report lists handles that do not keep the process alive, too. Closed ones
    // stay for some turns of the event loop; one that is not closed makes this hook time out.
    Object.assign(process.report, { excludeNetwork: true });
    const open = (): boolean => (process.report.getReport() as unknown as { libuv: { type: string }[] }).libuv.some((handle) => handle.type === 'tcp');
    while (open()) await turn();
  });

  describe('when connections fail', () => {
    it('connects again with its consumers and topics, and is given again what it had not acknowledged', async () => {
      const proxy = await openProxy();
      const client = await openClient(proxy.url);
      const topic = new Inbox<string>();
      await client.subscribe('topic', (frame) => topic.push(text(frame)));
      const inbox = await reading(client, 'work', { prefetch: 4 }, false);
      for (const body of ['a', 'b', 'c']) await hub.send('work', envelope(body));
      await inbox.until(3);
      const back = next(client, 'connected');
      proxy.cut();
      await back;
      const seen = await inbox.until(6);
      expect(seen.slice(3).map((d) => [text(d.envelope), d.redelivered])).toEqual([
        ['a', true],
        ['b', true],
        ['c', true],
      ]);
      await client.send('marker', envelope('the subscription is set up before this'));
      await hub.broadcast('topic', envelope('again'));
      expect(await topic.until(1)).toEqual(['again']);
    });

    it('ignores acknowledgements of deliveries of an earlier connection', async () => {
      const proxy = await openProxy();
      const client = await openClient(proxy.url);
      const inbox = await reading(client, 'work', { prefetch: 1 }, false);
      for (const body of ['a', 'b']) await hub.send('work', envelope(body));
      const [old] = await inbox.until(1);
      const back = next(client, 'connected');
      proxy.cut();
      await back;
      const [, again] = await inbox.until(2);
      old!.ack();
      old!.nack({ requeue: false });
      await client.send('other', envelope('x'));
      expect(inbox.items.length).toBe(2);
      again!.ack();
      expect((await inbox.until(3)).map((d) => text(d.envelope))).toEqual(['a', 'a', 'b']);
    });

    it('puts each frame in its queue exactly once and in order, however often the connection is cut', async () => {
      const proxy = await openProxy();
      const client = await openClient(proxy.url);
      const inbox = await reading(hub, 'work');
      const random = seededRandom(7);
      const body = new Uint8Array(700);
      let cuts = 0;
      client.onConnection((state) => {
        if (state === 'connected' && cuts++ < 25) proxy.cutAfter(Math.floor(random() * 60_000));
      });
      proxy.cutAfter(10_000);
      const count = 1500;
      await Promise.all(Array.from({ length: count }, (_, i) => client.send('work', { ...envelope(body), id: String(i) })));
      expect(cuts).toBeGreaterThan(10);
      expect((await inbox.until(count)).map((d) => Number(d.envelope.id))).toEqual(Array.from({ length: count }, (_, i) => i));
    });

    it('does a send once that was sent again on a new connection of the session, and confirms it again', async () => {
      const inbox = await reading(hub, 'work');
      for (let attempt = 0; attempt < 2; attempt++) {
        const raw = await openRaw();
        raw.hello('session-1');
        await raw.frames.until(1);
        raw.send(1, 'work', envelope('one'));
        const [, confirm] = await raw.frames.until(2);
        expect(confirm!.op).toBe(OP.CONFIRM);
        await raw.close();
      }
      await hub.send('work', envelope('end'));
      expect((await inbox.until(2)).map((d) => text(d.envelope))).toEqual(['one', 'end']);
    });

    it('confirms a send that waited for room on the connection its session has by then', async () => {
      const narrow = (hub = await openHub({ maxQueueFrames: 1 }));
      await narrow.send('work', envelope('first'));
      const before = await openRaw();
      before.hello('session-2');
      before.send(1, 'work', envelope('waits'));
      before.write(OP.SUBSCRIBE, (out) => {
        out.varint(1);
        out.varint(1);
        out.string('t');
      });
      await before.frames.until(2);
      await before.close();
      const after = await openRaw();
      after.hello('session-2');
      after.send(1, 'work', envelope('waits'));
      await after.frames.until(1);
      const inbox = await reading(narrow, 'work');
      expect((await inbox.until(2)).map((d) => text(d.envelope))).toEqual(['first', 'waits']);
      const [, confirm] = await after.frames.until(2);
      expect(confirm!.op).toBe(OP.CONFIRM);
    });

    it('takes the newer of two connections of one session for the living one', async () => {
      const first = await openRaw();
      first.hello('session-3');
      await first.frames.until(1);
      const second = await openRaw();
      second.hello('session-3');
      await second.frames.until(1);
      await first.closed;
    });

    it('notices a half-open connection on both sides and gives the work to another consumer', async () => {
      hub = await openHub({ heartbeatMs: 20, missedBeats: 5 });
      const proxy = await openProxy();
      const client = await openClient(proxy.url, { heartbeatMs: 20, missedBeats: 5 });
      const inbox = await reading(client, 'work', {}, false);
      await hub.send('work', envelope('a'));
      await inbox.until(1);
      const lost = next(client, 'disconnected');
      proxy.blackhole(true);
      const other = await openClient(hub.url);
      const rescued = await reading(other, 'work');
      expect((await rescued.until(1))[0]!.redelivered).toBe(true);
      expect(await lost).toMatchObject({ code: 'SP_TRANSPORT_LOST' });
      proxy.blackhole(false);
      proxy.cut();
      await next(client, 'connected');
    });

    it('does not take its own blocked event loop for a dead peer, but notices silence beat by beat', async () => {
      const clock = new FakeClock();
      const client = await openClient(hub.url, { clock, heartbeatMs: 1000, missedBeats: 4 });
      const inbox = await reading(hub, 'work');
      clock.block(3_600_000);
      await client.send('work', envelope('still here'));
      await inbox.until(1);
      const lost = next(client, 'disconnected');
      clock.advance(5000);
      expect(await lost).toMatchObject({ code: 'SP_TRANSPORT_LOST' });
      await client.close();
      expect(clock.pending).toBe(0);
    });

    it('keeps an idle connection alive by beats alone', async () => {
      hub = await openHub({ heartbeatMs: 20, missedBeats: 5 });
      const proxy = await openProxy();
      const client = await openClient(proxy.url, { heartbeatMs: 20, missedBeats: 5 });
      const raw = await openRaw();
      raw.hello();
      // A client that never beats is lost after five beats: by then the others have lived through as many.
      await raw.closed;
      await client.send('work', envelope('x'));
      expect(proxy.accepted).toBe(1);
    });

    it('works through a slow network', async () => {
      const proxy = await openProxy();
      proxy.delay(3);
      const client = await openClient(proxy.url);
      const inbox = await reading(client, 'work', { prefetch: 2 });
      await Promise.all(Array.from({ length: 20 }, (_, i) => hub.send('work', envelope(String(i)))));
      expect((await inbox.until(20)).map((d) => Number(text(d.envelope)))).toEqual(Array.from({ length: 20 }, (_, i) => i));
    });

    it('fails sends when it was without a connection for too long, and works again when it is back', async () => {
      const proxy = await openProxy();
      const client = await openClient(proxy.url, { disconnectTimeoutMs: 30 });
      const inbox = await reading(hub, 'work');
      const lost = next(client, 'disconnected');
      proxy.refuse(true);
      proxy.cut();
      await lost;
      await expect(client.broadcast('topic', envelope('x'))).rejects.toMatchObject({ code: 'SP_TRANSPORT_DISCONNECTED' });
      await expect(client.send('work', envelope('x'))).rejects.toMatchObject({ code: 'SP_TRANSPORT_DISCONNECTED' });
      await expect(client.send('work', envelope('y'))).rejects.toMatchObject({ code: 'SP_TRANSPORT_DISCONNECTED' });
      await expect(client.consume('other', {}, () => undefined)).rejects.toMatchObject({ code: 'SP_TRANSPORT_DISCONNECTED' });
      const back = next(client, 'connected');
      proxy.refuse(false);
      await back;
      await client.send('work', envelope('z'));
      expect((await inbox.until(1)).map((d) => text(d.envelope))).toEqual(['z']);
    });

    it('sets up a consumer asked for while there was no connection', async () => {
      const proxy = await openProxy();
      const client = await openClient(proxy.url);
      const lost = next(client, 'disconnected');
      proxy.refuse(true);
      proxy.cut();
      await lost;
      const consuming = reading(client, 'work');
      const sending = client.send('answers', envelope('sent meanwhile'));
      proxy.refuse(false);
      const inbox = await consuming;
      await sending;
      await hub.send('work', envelope('a'));
      await inbox.until(1);
    });

    it('spreads its attempts to connect: each wait is a random part of a doubling ceiling', async () => {
      const waits: number[] = [];
      const clock = new FakeClock();
      const after = clock.after.bind(clock);
      clock.after = (ms, callback) => {
        waits.push(ms);
        return after(ms, callback);
      };
      const proxy = await openProxy();
      const client = await openClient(proxy.url, { clock, random: () => 0.5, maxBackoffMs: 300, disconnectTimeoutMs: 1e9 });
      waits.length = 0;
      proxy.refuse(true);
      proxy.cut();
      for (let i = 0; i < 6; i++) {
        await next(client, 'disconnected');
        clock.advance(1000);
      }
      expect(waits.filter((ms) => ms < 1000).slice(0, 6)).toEqual([25, 50, 100, 150, 150, 150]);
    });
  });

  describe('when peers misbehave', () => {
    it('closes a connection that sends garbage with a code, and that one only', async () => {
      const client = await openClient(hub.url);
      const inbox = await reading(client, 'work');
      const raw = await openRaw();
      raw.socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
      expect(await raw.errorCode()).toBe('SP_TRANSPORT_FRAME_TOO_LARGE');
      const other = await openRaw();
      other.write(99);
      expect(await other.errorCode()).toBe('SP_TRANSPORT_BAD_FRAME');
      const empty = await openRaw();
      empty.socket.write(Buffer.alloc(4));
      expect(await empty.errorCode()).toBe('SP_TRANSPORT_BAD_FRAME');
      await hub.send('work', envelope('still works'));
      await inbox.until(1);
    });

    it('closes a connection whose frames are malformed after the handshake', async () => {
      const raw = await openRaw();
      raw.hello();
      await raw.frames.until(1);
      raw.write(OP.SEND, (out) => out.varint(1));
      expect(await raw.errorCode()).toBe('SP_PROTOCOL_TRUNCATED');
      const other = await openRaw();
      other.hello();
      await other.frames.until(1);
      other.write(77);
      expect(await other.errorCode()).toBe('SP_TRANSPORT_BAD_FRAME');
    });

    it('refuses a frame over the limit by its length alone', async () => {
      hub = await openHub({ maxFrameBytes: 100_000 });
      const raw = await openRaw();
      raw.hello();
      await raw.frames.until(1);
      const length = Buffer.alloc(4);
      length.writeUInt32LE(0xffff_fff0);
      raw.socket.write(length);
      expect(await raw.errorCode()).toBe('SP_TRANSPORT_FRAME_TOO_LARGE');
    });

    it('refuses another version of the protocol, on both sides', async () => {
      const raw = await openRaw();
      raw.hello('session', 99);
      expect(await raw.errorCode()).toBe('SP_TRANSPORT_VERSION');

      const server = createServer((socket) => {
        // WELCOME of version 99.
        socket.resume().write(Buffer.from([2, 0, 0, 0, OP.WELCOME, 99]));
        socket.on('error', () => undefined);
      });
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const url = `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`;
      await expect(connectTransport(url)).rejects.toMatchObject({ code: 'SP_TRANSPORT_VERSION' });
      await new Promise((resolve) => server.close(resolve));
    });

    it('says when the other side is no hub', async () => {
      const server = createServer((socket) => {
        socket.resume().end('HTTP/1.1 400 Bad Request\r\n\r\n');
        socket.on('error', () => undefined);
      });
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const url = `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`;
      await expect(connectTransport(url)).rejects.toMatchObject({ code: 'SP_TRANSPORT_HANDSHAKE' });
      await new Promise((resolve) => server.close(resolve));
      await expect(connectTransport(url, { connectTimeoutMs: 30, ...QUICK })).rejects.toMatchObject({
        code: 'SP_TRANSPORT_CONNECT_FAILED',
        cause: { code: 'SP_TRANSPORT_LOST', cause: { code: 'ECONNREFUSED' } },
      });
    });

    it('finds a hub that starts after it', async () => {
      const port = Number(new URL(hub.url).port);
      await hub.close();
      const connecting = connectTransport(`tcp://127.0.0.1:${port}`, QUICK);
      hub = await connectTransport(`tcp://127.0.0.1:${port}`, { role: 'hub' });
      closers.push(() => hub.close());
      const client = await connecting;
      closers.push(() => client.close());
      await client.send('work', envelope('x'));
    });

    it('refuses clients that could not receive what the hub accepts', async () => {
      await expect(connectTransport(hub.url, { maxFrameBytes: 1000 })).rejects.toMatchObject({ code: 'SP_TRANSPORT_LIMITS' });
    });

    it('does not keep in memory what a slow consumer does not read', async () => {
      hub = await openHub({ maxQueueBytes: 2_000_000 });
      const client = await openClient(hub.url);
      const raw = await openRaw();
      raw.hello();
      await raw.frames.until(1);
      for (const [op, name] of [
        [OP.CONSUME, 'work'],
        [OP.SUBSCRIBE, 'topic'],
      ] as const) {
        raw.write(op, (out) => {
          out.varint(1);
          out.varint(1);
          out.string(name);
          if (op === OP.CONSUME) out.varint(1_000_000);
        });
      }
      await raw.frames.until(3);
      raw.socket.pause();
      const body = new Uint8Array(1_000_000);
      let taken = 0;
      const sends = Array.from({ length: 120 }, () => hub.send('work', envelope(body)).then(() => taken++));
      for (let i = 0; i < 200; i++) await hub.broadcast('topic', envelope(body));
      const echo = await reading(hub, 'echo');
      for (let i = 1; i <= 20; i++) {
        await client.send('echo', envelope('x'));
        await echo.until(i);
      }
      // Socket buffers take some; the rest waits with its senders.
      expect(taken).toBeLessThan(60);
      raw.socket.resume();
      await Promise.all(sends);
      const deliveries = async (): Promise<number> => raw.frames.items.filter((frame) => frame.op === OP.DELIVER).length;
      while ((await deliveries()) < 120) await raw.frames.until(raw.frames.items.length + 1);
      expect(raw.frames.items.filter((frame) => frame.op === OP.PUBLISH).length).toBeLessThan(200);
    });

    it('ends a connection that asks and never reads the answers', async () => {
      hub = await openHub({ maxFrameBytes: 65_536 });
      const raw = await openRaw();
      raw.hello();
      await raw.frames.until(1);
      raw.socket.pause();
      // Each is refused with a text that spells out the name: four times as much comes out as goes in.
      const out = new BinaryWriter();
      for (let i = 0; i < 200; i++) {
        const { length } = out;
        out.u32(0);
        out.u8(OP.SUBSCRIBE);
        out.varint(i);
        out.varint(i);
        out.string('\0'.repeat(1000));
        out.patchU32(length, out.length - length - 4);
      }
      const questions = out.finish();
      let ended = false;
      void raw.closed.then(() => (ended = true));
      for (let i = 0; i < 200 && !ended; i++) {
        if (!raw.socket.write(questions)) await Promise.race([once(raw.socket, 'drain').catch(() => undefined), raw.closed]);
      }
      expect(ended).toBe(true);
    });
  });

  describe('as a hub', () => {
    it('refuses to listen beyond loopback, and says what would be needed', async () => {
      for (const host of ['0.0.0.0', '[::]', '192.0.2.1', 'example.com']) {
        await expect(connectTransport(`tcp://${host}:0`, { role: 'hub' })).rejects.toMatchObject({
          code: 'SP_TRANSPORT_NOT_LOOPBACK',
          remedy: expect.stringContaining('signed envelopes and a key'),
        });
      }
    });

    it('says when its port is taken', async () => {
      await expect(connectTransport(hub.url, { role: 'hub' })).rejects.toMatchObject({ code: 'SP_TRANSPORT_LISTEN_FAILED', cause: { code: 'EADDRINUSE' } });
    });

    it('shows the port it was given, and no password', async () => {
      expect(Number(new URL(hub.url).port)).toBeGreaterThan(0);
      const client = await openClient(hub.url.replace('tcp://', 'tcp://user:secret@'));
      expect(client.url).toBe(hub.url);
    });

    it('ends with its clients still connected; they go on trying', async () => {
      const client = await openClient(hub.url);
      const lost = next(client, 'disconnected');
      await hub.close();
      expect(await lost).toMatchObject({ code: 'SP_TRANSPORT_LOST' });
    });

    it('lets a client that closed while it was sending go', async () => {
      const client = await openClient(hub.url);
      const outcomes = Promise.allSettled(Array.from({ length: 50 }, () => client.send('work', envelope(new Uint8Array(100_000)))));
      await client.close();
      for (const outcome of await outcomes) {
        if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'SP_TRANSPORT_CLOSED' });
      }
      await reading(hub, 'work');
    });
  });

  it('checks options and URLs with codes', async () => {
    const bad = { code: 'SP_TRANSPORT_BAD_OPTION' };
    await expect(connectTransport(hub.url, { heartbeatMs: 0 })).rejects.toMatchObject(bad);
    await expect(connectTransport(hub.url, { maxFrameBytes: 2 ** 33 })).rejects.toMatchObject(bad);
    await expect(connectTransport('tcp://127.0.0.1:0', { role: 'hub', maxQueueFrames: Number.NaN })).rejects.toMatchObject(bad);
    await expect(connectTransport('tcp://127.0.0.1')).rejects.toMatchObject({ code: 'SP_TRANSPORT_BAD_URL' });
    await expect(connectTransport('nonsense')).rejects.toMatchObject({ code: 'SP_TRANSPORT_BAD_URL' });
    for (const scheme of ['carrier-pigeon', 'constructor']) {
      await expect(connectTransport(`${scheme}://x`)).rejects.toMatchObject({
        code: 'SP_TRANSPORT_UNKNOWN_SCHEME',
        message: expect.stringMatching(/memory:.*tcp:/),
      });
    }
  });

  it('answers a delivery once', async () => {
    const client = await openClient(hub.url);
    const inbox = new Inbox<Delivery>();
    await client.consume('work', { prefetch: 2 }, inbox.push);
    await hub.send('work', envelope('a'));
    const [delivery] = await inbox.until(1);
    delivery!.nack({ requeue: false });
    delivery!.nack();
    delivery!.ack();
    await hub.send('work', envelope('b'));
    expect((await inbox.until(2)).map((d) => text(d.envelope))).toEqual(['a', 'b']);
  });
});
