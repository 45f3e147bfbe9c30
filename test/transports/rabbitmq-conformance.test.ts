import { beforeAll } from 'vitest';
import { transportConformance } from '../conformance/transport.ts';
import { brokerHarness } from '../support/broker-harness.ts';
import { sharedRabbitmq } from '../support/rabbitmq.ts';
import { describeWith } from '../support/requires.ts';

describeWith(['rabbitmq'], 'rabbitmq', () => {
  let url: string;
  beforeAll(async () => {
    url = await sharedRabbitmq();
  }, 120_000);

  transportConformance('rabbitmq, quorum queues', (limits) => brokerHarness(url, limits), { manyQueues: 30 });
  transportConformance('rabbitmq, classic queues', (limits) => brokerHarness(url, { queueType: 'classic', ...limits }), { manyQueues: 100 });
});
