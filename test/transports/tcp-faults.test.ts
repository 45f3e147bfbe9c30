import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/core/ids.ts';
import { OP } from '../../src/transports/tcp/wire.ts';
import { envelope, Inbox, reading, text } from '../conformance/transport.ts';
import { FakeClock } from '../registry/fake-clock.ts';
import { next, tcpBed } from './tcp-bed.ts';

describe('the tcp transport, when connections fail', () => {
  const bed = tcpBed();

  it('connects again with its consumers and topics, and is given again what it had not acknowledged', async () => {
    const proxy = await bed.openProxy();
    const client = await bed.openClient(proxy.url);
    const topic = new Inbox<string>();
    await client.subscribe('topic', (frame) => topic.push(text(frame)));
    const inbox = await reading(client, 'work', { prefetch: 4 }, false);
    for (const body of ['a', 'b', 'c']) await bed.hub.send('work', envelope(body));
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
    await bed.hub.broadcast('topic', envelope('again'));
    expect(await topic.until(1)).toEqual(['again']);
  });

  it('ignores acknowledgements of deliveries of an earlier connection', async () => {
    const proxy = await bed.openProxy();
    const client = await bed.openClient(proxy.url);
    const inbox = await reading(client, 'work', { prefetch: 1 }, false);
    for (const body of ['a', 'b']) await bed.hub.send('work', envelope(body));
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
    const proxy = await bed.openProxy();
    const client = await bed.openClient(proxy.url);
    const inbox = await reading(bed.hub, 'work');
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
    const inbox = await reading(bed.hub, 'work');
    for (let attempt = 0; attempt < 2; attempt++) {
      const raw = await bed.openRaw();
      raw.hello('session-1');
      await raw.frames.until(1);
      raw.send(1, 'work', envelope('one'));
      const [, confirm] = await raw.frames.until(2);
      expect(confirm!.op).toBe(OP.CONFIRM);
      await raw.close();
    }
    await bed.hub.send('work', envelope('end'));
    expect((await inbox.until(2)).map((d) => text(d.envelope))).toEqual(['one', 'end']);
  });

  it('confirms a send that waited for room on the connection its session has by then', async () => {
    const narrow = await bed.openHub({ maxQueueFrames: 1 });
    await narrow.send('work', envelope('first'));
    const before = await bed.openRaw();
    before.hello('session-2');
    before.send(1, 'work', envelope('waits'));
    before.write(OP.SUBSCRIBE, (out) => {
      out.varint(1);
      out.varint(1);
      out.string('t');
    });
    await before.frames.until(2);
    await before.close();
    const after = await bed.openRaw();
    after.hello('session-2');
    after.send(1, 'work', envelope('waits'));
    await after.frames.until(1);
    const inbox = await reading(narrow, 'work');
    expect((await inbox.until(2)).map((d) => text(d.envelope))).toEqual(['first', 'waits']);
    const [, confirm] = await after.frames.until(2);
    expect(confirm!.op).toBe(OP.CONFIRM);
  });

  it('takes the newer of two connections of one session for the living one', async () => {
    const first = await bed.openRaw();
    first.hello('session-3');
    await first.frames.until(1);
    const second = await bed.openRaw();
    second.hello('session-3');
    await second.frames.until(1);
    await first.closed;
  });

  it('notices a half-open connection on both sides and gives the work to another consumer', async () => {
    await bed.openHub({ heartbeatMs: 20, missedBeats: 5 });
    const proxy = await bed.openProxy();
    const client = await bed.openClient(proxy.url, { heartbeatMs: 20, missedBeats: 5 });
    const inbox = await reading(client, 'work', {}, false);
    await bed.hub.send('work', envelope('a'));
    await inbox.until(1);
    const lost = next(client, 'disconnected');
    proxy.blackhole(true);
    const other = await bed.openClient(bed.hub.url);
    const rescued = await reading(other, 'work');
    expect((await rescued.until(1))[0]!.redelivered).toBe(true);
    expect(await lost).toMatchObject({ code: 'SP_TRANSPORT_LOST' });
    proxy.blackhole(false);
    proxy.cut();
    await next(client, 'connected');
  });

  it('does not take its own blocked event loop for a dead peer, but notices silence beat by beat', async () => {
    const clock = new FakeClock();
    const client = await bed.openClient(bed.hub.url, { clock, heartbeatMs: 1000, missedBeats: 4 });
    const inbox = await reading(bed.hub, 'work');
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
    await bed.openHub({ heartbeatMs: 20, missedBeats: 5 });
    const proxy = await bed.openProxy();
    const client = await bed.openClient(proxy.url, { heartbeatMs: 20, missedBeats: 5 });
    const raw = await bed.openRaw();
    raw.hello();
    // A client that never beats is lost after five beats: by then the others have lived through as many.
    await raw.closed;
    await client.send('work', envelope('x'));
    expect(proxy.accepted).toBe(1);
  });

  it('works through a slow network', async () => {
    const proxy = await bed.openProxy();
    proxy.delay(3);
    const client = await bed.openClient(proxy.url);
    const inbox = await reading(client, 'work', { prefetch: 2 });
    await Promise.all(Array.from({ length: 20 }, (_, i) => bed.hub.send('work', envelope(String(i)))));
    expect((await inbox.until(20)).map((d) => Number(text(d.envelope)))).toEqual(Array.from({ length: 20 }, (_, i) => i));
  });

  it('fails sends when it was without a connection for too long, and works again when it is back', async () => {
    const proxy = await bed.openProxy();
    const client = await bed.openClient(proxy.url, { disconnectTimeoutMs: 30 });
    const inbox = await reading(bed.hub, 'work');
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
    const proxy = await bed.openProxy();
    const client = await bed.openClient(proxy.url);
    const lost = next(client, 'disconnected');
    proxy.refuse(true);
    proxy.cut();
    await lost;
    const consuming = reading(client, 'work');
    const sending = client.send('answers', envelope('sent meanwhile'));
    proxy.refuse(false);
    const inbox = await consuming;
    await sending;
    await bed.hub.send('work', envelope('a'));
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
    const proxy = await bed.openProxy();
    const client = await bed.openClient(proxy.url, { clock, random: () => 0.5, maxBackoffMs: 300, disconnectTimeoutMs: 1e9 });
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
