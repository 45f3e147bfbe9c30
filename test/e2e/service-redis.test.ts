import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { newId } from '../../src/core/ids.ts';
import { startRedis, type RedisServer } from '../support/redis.ts';
import { describeWith } from '../support/requires.ts';
import { SUMS } from './cluster.ts';
import { fencesLeaders, opening, right, servesApplications, survivesKills, TIME } from './service-cases.ts';

describeWith(['redis'], 'a dispatcher service over Redis', () => {
  let server: RedisServer;
  beforeAll(async () => (server = await startRedis()));
  afterAll(() => server.stop());
  const open = opening(() => `${server.url}?cluster=${newId('e2e')}`);
  servesApplications(open);
  survivesKills(open);
  fencesLeaders(open);

  test('stopped in good order, a cluster leaves no key', TIME, async () => {
    const redis = new Redis(server.url);
    try {
      await redis.flushall();
      const c = await open();
      const dispatcher = await c.dispatcher();
      const worker = await c.worker();
      await right(await c.program([SUMS, '1']));
      await c.until(({ applications }) => applications.length === 0);
      expect(await worker.end('SIGTERM')).toBe(0);
      await c.until(({ workers }) => workers.every(({ state }) => state === 'lost'));
      await c.hangUp();
      expect(await dispatcher.end('SIGTERM')).toBe(0);
      expect(await redis.keys('*')).toEqual([]);
    } finally {
      redis.disconnect();
    }
  });
});
