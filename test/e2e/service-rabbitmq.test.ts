import { beforeAll } from 'vitest';
import { newId } from '../../src/core/ids.ts';
import { sharedRabbitmq } from '../support/rabbitmq.ts';
import { describeWith } from '../support/requires.ts';
import { fencesLeaders, opening, survivesKills } from './service-cases.ts';

describeWith(['rabbitmq'], 'a dispatcher service over RabbitMQ', () => {
  let url: string;
  beforeAll(async () => (url = await sharedRabbitmq()), 120_000);
  const open = opening(() => `${url}?cluster=${newId('e2e')}`);
  survivesKills(open);
  fencesLeaders(open);
});
