import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Broker } from '../../src/transports/broker.ts';
import { Deque } from '../../src/transports/deque.ts';
import { connectTransport } from '../../src/transports/index.ts';
import { FrameParser } from '../../src/transports/tcp/wire.ts';
import { envelope, reading, text } from '../conformance/transport.ts';

describe('the broker', () => {
  it('keeps nothing of queues that are empty and unread, and of topics nobody subscribes to', async () => {
    const broker = new Broker();
    const seen: string[] = [];
    const consumer = broker.consume('work', {
      prefetch: 1,
      deliver(frame, tag) {
        seen.push(text(frame));
        consumer.ack(tag);
      },
    });
    const unsubscribe = broker.subscribe('topic', () => undefined);
    for (let i = 0; i < 10; i++) void broker.put('work', envelope(String(i)));
    await turn();
    expect(seen.length).toBe(10);
    consumer.end();
    unsubscribe();
    expect(broker.stats()).toEqual({ queues: 0, frames: 0, bytes: 0, topics: 0 });
  });

  it('never calls a handler from within put, and gives the event loop its turn', async () => {
    const broker = new Broker();
    let inside = false;
    let delivered = 0;
    // Two parties in endless conversation.
    for (const [from, to] of [
      ['a', 'b'],
      ['b', 'a'],
    ] as const) {
      const consumer = broker.consume(from, {
        prefetch: 1,
        deliver(frame, tag) {
          expect(inside).toBe(false);
          delivered++;
          consumer.ack(tag);
          inside = true;
          void broker.put(to, frame);
          inside = false;
        },
      });
    }
    void broker.put('a', envelope('x'));
    await turn();
    await turn();
    expect(delivered).toBeGreaterThan(100);
    broker.close(new Error('end of the test'));
  });

  it('refuses more queues than its limit', () => {
    const broker = new Broker({ maxQueues: 2 });
    void broker.put('a', envelope('x'));
    void broker.put('b', envelope('x'));
    expect(() => broker.put('c', envelope('x'))).toThrow(expect.objectContaining({ code: 'SP_TRANSPORT_OVERLOADED' }));
    broker.deleteQueue('a');
    void broker.put('c', envelope('x'));
    expect(broker.stats().queues).toBe(2);
  });

  it('fails sends that wait when it closes', async () => {
    const broker = new Broker({ maxQueueFrames: 1 });
    void broker.put('a', envelope('x'));
    const waiting = broker.put('a', envelope('y'));
    broker.close(new Error('closed by the test'));
    await expect(waiting).rejects.toThrow('closed by the test');
    expect(() => broker.put('a', envelope('x'))).toThrow('closed by the test');
  });

  it('delivers each frame to exactly one acknowledgement, whatever consumers do (model)', async () => {
    const command = fc.oneof(
      { weight: 4, arbitrary: fc.record({ do: fc.constant('put' as const) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('consume' as const), prefetch: fc.integer({ min: 1, max: 3 }) }) },
      { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('ack' as const, 'nack' as const, 'end' as const, 'cancel' as const), pick: fc.nat() }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('turn' as const) }) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(command, { maxLength: 60 }), async (commands) => {
        const broker = new Broker({ maxQueueFrames: 5 });
        const acked: string[] = [];
        let put = 0;
        interface Held {
          readonly body: string;
          readonly tag: number;
        }
        const consumers: { readonly handle: ReturnType<Broker['consume']>; held: Held[]; ended: boolean }[] = [];
        const consume = (prefetch: number): void => {
          const held: Held[] = [];
          const handle = broker.consume('q', {
            prefetch,
            deliver(frame, tag) {
              held.push({ body: text(frame), tag });
              expect(held.length).toBeLessThanOrEqual(prefetch);
            },
          });
          consumers.push({ handle, held, ended: false });
        };
        for (const each of commands) {
          if (each.do === 'put') void broker.put('q', envelope(String(put++)));
          else if (each.do === 'consume') consume(each.prefetch);
          else if (each.do === 'turn') await turn();
          else if (consumers.length > 0) {
            const consumer = consumers[each.pick % consumers.length]!;
            if (each.do === 'cancel') consumer.handle.cancel();
            else if (each.do === 'end') {
              consumer.handle.end();
              consumer.held.length = 0;
            } else {
              const [held] = consumer.held.splice(0, 1);
              if (held === undefined) continue;
              if (each.do === 'ack') {
                consumer.handle.ack(held.tag);
                acked.push(held.body);
              } else consumer.handle.nack(held.tag, true);
            }
          }
        }
        for (const consumer of consumers) {
          consumer.handle.end();
          consumer.held.length = 0;
        }
        const rest = broker.consume('q', {
          prefetch: 1,
          deliver(frame, tag) {
            acked.push(text(frame));
            rest.ack(tag);
          },
        });
        await turn();
        await turn();
        expect(acked.map(Number).sort((a, b) => a - b)).toEqual(Array.from({ length: put }, (_, i) => i));
        broker.close(new Error('end of the test'));
      }),
      { numRuns: 150 },
    );
  });
});

