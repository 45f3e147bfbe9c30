import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { BinaryWriter } from '../../src/protocol/codec.ts';
import { connectTransport } from '../../src/transports/index.ts';
import type { Delivery } from '../../src/transports/contract.ts';
import { OP } from '../../src/transports/tcp/wire.ts';
import { envelope, Inbox, reading, text } from '../conformance/transport.ts';
import { rawClient } from './raw-client.ts';
import { next, QUICK, tcpBed } from './tcp-bed.ts';

describe('the tcp transport', () => {
  const bed = tcpBed();

  describe('when peers misbehave', () => {
    it('closes a connection that sends garbage with a code, and that one only', async () => {
      const client = await bed.openClient(bed.hub.url);
      const inbox = await reading(client, 'work');
      const raw = await bed.openRaw();
      raw.socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
      expect(await raw.errorCode()).toBe('SP_TRANSPORT_FRAME_TOO_LARGE');
      const other = await bed.openRaw();
      other.write(99);
      expect(await other.errorCode()).toBe('SP_TRANSPORT_BAD_FRAME');
      const empty = await bed.openRaw();
      empty.socket.write(Buffer.alloc(4));
      expect(await empty.errorCode()).toBe('SP_TRANSPORT_BAD_FRAME');
      await bed.hub.send('work', envelope('still works'));
      await inbox.until(1);
    });

    it('closes a connection whose frames are malformed after the handshake', async () => {
      const raw = await bed.openRaw();
      raw.hello();
      await raw.frames.until(1);
      raw.write(OP.SEND, (out) => out.varint(1));
      expect(await raw.errorCode()).toBe('SP_PROTOCOL_TRUNCATED');
      const other = await bed.openRaw();
      other.hello();
      await other.frames.until(1);
      other.write(77);
      expect(await other.errorCode()).toBe('SP_TRANSPORT_BAD_FRAME');
    });

    it('refuses a frame over the limit by its length alone', async () => {
      await bed.openHub({ maxFrameBytes: 100_000 });
      const raw = await bed.openRaw();
      raw.hello();
      await raw.frames.until(1);
      const length = Buffer.alloc(4);
      length.writeUInt32LE(0xffff_fff0);
      raw.socket.write(length);
      expect(await raw.errorCode()).toBe('SP_TRANSPORT_FRAME_TOO_LARGE');
    });

    it('refuses another version of the protocol, on both sides', async () => {
      const raw = await bed.openRaw();
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
      const port = Number(new URL(bed.hub.url).port);
      await bed.hub.close();
      const connecting = connectTransport(`tcp://127.0.0.1:${port}`, QUICK);
      bed.keep(await connectTransport(`tcp://127.0.0.1:${port}`, { role: 'hub' }));
      const client = bed.keep(await connecting);
      await client.send('work', envelope('x'));
    });

    it('refuses clients that could not receive what the hub accepts', async () => {
      await expect(connectTransport(bed.hub.url, { maxFrameBytes: 1000 })).rejects.toMatchObject({ code: 'SP_TRANSPORT_LIMITS' });
    });

    it('does not keep in memory what a slow consumer does not read', async () => {
      await bed.openHub({ maxQueueBytes: 2_000_000 });
      const client = await bed.openClient(bed.hub.url);
      const raw = await bed.openRaw();
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
      const sends = Array.from({ length: 120 }, () => bed.hub.send('work', envelope(body)).then(() => taken++));
      for (let i = 0; i < 200; i++) await bed.hub.broadcast('topic', envelope(body));
      const echo = await reading(bed.hub, 'echo');
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
      await bed.openHub({ maxFrameBytes: 65_536 });
      const raw = await bed.openRaw();
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
          remedy: expect.stringContaining('set a key, so that frames are signed'),
        });
      }
    });

    it('says when its port is taken', async () => {
      await expect(connectTransport(bed.hub.url, { role: 'hub' })).rejects.toMatchObject({ code: 'SP_TRANSPORT_LISTEN_FAILED', cause: { code: 'EADDRINUSE' } });
    });

    it('shows the port it was given, and no password', async () => {
      expect(Number(new URL(bed.hub.url).port)).toBeGreaterThan(0);
      const client = await bed.openClient(bed.hub.url.replace('tcp://', 'tcp://user:secret@'));
      expect(client.url).toBe(bed.hub.url);
    });

    it('ends with its clients still connected; they go on trying', async () => {
      const client = await bed.openClient(bed.hub.url);
      const lost = next(client, 'disconnected');
      await bed.hub.close();
      expect(await lost).toMatchObject({ code: 'SP_TRANSPORT_LOST' });
    });

    it('lets a client that closed while it was sending go', async () => {
      const client = await bed.openClient(bed.hub.url);
      const outcomes = Promise.allSettled(Array.from({ length: 50 }, () => client.send('work', envelope(new Uint8Array(100_000)))));
      await client.close();
      for (const outcome of await outcomes) {
        if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'SP_TRANSPORT_CLOSED' });
      }
      await reading(bed.hub, 'work');
    });
  });

  it('checks options and URLs with codes', async () => {
    const bad = { code: 'SP_TRANSPORT_BAD_OPTION' };
    await expect(connectTransport(bed.hub.url, { heartbeatMs: 0 })).rejects.toMatchObject(bad);
    await expect(connectTransport(bed.hub.url, { maxFrameBytes: 2 ** 33 })).rejects.toMatchObject(bad);
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
    const client = await bed.openClient(bed.hub.url);
    const inbox = new Inbox<Delivery>();
    await client.consume('work', { prefetch: 2 }, inbox.push);
    await bed.hub.send('work', envelope('a'));
    const [delivery] = await inbox.until(1);
    delivery!.nack({ requeue: false });
    delivery!.nack();
    delivery!.ack();
    await bed.hub.send('work', envelope('b'));
    expect((await inbox.until(2)).map((d) => text(d.envelope))).toEqual(['a', 'b']);
  });

  it('takes each acknowledgement for the frame it names, also behind one for a consumer that is gone', async () => {
    const raw = await rawClient(bed.hub.url);
    raw.hello();
    raw.write(OP.CONSUME, (out) => {
      for (const field of [1, 7]) out.varint(field);
      out.string('work');
      out.varint(1);
    });
    await bed.hub.send('work', envelope('a'));
    await bed.hub.send('work', envelope('b'));
    const delivered = async (count: number): Promise<number> => {
      for (let frames = 1; ; frames++) {
        const found = (await raw.frames.until(frames)).filter(({ op }) => op === OP.DELIVER);
        if (found.length === count) return found.length;
      }
    };
    expect(await delivered(1)).toBe(1);
    raw.write(OP.ACK, (out) => {
      out.varint(2);
      // Consumer 99 was cancelled while its acknowledgement was on the way; 7 is there, with its first delivery.
      for (const field of [99, 7, 7, 1]) out.varint(field);
    });
    // Prefetch 1: the second comes only when the first is acknowledged.
    expect(await delivered(2)).toBe(2);
    await raw.close();
  });
});
