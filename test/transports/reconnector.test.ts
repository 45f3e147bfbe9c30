import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/core/ids.ts';
import { transportErrors } from '../../src/transports/errors.ts';
import { createKeepAlive } from '../../src/transports/keep-alive.ts';
import { Reconnector, type Session } from '../../src/transports/reconnector.ts';
import { REMOTE_DEFAULTS } from '../../src/transports/settings.ts';
import { FakeClock } from '../registry/fake-clock.ts';

/** The side of the broker: takes connections or refuses them, and notes when somebody tried. */
class Door {
  readonly clock = new FakeClock();
  readonly attempts: number[] = [];
  readonly lost: ((reason: Error) => void)[] = [];
  open = true;
  /** Takes connections, and says nothing on them. */
  silent = false;

  readonly attempt = async (lost: (reason: Error) => void): Promise<Session> => {
    this.attempts.push(this.clock.now());
    if (!this.open) throw new Error('refused');
    this.lost.push(lost);
    return { end: async () => undefined, destroy: () => undefined };
  };

  client(seed: number, givenUp: (error: Error) => void = () => undefined): Reconnector<Session> {
    const settings = { ...REMOTE_DEFAULTS, clock: this.clock, random: seededRandom(seed) };
    const nothing = (): void => undefined;
    return new Reconnector<Session>({
      ...{ url: 'test:', settings, keepAlive: createKeepAlive(), attempt: this.attempt },
      ...{ connected: () => (this.silent ? new Promise(() => undefined) : Promise.resolve()), ready: nothing, disconnected: nothing, givenUp },
    });
  }

  async pass(ms: number): Promise<void> {
    for (let i = 0; i < ms / 10; i++) {
      this.clock.advance(10);
      await turn();
    }
  }
}

describe('connecting again', () => {
  it('leaves a broker that takes connections and does not answer, ever more patient, until it does', async () => {
    const door = new Door();
    const client = door.client(1);
    await client.open();
    const reasons: string[] = [];
    client.onConnection((state, reason) => void (state === 'disconnected' && reasons.push(reason?.message ?? '')));
    door.silent = true;
    door.attempts.length = 0;
    door.lost.splice(0)[0]?.(transportErrors.LOST({ url: 'test:', reason: 'restart' }));
    await door.pass(30_000);
    expect(client.session).toBeUndefined();
    // After 2, 4, 8, 10, 10 s, with pauses of less than a second at first.
    expect(door.attempts.length).toBeGreaterThanOrEqual(4);
    expect(door.attempts.length).toBeLessThanOrEqual(5);
    expect(reasons[1]).toContain('it takes connections, but has not answered for 2000 ms');
    expect(reasons[2]).toContain('4000 ms');
    door.silent = false;
    await door.pass(12_000);
    expect(client.session).toBeDefined();
    await client.close();
  });

  it('spreads a hundred clients that lost their broker together, and none is forgotten', async () => {
    const door = new Door();
    const clients = Array.from({ length: 100 }, (_, i) => door.client(i + 1));
    await Promise.all(clients.map((client) => client.open()));
    door.open = false;
    door.attempts.length = 0;
    const began = door.clock.now();
    for (const lost of door.lost.splice(0)) lost(transportErrors.LOST({ url: 'test:', reason: 'restart' }));
    await door.pass(10_000);
    const later = door.attempts.filter((at) => at - began > 4000);
    // Pauses of 0 to 2 s by then: about one attempt a client a second, and at no moment a crowd.
    expect(later.length).toBeGreaterThan(300);
    expect(later.length).toBeLessThan(1200);
    const crowds = Map.groupBy(later, (at) => Math.floor(at / 100));
    expect(Math.max(...[...crowds.values()].map(({ length }) => length))).toBeLessThan(40);
    door.open = true;
    await door.pass(3000);
    expect(clients.filter(({ session }) => session === undefined)).toEqual([]);
    await Promise.all(clients.map((client) => client.close()));
  });

  it('gives up what waits when it takes too long, goes on trying, and is of use again', async () => {
    const door = new Door();
    const given: Error[] = [];
    const client = door.client(1, (error) => given.push(error));
    await client.open();
    door.open = false;
    door.lost[0]!(transportErrors.LOST({ url: 'test:', reason: 'gone' }));
    await door.pass(31_000);
    expect(given).toMatchObject([{ code: 'SP_TRANSPORT_DISCONNECTED' }]);
    expect(() => client.check()).toThrow(expect.objectContaining({ code: 'SP_TRANSPORT_DISCONNECTED' }));
    door.open = true;
    await door.pass(3000);
    client.check();
    await client.close();
  });

  it('asks a broker that refuses the password again and again only after it was connected once', async () => {
    const door = new Door();
    const refused = transportErrors.AUTHENTICATION({ url: 'test:', reason: 'WRONGPASS' });
    let tries = 0;
    const settings = { ...REMOTE_DEFAULTS, clock: door.clock, random: seededRandom(1) };
    const nothing = (): void => undefined;
    const client = new Reconnector<Session>({
      ...{ url: 'test:', settings, keepAlive: createKeepAlive() },
      attempt: async () => {
        tries++;
        throw refused;
      },
      ...{ connected: async () => undefined, ready: nothing, disconnected: nothing, givenUp: nothing },
    });
    await expect(client.open()).rejects.toBe(refused);
    await door.pass(5000);
    expect(tries).toBe(1);
  });
});
