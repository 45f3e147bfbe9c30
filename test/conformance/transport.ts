import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Envelope } from '../../src/protocol/envelope.ts';
import type { ConsumeOptions, Delivery, Transport } from '../../src/transports/contract.ts';
import { unencoded } from './unencoded.ts';

/** One broker under test. */
export interface TransportHarness {
  /** A transport of one side; it may be the same object each time (a hub has only itself). */
  open(side: 'sender' | 'receiver'): Promise<Transport>;
  /** Ends a receiver as a process death would: without a goodbye. */
  kill(receiver: Transport): Promise<void>;
  /** Ends everything, the transports opened included. */
  close(): Promise<void>;
}

export interface HarnessLimits {
  readonly maxFrameBytes?: number;
  readonly maxQueueFrames?: number;
  readonly maxQueueBytes?: number;
}

export interface ConformanceTraits {
  /** Receivers are connections of their own, so that one can die and another go on. @defaultValue true */
  readonly separateReceivers?: boolean;
  /** How many are many. @defaultValue 300 */
  readonly manyQueues?: number;
}

let counter = 0;

export function envelope(body: string | Uint8Array, type = 'test'): Envelope {
  return { id: `e:${counter++}`, type, sender: 'tester', replyTo: 'answers', body: typeof body === 'string' ? new TextEncoder().encode(body) : body };
}

export function text(frame: Envelope): string {
  return new TextDecoder().decode(frame.body);
}

/** What arrived, and a way to wait for more of it. */
export class Inbox<T> {
  readonly items: T[] = [];
  #waiter: { count: number; resolve: () => void } | undefined;

