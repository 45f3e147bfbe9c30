import type { Channel, ConsumeMessage } from 'amqplib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { Acknowledgements } from '../../src/transports/rabbitmq/acknowledgements.ts';

/** A channel as RabbitMQ keeps it: tags count from 1, an answer for one that is not open closes the channel. */
class BrokerChannel {
  readonly open = new Set<number>();
  readonly acked = new Set<number>();
  readonly returned = new Set<number>();
  writes = 0;
  onWrite: () => void = () => undefined;
  #last = 0;

  deliver(): ConsumeMessage {
    const deliveryTag = ++this.#last;
    this.open.add(deliveryTag);
    return { fields: { deliveryTag } } as ConsumeMessage;
  }

  ack({ fields: { deliveryTag } }: ConsumeMessage, upTo = false): void {
    this.writes++;
    if (!this.open.has(deliveryTag)) throw new Error(`unknown delivery tag ${deliveryTag}`);
    for (const tag of upTo ? [...this.open].filter((each) => each <= deliveryTag) : [deliveryTag]) {
      this.open.delete(tag);
      this.acked.add(tag);
    }
    this.onWrite();
  }

  nack({ fields: { deliveryTag } }: ConsumeMessage): void {
    if (!this.open.delete(deliveryTag)) throw new Error(`unknown delivery tag ${deliveryTag}`);
    this.returned.add(deliveryTag);
  }
}

const start = (): { broker: BrokerChannel; acks: Acknowledgements } => {
  const broker = new BrokerChannel();
  return { broker, acks: new Acknowledgements(broker as unknown as Channel, 1000, systemClock) };
};

test('exactly what was acknowledged is acknowledged, in whatever order it is, and what was given back is not', () => {
  const step = fc.oneof(fc.constant('deliver' as const), fc.constant('flush' as const), fc.tuple(fc.constantFrom('ack', 'back'), fc.nat(30)));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const { broker, acks } = start();
      const inHand: ConsumeMessage[] = [];
      const [acked, returned] = [new Set<number>(), new Set<number>()];
      for (const each of steps) {
        if (each === 'deliver') inHand.push(broker.deliver());
        else if (each === 'flush') {
          acks.flush();
          expect(broker.acked).toEqual(acked);
        } else {
          const [message] = inHand.splice(each[1] % Math.max(inHand.length, 1), 1);
          if (message === undefined) continue;
          (each[0] === 'ack' ? acked : returned).add(message.fields.deliveryTag);
          if (each[0] === 'ack') acks.add(message);
          else acks.giveBack(message);
        }
      }
      acks.flush();
      expect({ acked: broker.acked, returned: broker.returned }).toEqual({ acked, returned });
      expect(broker.open).toEqual(new Set(inHand.map(({ fields }) => fields.deliveryTag)));
    }),
    { numRuns: 500 },
  );
});

test('frames in a row are acknowledged as one, and a single one without being asked', async () => {
  const { broker, acks } = start();
  for (const message of Array.from({ length: 10 }, () => broker.deliver())) acks.add(message);
  acks.flush();
  expect({ acked: broker.acked.size, writes: broker.writes }).toEqual({ acked: 10, writes: 1 });
  // The timer keeps no process alive, nor this one.
  const alive = setInterval(() => undefined, 1000);
  await new Promise<void>((resolve) => {
    broker.onWrite = resolve;
    acks.add(broker.deliver());
  });
  clearInterval(alive);
  expect(broker.acked.size).toBe(11);
});

test('nothing is written once it was stopped', async () => {
  const { broker, acks } = start();
  acks.add(broker.deliver());
  acks.stop();
  for (let i = 0; i < 40; i++) acks.add(broker.deliver());
  acks.stop();
  await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => setImmediate(resolve));
  expect(broker.writes).toBe(0);
});
