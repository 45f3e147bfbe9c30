import { afterAll, beforeAll, test } from 'vitest';
import { newId } from '../../src/core/ids.ts';
import { sharedRabbitmq, startRabbitmq, type RabbitmqServer } from '../support/rabbitmq.ts';
import { describeWith } from '../support/requires.ts';
import { SUMS } from './cluster.ts';
import { fencesLeaders, midway, opening, right, survivesKills, TIME } from './service-cases.ts';

describeWith(['rabbitmq'], 'a dispatcher service over RabbitMQ', () => {
  let url: string;
  beforeAll(async () => (url = await sharedRabbitmq()), 120_000);
  const open = opening(() => `${url}?cluster=${newId('e2e')}`);
  survivesKills(open);
  fencesLeaders(open);
});

describeWith(['rabbitmq'], 'a dispatcher service over a RabbitMQ that is restarted', () => {
  let server: RabbitmqServer;
  beforeAll(async () => (server = await startRabbitmq()), 120_000);
  afterAll(() => server.stop());
  const open = opening(() => `${server.url}?cluster=${newId('e2e')}`);

  test('RabbitMQ is killed in the middle of a job and starts again: nothing is lost, nothing counted twice', TIME, async () => {
    const c = await open();
    await c.dispatcher();
    await Promise.all([c.worker(), c.worker()]);
    const program = await c.program([SUMS, '50']);
    await c.until(midway());
    await server.restart();
    await right(program);
  });
});
