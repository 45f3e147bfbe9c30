import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { newId } from '../../src/core/ids.ts';
import { startRedis, type RedisServer } from '../support/redis.ts';
import { describeWith } from '../support/requires.ts';
import { SUMS } from './cluster.ts';
import { fencesLeaders, midway, opening, right, servesApplications, survivesKills, TIME } from './service-cases.ts';

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

  test('Redis is flushed in the middle of a job: what was lost with it is dispatched again', TIME, async () => {
    const redis = new Redis(server.url);
    try {
      const c = await open();
      await c.dispatcher();
      await Promise.all([c.worker(), c.worker()]);
      const program = await c.program([SUMS, '50']);
      await c.until(midway());
      await redis.flushall();
      await right(program);
    } finally {
      redis.disconnect();
    }
  });
});

describeWith(['redis'], 'a dispatcher service over a Redis with an append-only file', () => {
  let server: RedisServer;
  beforeAll(async () => (server = await startRedis({ appendOnly: true })));
  afterAll(() => server.stop());
  const open = opening(() => `${server.url}?cluster=${newId('e2e')}`);

  test('Redis is killed in the middle of a job and starts again: nothing is lost, nothing counted twice', TIME, async () => {
    const c = await open();
    await c.dispatcher();
    await Promise.all([c.worker(), c.worker()]);
    const program = await c.program([SUMS, '50']);
    await c.until(midway());
    await server.restart();
    await right(program);
  });
});