describe('the memory transport', () => {
  it('shares a broker per name, and forgets it with its last transport', async () => {
    const one = await connectTransport('memory:shared');
    const two = await connectTransport('memory:shared');
    const other = await connectTransport('memory:apart');
    await one.send('work', envelope('a'));
    await one.close();
    const inbox = await reading(two, 'work');
    await inbox.until(1);
    await two.send('work-2', envelope('b'));
    await two.close();
    const again = await connectTransport('memory:shared');
    const fresh = await reading(again, 'work-2');
    await again.send('work-2', envelope('c'));
    expect((await fresh.until(1)).map((d) => text(d.envelope))).toEqual(['c']);
    expect(again.url).toBe('memory:shared');
    await again.close();
    await other.close();
  });

  it('passes envelopes by reference', async () => {
    const transport = await connectTransport('memory:by-reference');
    const inbox = await reading(transport, 'work');
    const sent = envelope('x');
    await transport.send('work', sent);
    expect((await inbox.until(1))[0]!.envelope).toBe(sent);
    await transport.close();
  });
});

describe('a deque', () => {
  it('behaves as an array does', () => {
    const step = fc.oneof(
      fc.record({ do: fc.constantFrom('push' as const, 'unshift' as const), value: fc.nat() }),
      fc.record({ do: fc.constantFrom('shift' as const) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const deque = new Deque<number>();
        const model: number[] = [];
        for (const each of steps) {
          if (each.do === 'shift') expect(deque.shift()).toBe(model.shift());
          else {
            deque[each.do](each.value);
            model[each.do](each.value);
          }
          expect([deque.size, deque.peek()]).toEqual([model.length, model[0]]);
        }
      }),
    );
  });
});

describe('the frame parser', () => {
  it('finds the same frames however the stream is cut into chunks', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { maxLength: 12 }),
        fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1 }),
        (frames, cuts) => {
          const stream = Buffer.concat(
            frames.flatMap((frame) => {
              const length = Buffer.alloc(4);
              length.writeUInt32LE(frame.length);
              return [length, frame];
            }),
          );
          const seen: number[][] = [];
          const parser = new FrameParser((bytes) => seen.push([...bytes]));
          for (let pos = 0, i = 0; pos < stream.length; i++) {
            const size = cuts[i % cuts.length]!;
            parser.push(stream.subarray(pos, pos + size));
            pos += size;
          }
          expect(seen).toEqual(frames.map((frame) => [...frame]));
        },
      ),
      { numRuns: 300 },
    );
  });

  it('takes memory for what has arrived, not for what a length promises', () => {
    const parser = new FrameParser(() => undefined);
    parser.maxBytes = 0xffff_ffff;
    const before = process.memoryUsage().arrayBuffers;
    parser.push(Buffer.of(0xf0, 0xff, 0xff, 0xff));
    parser.push(Buffer.alloc(1000));
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(10_000_000);
  });
});
