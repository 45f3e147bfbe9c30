import { connect, type ConfirmChannel } from 'amqplib';
import { PAYLOAD_BYTES, RESULT_BYTES, type Spec, type System } from './contract.ts';

const PREFETCH = 256;

async function open({ address, key, queueType = 'classic' }: Spec, queue: string, handle: (frame: Buffer) => void): Promise<ConfirmChannel> {
  const own = await connect(address, { noDelay: true });
  const [publisher, consumer] = [await own.createConfirmChannel(), await own.createChannel()];
  for (const each of ['tasks', 'results']) await consumer.assertQueue(`${key}:${each}`, { durable: true, arguments: { 'x-queue-type': queueType } });
  await consumer.prefetch(PREFETCH);
  await consumer.consume(`${key}:${queue}`, (message) => {
    if (message === null) return;
    handle(message.content);
    consumer.ack(message);
  });
  return publisher;
}

function publish(channel: ConfirmChannel, queue: string, frame: Buffer): void {
  channel.publish('', queue, frame, { persistent: true }, () => undefined);
}

/** The bare client on RabbitMQ: durable queues, persistent messages of as many tasks as a frame, confirms, Nagle off. */
export const rawRabbitmq: System = {
  async client(spec, onDone, startWorker) {
    const channel = await open(spec, 'results', (frame) => onDone(frame.length / RESULT_BYTES));
    await startWorker(spec);
    return {
      submit: (tasks) => publish(channel, `${spec.key}:tasks`, Buffer.alloc(PAYLOAD_BYTES * tasks)),
      close: async () => undefined,
    };
  },
  async worker(spec) {
    const channel: ConfirmChannel = await open(spec, 'tasks', (frame) =>
      publish(channel, `${spec.key}:results`, Buffer.alloc((frame.length / PAYLOAD_BYTES) * RESULT_BYTES)),
    );
  },
};