  readonly push = (item: T): void => {
    this.items.push(item);
    if (this.#waiter !== undefined && this.items.length >= this.#waiter.count) this.#waiter.resolve();
  };

  /** Resolves with everything once `count` items are there. */
  async until(count: number): Promise<T[]> {
    if (this.items.length < count) await new Promise<void>((resolve) => (this.#waiter = { count, resolve }));
    return this.items;
  }
}

export async function reading(transport: Transport, queue: string, options: ConsumeOptions = {}, ack = true): Promise<Inbox<Delivery>> {
  const inbox = new Inbox<Delivery>();
  await transport.consume(queue, options, (delivery) => {
    inbox.push(delivery);
    if (ack) delivery.ack();
  });
  return inbox;
}

/** The contract of src/transports/contract.ts, for every adapter. */
export function transportConformance(name: string, makeHarness: (limits: HarnessLimits) => Promise<TransportHarness>, traits: ConformanceTraits = {}): void {
  const { separateReceivers = true, manyQueues = 300 } = traits;

  describe(`transport contract: ${name}`, () => {
    let harness: TransportHarness;
    let sender: Transport;
    let receiver: Transport;
    let queue: string;

    const start = async (limits: HarnessLimits): Promise<void> => {
      harness = await makeHarness(limits);
      sender = await harness.open('sender');
      receiver = await harness.open('receiver');
    };

    /** Everything sent so far has had its turn when frames have gone there and back on a queue of their own. */
    const roundTrips = async (count = 3): Promise<void> => {
      const side = `side-${counter++}`;
      const there = await reading(receiver, `${side}-there`);
      const back = await reading(sender, `${side}-back`);
      for (let i = 1; i <= count; i++) {
        await sender.send(`${side}-there`, envelope('there'));
        await there.until(i);
        await receiver.send(`${side}-back`, envelope('back'));
        await back.until(i);
      }
    };

    beforeEach(async () => {
      queue = `queue-${counter++}`;
      await start({});
    });

    afterEach(async () => {
      await harness.close();
    });

    it('carries every field of an envelope', async () => {
      const inbox = await reading(receiver, queue);
      const sent = { id: 'id-ü-1', type: 'tasks', sender: 'sender-1', replyTo: 'answers-\u{1f600}', body: Uint8Array.of(0, 1, 254, 255) };
      await sender.send(queue, sent);
      const [delivery] = await inbox.until(1);
      const { body, ...rest } = delivery!.envelope;
      expect(rest).toEqual({ id: sent.id, type: sent.type, sender: sent.sender, replyTo: sent.replyTo });
      expect([...body]).toEqual([0, 1, 254, 255]);
      expect(delivery!.redelivered).toBe(false);
    });

    it('carries empty bodies and empty names', async () => {
      const inbox = await reading(receiver, queue);
      await sender.send(queue, { id: '', type: '', sender: '', replyTo: '', body: new Uint8Array(0) });
      const [delivery] = await inbox.until(1);
      expect(delivery!.envelope.body.length).toBe(0);
      expect(delivery!.envelope.id).toBe('');
    });

    it('keeps frames until somebody reads them', async () => {
      await sender.send(queue, envelope('early'));
      const inbox = await reading(receiver, queue);
      expect(text((await inbox.until(1))[0]!.envelope)).toBe('early');
    });

    it('keeps the order of one sender to one queue', async () => {
      const inbox = await reading(receiver, queue, { prefetch: 7 });
      await Promise.all(Array.from({ length: 500 }, (_, i) => sender.send(queue, envelope(String(i)))));
      const seen = (await inbox.until(500)).map((d) => Number(text(d.envelope)));
      expect(seen).toEqual(Array.from({ length: 500 }, (_, i) => i));
    });

    it('keeps the order of each of several concurrent senders, and loses nothing', async () => {
      const inbox = await reading(receiver, queue);
      const senders = await Promise.all(Array.from({ length: 4 }, () => harness.open('sender')));
      await Promise.all(senders.flatMap((each, s) => Array.from({ length: 100 }, (_, i) => each.send(queue, envelope(`${s}:${i}`)))));
      const seen = (await inbox.until(400)).map((d) => text(d.envelope));
      expect(new Set(seen).size).toBe(400);
      for (let s = 0; s < 4; s++) {
        const of = seen.filter((item) => item.startsWith(`${s}:`)).map((item) => Number(item.slice(2)));
        expect(of).toEqual(Array.from({ length: 100 }, (_, i) => i));
      }
    });

    it('delivers no more than prefetch frames before one is acknowledged', async () => {
      const inbox = await reading(receiver, queue, { prefetch: 3 }, false);
      for (let i = 0; i < 6; i++) await sender.send(queue, envelope(String(i)));
      await inbox.until(3);
      await roundTrips();
      expect(inbox.items.length).toBe(3);
      inbox.items[1]!.ack();
      await inbox.until(4);
      await roundTrips();
      expect(inbox.items.map((d) => text(d.envelope))).toEqual(['0', '1', '2', '3']);
    });

    it('counts an acknowledgement once, however often it is made', async () => {
      const inbox = await reading(receiver, queue, { prefetch: 1 }, false);
      for (let i = 0; i < 4; i++) await sender.send(queue, envelope(String(i)));
      const [first] = await inbox.until(1);
      first!.ack();
      first!.ack();
      first!.nack();
      await inbox.until(2);
      await roundTrips();
      expect(inbox.items.map((d) => text(d.envelope))).toEqual(['0', '1']);
    });

    it('puts a frame that is not acknowledged positively back at the head, marked as redelivered', async () => {
      const inbox = await reading(receiver, queue, { prefetch: 1 }, false);
      for (const body of ['a', 'b']) await sender.send(queue, envelope(body));
      (await inbox.until(1))[0]!.nack();
      const [, again] = await inbox.until(2);
      expect(text(again!.envelope)).toBe('a');
      expect(again!.redelivered).toBe(true);
      again!.ack();
      const [, , last] = await inbox.until(3);
      expect(text(last!.envelope)).toBe('b');
      expect(last!.redelivered).toBe(false);
    });

    it('drops a frame that is refused without requeue', async () => {
      const inbox = await reading(receiver, queue, { prefetch: 1 }, false);
      for (const body of ['a', 'b']) await sender.send(queue, envelope(body));
      (await inbox.until(1))[0]!.nack({ requeue: false });
      await inbox.until(2);
      await roundTrips();
      expect(inbox.items.map((d) => text(d.envelope))).toEqual(['a', 'b']);
    });

    it('shares the frames of a queue among its consumers, each frame once', async () => {
      const other = await harness.open('receiver');
      const [one, two] = [await reading(receiver, queue, { prefetch: 50 }, false), await reading(other, queue, { prefetch: 50 }, false)];
      for (let i = 0; i < 100; i++) await sender.send(queue, envelope(String(i)));
      const seen = [...(await one.until(50)), ...(await two.until(50))].map((d) => Number(text(d.envelope)));
      expect(seen.sort((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, i) => i));
    });

    it('lets consumers of a queue take turns while all of them can take more', async () => {
      const other = await harness.open('receiver');
      const [one, two] = [await reading(receiver, queue, { prefetch: 50 }, false), await reading(other, queue, { prefetch: 50 }, false)];
      for (let i = 0; i < 40; i++) await sender.send(queue, envelope(String(i)));
      await one.until(20);
      await two.until(20);
    });

    it('gives frames to whoever can take them when another consumer is busy', async () => {
      const other = await harness.open('receiver');
      const busy = await reading(receiver, queue, { prefetch: 1 }, false);
      await sender.send(queue, envelope('kept'));
      await busy.until(1);
      const idle = await reading(other, queue, { prefetch: 1 });
      for (let i = 0; i < 20; i++) await sender.send(queue, envelope(String(i)));
      expect((await idle.until(20)).map((d) => text(d.envelope))).toEqual(Array.from({ length: 20 }, (_, i) => String(i)));
      expect(busy.items.length).toBe(1);
    });

    it.runIf(separateReceivers)('gives the unacknowledged frames of a dead consumer to another one, in order', async () => {
      const doomed = await reading(receiver, queue, { prefetch: 10 }, false);
      for (let i = 0; i < 5; i++) await sender.send(queue, envelope(String(i)));
      await doomed.until(5);
      doomed.items[1]!.ack();
      const survivor = await harness.open('receiver');
      const dead = receiver;
      receiver = survivor;
      await harness.kill(dead);
      const inbox = await reading(survivor, queue, { prefetch: 10 });
      const seen = await inbox.until(4);
      const bodies = seen.map((d) => text(d.envelope));
      // The acknowledgement may have died with its consumer.
      expect(bodies.filter((body) => body !== '1')).toEqual(['0', '2', '3', '4']);
      expect(seen.every((d) => d.redelivered)).toBe(true);
    });

    it.runIf(separateReceivers)('puts unacknowledged frames back when a consumer closes, and never those acknowledged', async () => {
      const inbox = await reading(receiver, queue, { prefetch: 10 }, false);
      for (let i = 0; i < 4; i++) await sender.send(queue, envelope(String(i)));
      await inbox.until(4);
      inbox.items[0]!.ack();
      inbox.items[2]!.ack();
      await receiver.close();
      receiver = await harness.open('receiver');
      const next = await reading(receiver, queue);
      expect((await next.until(2)).map((d) => [text(d.envelope), d.redelivered])).toEqual([
        ['1', true],
        ['3', true],
      ]);
      await roundTrips();
      expect(next.items.length).toBe(2);
    });

    it('delivers nothing after cancel, and lets what was delivered be acknowledged', async () => {
      const inbox = new Inbox<Delivery>();
      const subscription = await receiver.consume(queue, { prefetch: 2 }, inbox.push);
      for (let i = 0; i < 4; i++) await sender.send(queue, envelope(String(i)));
      await inbox.until(2);
      await subscription.cancel();
      await subscription.cancel();
      for (const delivery of inbox.items) delivery.ack();
      await roundTrips();
      expect(inbox.items.length).toBe(2);
      const next = await reading(receiver, queue);
      expect((await next.until(2)).map((d) => text(d.envelope))).toEqual(['2', '3']);
    });

    it('leaves the frames of a queue with a cancelled consumer to others', async () => {
      const inbox = new Inbox<Delivery>();
      const subscription = await receiver.consume(queue, {}, inbox.push);
      await subscription.cancel();
      await sender.send(queue, envelope('later'));
      const next = await reading(receiver, queue);
      expect(text((await next.until(1))[0]!.envelope)).toBe('later');
      expect(inbox.items.length).toBe(0);
    });

    it('broadcasts to everyone subscribed, itself included, and keeps nothing for later', async () => {
      const other = await harness.open('receiver');
      const topic = `topic-${counter++}`;
      const inboxes = [new Inbox<Envelope>(), new Inbox<Envelope>(), new Inbox<Envelope>()];
      await sender.broadcast(topic, envelope('before anyone'));
      await sender.subscribe(topic, inboxes[0]!.push);
      await receiver.subscribe(topic, inboxes[1]!.push);
      const third = await other.subscribe(topic, inboxes[2]!.push);
      await sender.broadcast(topic, envelope('one'));
      for (const inbox of inboxes) await inbox.until(1);
      await third.cancel();
      await sender.broadcast(topic, envelope('two'));
      await inboxes[0]!.until(2);
      await inboxes[1]!.until(2);
      await roundTrips();
      expect(inboxes.map((inbox) => inbox.items.map(text))).toEqual([['one', 'two'], ['one', 'two'], ['one']]);
    });

    it('keeps topics and queues of one name apart', async () => {
      const fromQueue = await reading(receiver, queue);
      const fromTopic = new Inbox<Envelope>();
      await receiver.subscribe(queue, fromTopic.push);
      await sender.broadcast(queue, envelope('topic'));
      await sender.send(queue, envelope('queue'));
      await fromTopic.until(1);
      await fromQueue.until(1);
      await roundTrips();
      expect([fromTopic.items.map(text), fromQueue.items.map((d) => text(d.envelope))]).toEqual([['topic'], ['queue']]);
    });

    it('makes senders wait while a queue is full, and takes their frames in order when it is read', async () => {
      await harness.close();
      await start({ maxQueueFrames: 4 });
      for (let i = 0; i < 4; i++) await sender.send(queue, envelope(String(i)));
      let taken = 0;
      const waiting = Array.from({ length: 6 }, (_, i) => sender.send(queue, envelope(String(4 + i))).then(() => taken++));
      await roundTrips();
      expect(taken).toBe(0);
      const inbox = await reading(receiver, queue, { prefetch: 1 });
      expect((await inbox.until(10)).map((d) => text(d.envelope))).toEqual(Array.from({ length: 10 }, (_, i) => String(i)));
      await Promise.all(waiting);
      expect(taken).toBe(6);
    });

    it('does not let a full queue hold up other queues', async () => {
      await harness.close();
      await start({ maxQueueFrames: 1 });
      const stuck = Array.from({ length: 50 }, () => sender.send(queue, envelope('stuck')));
      const inbox = await reading(receiver, `${queue}-free`);
      for (let i = 0; i < 20; i++) await sender.send(`${queue}-free`, envelope('free'));
      await inbox.until(20);
      await reading(receiver, queue);
      await Promise.all(stuck);
    });

    it('bounds a queue by bytes too, and still takes one frame that is larger than the bound', async () => {
      await harness.close();
      await start({ maxQueueBytes: 10_000 });
      await sender.send(queue, envelope(new Uint8Array(50_000)));
      let taken = false;
      const waiting = sender.send(queue, envelope(new Uint8Array(100))).then(() => (taken = true));
      await roundTrips();
      expect(taken).toBe(false);
      const inbox = await reading(receiver, queue);
      expect((await inbox.until(2)).map((d) => d.envelope.body.length)).toEqual([50_000, 100]);
      await waiting;
    });

    it('carries large frames between small ones unharmed', async () => {
      const inbox = await reading(receiver, queue);
      const bodies = [1, 5_000_000, 3, 70_000, 16_384, 16_383, 0, 1_000_000].map((size) => randomBytes(size));
      await Promise.all(bodies.map((body) => sender.send(queue, envelope(body))));
      const seen = await inbox.until(bodies.length);
      seen.forEach((delivery, i) => expect(Buffer.compare(delivery.envelope.body, bodies[i]!)).toBe(0));
    });

    it('refuses a frame over the limit with a code, and goes on', async () => {
      await harness.close();
      await start({ maxFrameBytes: 100_000 });
      const inbox = await reading(receiver, queue);
      await expect(sender.send(queue, envelope(new Uint8Array(100_001)))).rejects.toMatchObject({ code: 'SP_TRANSPORT_FRAME_TOO_LARGE' });
      await expect(sender.broadcast(queue, envelope(new Uint8Array(100_001)))).rejects.toMatchObject({ code: 'SP_TRANSPORT_FRAME_TOO_LARGE' });
      await sender.send(queue, envelope(new Uint8Array(99_000)));
      expect((await inbox.until(1))[0]!.envelope.body.length).toBe(99_000);
    });

    unencoded(
      () => ({ sender, receiver, queue }),
      start,
      () => harness.close(),
    );

    it('refuses names that cannot be names', async () => {
      for (const bad of ['', 'x'.repeat(256)]) {
        await expect(sender.send(bad, envelope('x'))).rejects.toMatchObject({ code: 'SP_TRANSPORT_BAD_NAME' });
        await expect(sender.broadcast(bad, envelope('x'))).rejects.toMatchObject({ code: 'SP_TRANSPORT_BAD_NAME' });
        await expect(receiver.consume(bad, {}, () => undefined)).rejects.toMatchObject({ code: 'SP_TRANSPORT_BAD_NAME' });
        await expect(receiver.subscribe(bad, () => undefined)).rejects.toMatchObject({ code: 'SP_TRANSPORT_BAD_NAME' });
      }
      await expect(receiver.consume(queue, { prefetch: 0 }, () => undefined)).rejects.toMatchObject({ code: 'SP_TRANSPORT_BAD_OPTION' });
      await expect(sender.send(queue, { ...envelope('x'), sender: 'x'.repeat(5000) })).rejects.toMatchObject({ code: 'SP_PROTOCOL_BAD_VALUE' });
    });

    it('takes hostile names literally', async () => {
      for (const hostile of ['__proto__', 'constructor', '../../etc', 'a;$(id)`id`', 'tab\tnewline\nnul\0', '\u001b[31mred']) {
        const inbox = await reading(receiver, hostile);
        await sender.send(hostile, { ...envelope(hostile), type: hostile, sender: hostile });
        const [delivery] = await inbox.until(1);
        expect([text(delivery!.envelope), delivery!.envelope.type, delivery!.envelope.sender]).toEqual([hostile, hostile, hostile]);
      }
      expect(({} as Record<string, unknown>)['consumers']).toBeUndefined();
    });

    it('drops what is in a deleted queue, lets its waiting senders go, and takes new frames', async () => {
      await harness.close();
      await start({ maxQueueFrames: 2 });
      for (let i = 0; i < 2; i++) await sender.send(queue, envelope('old'));
      const waiting = sender.send(queue, envelope('waiting'));
      await roundTrips(1);
      await receiver.deleteQueue(queue);
      await waiting;
      await sender.send(queue, envelope('new'));
      const inbox = await reading(receiver, queue);
      // A sender that looked again in the very moment may have found room in the new queue.
      const bodies = (): string[] => inbox.items.map((d) => text(d.envelope)).filter((body) => body !== 'waiting');
      for (let count = 1; bodies().length === 0; count++) await inbox.until(count);
      await roundTrips();
      expect(bodies()).toEqual(['new']);
    });

    it('deletes a queue that does not exist without complaint', async () => {
      await sender.deleteQueue(`${queue}-never-seen`);
    });

    it('serves many queues at once', async () => {
      const names = Array.from({ length: manyQueues }, (_, i) => `${queue}-${i}`);
      const inboxes = await Promise.all(names.map((name) => reading(receiver, name)));
      await Promise.all(names.flatMap((name, i) => [sender.send(name, envelope(`a${i}`)), sender.send(name, envelope(`b${i}`))]));
      await Promise.all(inboxes.map((inbox) => inbox.until(2)));
      inboxes.forEach((inbox, i) => expect(inbox.items.map((d) => text(d.envelope))).toEqual([`a${i}`, `b${i}`]));
    });

    it('lets handlers send, acknowledge later and out of order', async () => {
      const held: Delivery[] = [];
      const sends: Promise<void>[] = [];
      await receiver.consume(queue, { prefetch: 8 }, (delivery) => {
        held.push(delivery);
        if (held.length === 8) {
          for (const each of held.splice(0).reverse()) {
            sends.push(receiver.send(`${queue}-answers`, envelope(`re:${text(each.envelope)}`)));
            each.ack();
          }
        }
      });
      const answers = await reading(sender, `${queue}-answers`);
      await Promise.all(Array.from({ length: 64 }, (_, i) => sender.send(queue, envelope(String(i)))));
      const seen = (await answers.until(64)).map((d) => text(d.envelope));
      await Promise.all(sends);
      expect(new Set(seen)).toEqual(new Set(Array.from({ length: 64 }, (_, i) => `re:${i}`)));
    });

    it('survives a handler that throws', async () => {
      const inbox = new Inbox<string>();
      await receiver.consume(queue, {}, (delivery) => {
        delivery.ack();
        inbox.push(text(delivery.envelope));
        if (inbox.items.length === 1) throw new Error('a fault of the test');
      });
      for (const body of ['a', 'b']) await sender.send(queue, envelope(body));
      expect(await inbox.until(2)).toEqual(['a', 'b']);
    });

    it('fails every operation with a code once closed, and closes any number of times', async () => {
      const waitingFor = sender;
      await Promise.all([waitingFor.close(), waitingFor.close()]);
      await waitingFor.close();
      const closed = { code: 'SP_TRANSPORT_CLOSED' };
      await expect(waitingFor.send(queue, envelope('x'))).rejects.toMatchObject(closed);
      await expect(waitingFor.broadcast(queue, envelope('x'))).rejects.toMatchObject(closed);
      await expect(waitingFor.consume(queue, {}, () => undefined)).rejects.toMatchObject(closed);
      await expect(waitingFor.subscribe(queue, () => undefined)).rejects.toMatchObject(closed);
      await expect(waitingFor.deleteQueue(queue)).rejects.toMatchObject(closed);
    });

    it('fails sends that still wait when it is closed', async () => {
      await harness.close();
      await start({ maxQueueFrames: 1 });
      await sender.send(queue, envelope('fills it'));
      const outcome = sender.send(queue, envelope('waits')).catch((error: unknown) => error);
      await roundTrips(1);
      await sender.close();
      expect(await outcome).toMatchObject({ code: 'SP_TRANSPORT_CLOSED' });
    });
  });
}
