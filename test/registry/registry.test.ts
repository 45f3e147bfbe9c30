import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Registration, RegistryEvent } from '../../src/registry/contract.ts';
import { createRegisterCenter, type RegisterCenterOptions } from '../../src/registry/index.ts';
import type { Transport } from '../../src/transports/contract.ts';
import { connectTransport } from '../../src/transports/index.ts';
import { FakeClock } from './fake-clock.ts';

const IDLE = { running: 0, queued: 0, draining: false };

function worker(id: string, extra: Partial<Registration> = {}): Registration {
  return { kind: 'worker', id, host: 'host-1', pid: 4711, version: '0.1.0', slots: 2, kinds: ['js'], labels: { zone: 'a' }, queue: `worker.${id}`, ...extra };
}

/** Lets everything said so far be heard. */
async function heard(): Promise<void> {
  for (let i = 0; i < 5; i++) await turn();
}

/** A transport whose connection is lost and found on demand: broadcasts fail in between, nothing arrives. */
function flaky(transport: Transport): Transport & { setConnected: (connected: boolean) => void; setDeaf: (deaf: boolean) => void } {
  let connected = true;
  let deaf = false;
  const listeners = new Set<(state: 'connected' | 'disconnected') => void>();
  return {
    ...transport,
    broadcast: (topic, envelope) => (connected ? transport.broadcast(topic, envelope) : Promise.reject(new Error('not connected'))),
    subscribe: (topic, handler) => transport.subscribe(topic, (envelope) => (connected && !deaf ? handler(envelope) : undefined)),
    onConnection(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    setDeaf: (now) => (deaf = now),
    setConnected(now) {
      connected = now;
      for (const listener of listeners) listener(now ? 'connected' : 'disconnected');
    },
  };
}

describe('the register center', () => {
  let names = 0;
  let clock: FakeClock;
  let url: string;
  let open: { close(): Promise<void> }[];

  beforeEach(() => {
    clock = new FakeClock();
    url = `memory:registry-${names++}`;
    open = [];
  });

  afterEach(async () => {
    for (const each of open.toReversed()) await each.close();
    expect(clock.pending).toBe(0);
  });

  const transport = async (): Promise<Transport> => {
    const made = await connectTransport(url);
    open.push(made);
    return made;
  };

  const center = async (options: RegisterCenterOptions & { transport?: Transport } = {}) => {
    const made = createRegisterCenter(options.transport ?? (await transport()), { clock, ...options });
    open.push(made);
    return made;
  };

  const watching = async (options: RegisterCenterOptions & { transport?: Transport } = {}, kind: Registration['kind'] = 'worker') => {
    const events: RegistryEvent[] = [];
    const made = await center(options);
    const unwatch = await made.watch(kind, (event) => events.push(event));
    return { events, unwatch, center: made };
  };

  const ofType = <T extends RegistryEvent['type']>(events: RegistryEvent[], type: T) => events.filter((event) => event.type === type);

  it('tells a watcher who joins, with everything the entry says', async () => {
    const { events } = await watching();
    await (await center()).announce(worker('w1', { labels: { zone: 'ü', constructor: 'x' } }));
    await heard();
    expect(events).toEqual([{ type: 'joined', entry: worker('w1', { labels: { zone: 'ü', constructor: 'x' } }), load: IDLE }]);
  });

  it('tells a watcher that comes late of everyone at once, without waiting for a beat', async () => {
    const announcing = await center();
    for (const id of ['w1', 'w2', 'w3']) await announcing.announce(worker(id));
    clock.advance(500);
    await heard();
    const { events } = await watching();
    await heard();
    expect(ofType(events, 'joined').map((event) => event.type === 'joined' && event.entry.id)).toEqual(['w1', 'w2', 'w3']);
  });

  it('begins a second watch of the same center with everyone already known', async () => {
    await (await center()).announce(worker('w1'));
    const { center: made } = await watching();
    clock.advance(50);
    await heard();
    const later: RegistryEvent[] = [];
    await made.watch('worker', (event) => later.push(event));
    expect(later).toMatchObject([{ type: 'joined', entry: { id: 'w1' } }]);
  });

  it('drops an entry at once when somebody has seen it die, and tells watchers that it expired', async () => {
    const one = await watching();
    const other = await watching();
    await (await center()).announce(worker('w1'));
    await heard();
    await one.center.evict('w1');
    await heard();
    for (const { events } of [one, other]) expect(ofType(events, 'left')).toEqual([{ type: 'left', id: 'w1', reason: 'expired' }]);
  });

  it('tells watchers of one kind nothing of the others', async () => {
    const workers = await watching();
    const applications = await watching({}, 'application');
    const announcing = await center();
    await announcing.announce(worker('w1'));
    await announcing.announce(worker('a1', { kind: 'application' }));
    await heard();
    expect([workers.events, applications.events].map((events) => events.map((event) => event.type === 'joined' && event.entry.id))).toEqual([['w1'], ['a1']]);
  });

  it('keeps an entry whose beats come, and reports its load', async () => {
    const { events } = await watching();
    const announcement = await (await center()).announce(worker('w1'));
    await heard();
    announcement.update({ running: 2, queued: 5, draining: false });
    await heard();
    expect(events.at(-1)).toEqual({ type: 'beat', id: 'w1', load: { running: 2, queued: 5, draining: false } });
    for (let i = 0; i < 20; i++) {
      clock.advance(1000);
      await heard();
    }
    expect(ofType(events, 'left')).toEqual([]);
    expect(ofType(events, 'beat').length).toBeGreaterThanOrEqual(20);
  });

  it('says a burst of updates as few beats, the last one included, and draining at once', async () => {
    const { events } = await watching();
    const announcement = await (await center()).announce(worker('w1'));
    await heard();
    for (let running = 1; running <= 100; running++) announcement.update({ running, queued: 0, draining: false });
    await heard();
    expect(events.at(-1)).toMatchObject({ type: 'beat', load: { running: 1 } });
    clock.advance(20);
    await heard();
    expect(events.at(-1)).toMatchObject({ type: 'beat', load: { running: 100 } });
    announcement.update({ running: 100, queued: 0, draining: true });
    await heard();
    expect(events.at(-1)).toMatchObject({ type: 'beat', load: { draining: true } });
    expect(ofType(events, 'beat').length).toBe(3);
  });

  it('refuses a load that is none where the caller sees it', async () => {
    const announcement = await (await center()).announce(worker('w1'));
    expect(() => announcement.update({ running: -1, queued: 0, draining: false })).toThrow(expect.objectContaining({ code: 'SP_PROTOCOL_BAD_VALUE' }));
  });

  it('drops an entry whose beats stop, after ttl and not before two missed beats', async () => {
    const mute = flaky(await transport());
    const { events } = await watching();
    const announcing = await center({ transport: mute });
    await announcing.announce(worker('w1'));
    clock.advance(1000);
    await heard();
    mute.setConnected(false);
    for (let i = 0; i < 5; i++) {
      clock.advance(500);
      await heard();
    }
    expect(ofType(events, 'left')).toEqual([]);
    for (let i = 0; i < 2; i++) {
      clock.advance(500);
      await heard();
    }
    expect(ofType(events, 'left')).toEqual([{ type: 'left', id: 'w1', reason: 'expired' }]);
  });

  it('lets an entry that was given up join again when it is heard of', async () => {
    const mute = flaky(await transport());
    const { events } = await watching();
    await (await center({ transport: mute })).announce(worker('w1'));
    await heard();
    mute.setConnected(false);
    for (let i = 0; i < 10; i++) {
      clock.advance(500);
      await heard();
    }
    mute.setConnected(true);
    await heard();
    expect(events.map((event) => event.type).filter((type) => type !== 'beat')).toEqual(['joined', 'left', 'joined']);
  });

  it('asks who it is when a beat comes from nobody it knows', async () => {
    const deaf = flaky(await transport());
    const { events } = await watching({ transport: deaf });
    const announcing = await center();
    clock.advance(5000);
    // The announcement is missed, and no connection event tells of it.
    deaf.setDeaf(true);
    await announcing.announce(worker('w1'));
    await heard();
    expect(events).toEqual([]);
    deaf.setDeaf(false);
    clock.advance(1000);
    await heard();
    await heard();
    expect(ofType(events, 'joined')).toMatchObject([{ entry: { id: 'w1' } }]);
  });

  it('expires nobody because its own event loop was blocked', async () => {
    const { events } = await watching();
    await (await center()).announce(worker('w1'));
    await heard();
    clock.advance(900);
    await heard();
    // The sweep runs before the beats that queued up meanwhile are read.
    clock.block(60_000);
    expect(ofType(events, 'left')).toEqual([]);
    await heard();
    clock.advance(2900);
    await heard();
    expect(ofType(events, 'left')).toEqual([]);
  });

  it('expires nobody while it has no connection itself, and asks again when it has', async () => {
    const deaf = flaky(await transport());
    const { events } = await watching({ transport: deaf, disconnectGraceMs: 30_000 });
    await (await center()).announce(worker('w1'));
    await heard();
    deaf.setConnected(false);
    for (let i = 0; i < 40; i++) {
      clock.advance(500);
      await heard();
    }
    expect(ofType(events, 'left')).toEqual([]);
    const other = await (await center()).announce(worker('w2'));
    await heard();
    clock.advance(50);
    deaf.setConnected(true);
    await heard();
    expect(ofType(events, 'joined').map((event) => event.type === 'joined' && event.entry.id)).toEqual(['w1', 'w2']);
    await other.leave();
  });

  it('gives everyone up when it had no connection for longer than the grace', async () => {
    const deaf = flaky(await transport());
    const { events } = await watching({ transport: deaf, disconnectGraceMs: 10_000 });
    await (await center()).announce(worker('w1'));
    await heard();
    deaf.setConnected(false);
    for (let i = 0; i < 30; i++) {
      clock.advance(500);
      await heard();
    }
    expect(ofType(events, 'left')).toEqual([{ type: 'left', id: 'w1', reason: 'expired' }]);
  });

  it('tells at once of an entry that leaves, and hears no more of it', async () => {
    const { events } = await watching();
    const announcement = await (await center()).announce(worker('w1'));
    await heard();
    await Promise.all([announcement.leave(), announcement.leave()]);
    announcement.update({ running: 1, queued: 0, draining: false });
    await heard();
    for (let i = 0; i < 10; i++) {
      clock.advance(500);
      await heard();
    }
    expect(events.map((event) => event.type)).toEqual(['joined', 'left']);
    expect(events.at(-1)).toEqual({ type: 'left', id: 'w1', reason: 'left' });
  });

  it('leaves for its entries when it is closed', async () => {
    const { events } = await watching();
    const announcing = await center();
    await announcing.announce(worker('w1'));
    await announcing.announce(worker('w2'));
    await heard();
    await announcing.close();
    await heard();
    expect(ofType(events, 'left').length).toBe(2);
    await expect(announcing.announce(worker('w3'))).rejects.toMatchObject({ code: 'SP_REGISTRY_CLOSED' });
    await expect(announcing.watch('worker', () => undefined)).rejects.toMatchObject({ code: 'SP_REGISTRY_CLOSED' });
  });

  it('tells nothing more after unwatch, and goes on when a listener throws', async () => {
    const { events, unwatch, center: made } = await watching();
    await made.watch('worker', () => {
      throw new Error('a fault of the test');
    });
    const others: RegistryEvent[] = [];
    await made.watch('worker', (event) => others.push(event));
    unwatch();
    await (await center()).announce(worker('w1'));
    await heard();
    expect(events).toEqual([]);
    expect(others.length).toBe(1);
  });

  it('ignores messages that are none, and goes on', async () => {
    const { events } = await watching();
    const raw = await transport();
    for (const type of ['announce', 'beat', 'leave', '__proto__', 'who']) {
      await raw.broadcast('registry', { id: 'x', type, sender: 'x', replyTo: '', body: Uint8Array.of(1, 255, 255, 255, 255) });
    }
    await (await center()).announce(worker('w1'));
    await heard();
    expect(events.length).toBe(1);
    expect(({} as Record<string, unknown>)['zone']).toBeUndefined();
  });

  it('keeps a label named __proto__ a label', async () => {
    const { events } = await watching();
    await (await center()).announce(worker('w1', { labels: JSON.parse('{"__proto__": "polluted"}') as Record<string, string> }));
    await heard();
    const [joined] = events;
    expect(joined?.type === 'joined' && Object.entries(joined.entry.labels)).toEqual([['__proto__', 'polluted']]);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });

  it('refuses a ttl below two beats, and entries that cannot be announced', async () => {
    const made = await transport();
    expect(() => createRegisterCenter(made, { clock, beatMs: 1000, ttlMs: 1999 })).toThrow(expect.objectContaining({ code: 'SP_REGISTRY_BAD_OPTION' }));
    await expect((await center()).announce(worker('w1', { slots: 0.5 }))).rejects.toMatchObject({ code: 'SP_REGISTRY_BAD_ENTRY' });
  });

  it('works the same through a tcp hub', async () => {
    const hub = await connectTransport('tcp://127.0.0.1:0', { role: 'hub' });
    const client = await connectTransport(hub.url);
    open.push(hub, client);
    const joined = Promise.withResolvers<string>();
    const left = Promise.withResolvers<string>();
    const announcing = await center({ transport: client });
    const announcement = await announcing.announce(worker('w1'));
    await (
      await center({ transport: hub })
    ).watch('worker', (event) => {
      if (event.type === 'joined') joined.resolve(event.entry.id);
      if (event.type === 'left') left.resolve(event.reason);
    });
    // The fake clock stands still: only the answer to `who` can tell.
    clock.advance(60);
    expect(await joined.promise).toBe('w1');
    await announcement.leave();
    expect(await left.promise).toBe('left');
  });
});
