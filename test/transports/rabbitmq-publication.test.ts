import type { ConfirmChannel } from 'amqplib';
import { connect } from 'amqplib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PublicationWriter } from '../../src/transports/rabbitmq/publication.ts';
import { sharedRabbitmq } from '../support/rabbitmq.ts';
import { describeWith } from '../support/requires.ts';

describeWith(['rabbitmq'], 'messages written onto a channel', () => {
  test.each([131_072, 4096])('arrive as they are, of any size, with frames of at most %i bytes', async (frameMax) => {
    const url = await sharedRabbitmq();
    const connection = await connect(`${url}?frameMax=${frameMax}`);
    try {
      const [publisher, consumer] = [await connection.createConfirmChannel(), await connection.createChannel()];
      const { queue } = await consumer.assertQueue('', { exclusive: true });
      const arrived: { id: unknown; headers: unknown; mode: unknown; content: Buffer }[] = [];
      let wake = (): void => undefined;
      await consumer.consume(
        queue,
        (message) => {
          if (message === null) return;
          const { messageId, headers, deliveryMode } = message.properties as { messageId: unknown; headers: unknown; deliveryMode: unknown };
          arrived.push({ id: messageId, headers, mode: deliveryMode, content: message.content });
          wake();
        },
        { noAck: true },
      );
      const writer = new PublicationWriter(publisher);
      const method = writer.method(queue);
      const size = fc.oneof(fc.nat(600), fc.integer({ min: 4000, max: 4200 }), fc.integer({ min: 131_000, max: 131_200 }), fc.nat(400_000));
      const headers = fc.option(fc.record({ l: fc.constantFrom('body-0123456789ab', ''), n: fc.nat(2 ** 40) }), { nil: undefined });
      const messages = fc.array(fc.tuple(fc.integer({ min: 1, max: 6000 }), size, headers), { minLength: 1, maxLength: 6 });
      await fc.assert(
        fc.asyncProperty(messages, async (all) => {
          arrived.length = 0;
          const written = all.map(([head, body, table], i) => {
            const parts = { messageId: `client-x:${i}`, headers: table, head: Buffer.alloc(head, i + 1), body: Buffer.alloc(body, i + 101) };
            return { ...parts, confirmed: new Promise<unknown>((resolve) => writer.write(method, parts, resolve)) };
          });
          expect(await Promise.all(written.map(({ confirmed }) => confirmed))).toEqual(written.map(() => null));
          while (arrived.length < written.length) await new Promise<void>((resolve) => (wake = resolve));
          for (const [i, { messageId, headers: table, head, body }] of written.entries()) {
            const { id, headers: got, mode, content } = arrived[i]!;
            expect({ id, got, mode }).toEqual({ id: messageId, got: table, mode: 2 });
            expect(content.equals(Buffer.concat([head, body]))).toBe(true);
          }
        }),
        { numRuns: 40 },
      );
    } finally {
      await connection.close();
    }
  });

  test('come back when there is no such queue', async () => {
    const url = await sharedRabbitmq();
    const connection = await connect(url);
    try {
      const channel: ConfirmChannel = await connection.createConfirmChannel();
      const returned = new Promise<unknown>((resolve) =>
        channel.once('return', ({ properties }: { properties: { messageId: unknown } }) => resolve(properties.messageId)),
      );
      const writer = new PublicationWriter(channel);
      const parts = { messageId: 'nobody:1', headers: undefined, head: Buffer.from('head'), body: Buffer.from('body') };
      const confirmed = new Promise<unknown>((resolve) => writer.write(writer.method('there is no such queue'), parts, resolve));
      expect(await returned).toBe('nobody:1');
      expect(await confirmed).toBe(null);
    } finally {
      await connection.close();
    }
  });
});
