import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { BinaryReader, BinaryWriter, encodeEnvelope } from '../../src/protocol/codec.ts';
import type { Delivery, Transport } from '../../src/transports/contract.ts';
import { FrameParser, OP, WIRE_VERSION } from '../../src/transports/tcp/wire.ts';
import { envelope, Inbox } from '../conformance/transport.ts';
import { FakeClock } from '../registry/fake-clock.ts';
import { tcpBed } from './tcp-bed.ts';

/** A hub that hears what a client says. */
async function rawHub(): Promise<{ url: string; said: Inbox<{ op: number; reader: BinaryReader }>; deliver(tag: number): void; close(): Promise<void> }> {
  const said = new Inbox<{ op: number; reader: BinaryReader }>();
  const server = createServer({ noDelay: true });
  let socket: Socket | undefined;
  let consumer = 0;
  const write = (op: number, fields: (out: BinaryWriter) => void): void => {
    const out = new BinaryWriter(1024);
    out.u32(0);
    out.u8(op);
    fields(out);
    out.patchU32(0, out.length - 4);
    socket?.write(out.finish());
  };
  server.on('connection', (accepted) => {
    socket = accepted;
    const parser = new FrameParser((bytes) => {
      const [op, reader] = [bytes[0]!, new BinaryReader(bytes, 1)];
      if (op === OP.HELLO) {
        write(OP.WELCOME, (out) => {
          out.varint(WIRE_VERSION);
          out.string('hub');
          for (const limit of [1_000_000, 100, 1_000_000]) out.varint(limit);
        });
      } else if (op === OP.CONSUME) {
        const request = reader.varint();
        consumer = reader.varint();
        write(OP.REPLY, (out) => {
          out.varint(request);
          out.string('');
          out.string('');
        });
      } else if (op !== OP.PING) said.push({ op, reader });
    });
    accepted.on('data', (chunk: Buffer) => parser.push(Buffer.from(chunk)));
    accepted.on('error', () => undefined);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`,
    said,
    deliver: (tag) =>
      write(OP.DELIVER, (out) => {
        out.varint(consumer);
        out.varint(tag);
        out.u8(0);
        out.raw(encodeEnvelope(envelope('frame')));
      }),
    async close() {
      socket?.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

describe('what comes by a tcp connection', () => {
  const bed = tcpBed();

  /** Sends frames of many sizes in bursts, holds them all, and compares in the end. */
  async function heldFrames(sender: Transport, receiver: Transport): Promise<void> {
    const held = new Inbox<Delivery>();
    await receiver.consume('frames', { prefetch: 1000 }, (delivery) => held.push(delivery));
    const sizes = Array.from({ length: 300 }, (_, i) => [1, 64, 150, 4000, 8191, 8192, 8193, 20_000, 70_000][(i * 7) % 9]! + (i % 3));
    for (let i = 0; i < sizes.length; i += 30) {
      await Promise.all(sizes.slice(i, i + 30).map((size, at) => sender.send('frames', { ...envelope(''), body: Buffer.alloc(size, i + at) })));
      await turn();
    }
    const deliveries = await held.until(sizes.length);
    for (const [i, { envelope: its }] of deliveries.entries()) {
      expect(its.body.length).toBe(sizes[i]);
      expect(Buffer.compare(its.body, Buffer.alloc(its.body.length, i))).toBe(0);
    }
  }

  it('stays as it came while it is held, whatever is received later: at a client', async () => {
    await heldFrames(bed.hub, await bed.openClient(bed.hub.url));
  });

  it('stays as it came while it is held, whatever is received later: at a hub', async () => {
    await heldFrames(await bed.openClient(bed.hub.url), bed.hub);
  });

  it('stays as it came when it is broadcast', async () => {
    const client = await bed.openClient(bed.hub.url);
    const heard = new Inbox<Uint8Array>();
    await client.subscribe('news', ({ body }) => heard.push(body));
    await bed.hub.subscribe('news', ({ body }) => heard.push(body));
    for (let i = 0; i < 50; i++) await client.broadcast('news', { ...envelope(''), body: Buffer.alloc(i % 2 === 0 ? 100 : 9000, i) });
    const bodies = await heard.until(100);
    for (const body of bodies) expect(Buffer.compare(body, Buffer.alloc(body.length, body[0]))).toBe(0);
    expect(bodies.map((body) => body[0]!).toSorted((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, i) => i >> 1));
  });

  it('is acknowledged at once where the consumer has as much as it may', async () => {
    // Its time never passes.
    const client = await bed.openClient(bed.hub.url, { clock: new FakeClock() });
    const inbox = new Inbox<Delivery>();
    await client.consume('work', { prefetch: 10 }, (delivery) => {
      inbox.push(delivery);
      if (inbox.items.length > 9) delivery.ack();
    });
    await Promise.all(Array.from({ length: 30 }, () => bed.hub.send('work', envelope('task'))));
    await inbox.until(30);
  });

  it('is acknowledged together with what is acknowledged within some milliseconds', async () => {
    const hub = bed.keep(await rawHub());
    const clock = new FakeClock();
    const client = await bed.openClient(hub.url, { clock });
    const inbox = new Inbox<Delivery>();
    await client.consume('work', { prefetch: 100 }, (delivery) => inbox.push(delivery));
    for (let tag = 1; tag <= 3; tag++) {
      hub.deliver(tag);
      (await inbox.until(tag))[tag - 1]!.ack();
    }
    for (let i = 0; i < 10; i++) await turn();
    expect(hub.said.items).toHaveLength(0);
    clock.advance(4);
    const [{ op, reader }] = (await hub.said.until(1)) as [{ op: number; reader: BinaryReader }];
    expect(op).toBe(OP.ACK);
    expect(reader.varint()).toBe(3);
  });
});
