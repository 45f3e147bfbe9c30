/** The register center on real servers: Redis, RabbitMQ, and tcp alone. */
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { newId } from '../../src/core/ids.ts';
import { createDispatcher } from '../../src/dispatcher/service.ts';
import type { RegisterCenter, Registration, RegistryEvent } from '../../src/registry/contract.ts';
import { createRegisterCenter } from '../../src/registry/index.ts';
import { createSelector } from '../../src/selectors/index.ts';
import type { Transport } from '../../src/transports/contract.ts';
import { connectTransport } from '../../src/transports/index.ts';
import { createWorkerHost } from '../../src/worker/index.ts';
import { sharedRabbitmq } from '../support/rabbitmq.ts';
import { startRedis, type RedisServer } from '../support/redis.ts';
import { describeWith } from '../support/requires.ts';
import { freePort } from '../support/server-process.ts';

const TIME = { timeout: 120_000 };
const BEATS = { beatMs: 100, ttlMs: 1000 };
const entry = (kind: Registration['kind'], id: string, more: Partial<Registration> = {}): Registration => ({
  ...{ kind, id, host: 'h', pid: 1, version: '1', slots: 2, kinds: ['js'], labels: { zone: 'a' }, queue: `${kind}.${id}` },
  ...more,
});

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
}, 60_000);

interface Member {
  readonly transport: Transport;
  readonly registry: RegisterCenter;
  /** What it has heard, a line an event but beats. */
  readonly heard: string[];
  beats: number;
}

/** `connect` gives each caller a connection of its own. */
function keeps(connect: () => Promise<Transport>): void {
  async function member(watches: readonly Registration['kind'][] = []): Promise<Member> {
    const transport = await connect();
    ends.push(() => transport.close());
    const registry = createRegisterCenter(transport, BEATS);
    ends.push(() => registry.close());
    const one: Member = { transport, registry, heard: [], beats: 0 };
    const note = (event: RegistryEvent): void => {
      if (event.type === 'beat') one.beats++;
      else one.heard.push(event.type === 'joined' ? `joined ${event.entry.id}` : `left ${event.id} ${event.reason}`);
    };
    for (const kind of watches) await registry.watch(kind, note);
    return one;
  }
  const hears = (one: Member, line: string): Promise<unknown> => vi.waitUntil(() => one.heard.includes(line), { timeout: 60_000, interval: 5 });

  test('who announces itself is heard at once and beats; who leaves is heard of no more; who comes late learns of everybody', TIME, async () => {
    const [watcher, announcer] = [await member(['worker', 'application']), await member()];
    const announced = await announcer.registry.announce(entry('worker', 'w1'));
    await announcer.registry.announce(entry('application', 'a1'));
    await hears(watcher, 'joined w1');
    await hears(watcher, 'joined a1');
    await vi.waitUntil(() => watcher.beats >= 3, { timeout: 60_000 });
    const late = await member(['worker']);
    await hears(late, 'joined w1');
    expect(late.heard).toEqual(['joined w1']);
    await announced.leave();
    await hears(watcher, 'left w1 left');
  });

  test('an entry whose process is gone without a word expires', TIME, async () => {
    const [watcher, announcer] = [await member(['worker']), await member()];
    await announcer.registry.announce(entry('worker', 'w1'));
    await hears(watcher, 'joined w1');
    // As a SIGKILL does: no word of leaving.
    await announcer.transport.close();
    await hears(watcher, 'left w1 expired');
  });

  test('a dispatcher and a worker find each other, the worker hears of new applications, both are gone when they are closed', TIME, async () => {
    const watcher = await member(['dispatcher', 'worker']);
    const forWorker = await member(['application']);
    const worker = await createWorkerHost({
      ...{ transport: forWorker.transport, registry: forWorker.registry, slots: 2, id: 'w1' },
      runners: [{ kind: 'js', run: () => Promise.resolve(new Uint8Array()), kill: () => undefined, close: () => Promise.resolve() }],
    });
    ends.push(() => worker.close());
    const { transport, registry } = await member();
    const dispatcher = await createDispatcher({ transport, registry, selector: createSelector('PULL'), id: 'd1' });
    ends.push(() => dispatcher.close());
    await vi.waitUntil(() => dispatcher.capacity().workers === 1, { timeout: 60_000 });
    await hears(watcher, 'joined d1');
    const application = await (await member()).registry.announce(entry('application', 'a1', { slots: 0 }));
    await hears(forWorker, 'joined a1');
    await application.leave();
    await hears(forWorker, 'left a1 left');
    await dispatcher.close();
    await hears(watcher, 'left d1 left');
    await worker.close();
    await hears(watcher, 'left w1 left');
  });
}

describe('the register center over tcp alone', () => {
  let hub: Transport;
  beforeAll(async () => (hub = await connectTransport(`tcp://127.0.0.1:${await freePort()}`, { role: 'hub' })));
  afterAll(() => hub.close());
  keeps(() => connectTransport(hub.url, { role: 'client' }));
});

describeWith(['redis'], 'the register center over Redis', () => {
  let server: RedisServer;
  beforeAll(async () => (server = await startRedis()), 60_000);
  afterAll(() => server.stop());
  keeps(() => connectTransport(server.url));

  test('when everybody has left, no key is left', TIME, async () => {
    const redis = new Redis(server.url);
    try {
      await redis.flushall();
      const transport = await connectTransport(`${server.url}?cluster=${newId('registry')}`);
      const registry = createRegisterCenter(transport, BEATS);
      await registry.watch('worker', () => undefined);
      await registry.announce(entry('worker', 'w1'));
      expect(await redis.keys('*')).not.toEqual([]);
      await registry.close();
      await transport.close();
      expect(await redis.keys('*')).toEqual([]);
    } finally {
      redis.disconnect();
    }
  });
});

describeWith(['rabbitmq'], 'the register center over RabbitMQ', () => {
  let url: string;
  beforeAll(async () => (url = `${await sharedRabbitmq()}?cluster=${newId('registry')}`), 120_000);
  keeps(() => connectTransport(url));
});
