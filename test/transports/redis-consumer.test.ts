import { expect, it } from 'vitest';
import { encodeEnvelope } from '../../src/protocol/codec.ts';
import { transportErrors } from '../../src/transports/errors.ts';
import { RedisConsumer } from '../../src/transports/redis/consumers.ts';
import { envelope } from '../conformance/transport.ts';

/** How a frame whose body is beside the queue is answered when the body cannot be fetched. */
async function answerTo(error: Error): Promise<'acknowledged' | 'given back'> {
  return await new Promise((resolve) => {
    const host = { maxFrameBytes: 1000, dirty: () => resolve('acknowledged'), nack: () => resolve('given back'), fetch: () => Promise.reject(error) };
    const consumer = new RedisConsumer('q', 1, 1, host, () => undefined);
    const head = Buffer.from(encodeEnvelope(envelope('')));
    consumer.receive({ consumer: 1, generation: 0, redelivered: false, tag: '1-0', envelope: head, body: undefined, length: 500 });
  });
}

it('gives a frame back whose body cannot be fetched for now', async () => {
  for (const error of [new Error('LOADING Redis is loading the dataset in memory'), transportErrors.LOST({ url: 'redis', reason: 'cut' })])
    expect(await answerTo(error)).toBe('given back');
});

it('drops a frame whose body is gone, so that it does not come back for ever', async () => {
  expect(await answerTo(transportErrors.BAD_FRAME({ reason: 'the body of a large frame is gone' }))).toBe('acknowledged');
});
