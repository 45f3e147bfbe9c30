import { afterAll, beforeAll } from 'vitest';
import { transportConformance } from '../conformance/transport.ts';
import { brokerHarness } from '../support/broker-harness.ts';
import { startRedis, type RedisServer } from '../support/redis.ts';
import { describeWith } from '../support/requires.ts';

describeWith(['redis'], 'redis', () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await startRedis();
  });
  afterAll(() => server.stop());

  transportConformance('redis', (limits) => brokerHarness(server.url, { consumerTtlMs: 3000, ...limits }));
});
