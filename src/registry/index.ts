import { atMost, systemClock, type Clock } from '../core/clock.ts';
import { newId } from '../core/ids.ts';
import { createLogger } from '../core/logger.ts';
import { rarely } from '../core/rarely.ts';
import { envelopeFactory } from '../protocol/batch.ts';
import type { Envelope } from '../protocol/envelope.ts';
import { EMPTY_BYTES } from '../protocol/task.ts';
import type { Subscription, Transport } from '../transports/contract.ts';
import { createAnnouncer, type Announcer } from './announcer.ts';
import type { Announcement, RegisterCenter, Registration, RegistryEvent } from './contract.ts';
import { registryErrors } from './errors.ts';
import { Members } from './members.ts';
import { decodeAnnounce, decodeBeat, decodeLeave, encodeAnnounce, encodeLeave, REGISTRY_MESSAGE } from './messages.ts';

export interface RegisterCenterOptions {
  /** How often an entry says that it is alive, milliseconds; the same on every process. @defaultValue 1000 */
  readonly beatMs?: number;
  /** An entry not heard of for this long is gone, milliseconds; at least two beats. @defaultValue 3000 */
  readonly ttlMs?: number;
  /** While this process has no connection nobody expires, for up to so long, milliseconds. @defaultValue 30000 */
  readonly disconnectGraceMs?: number;
  /** @defaultValue systemClock */
  readonly clock?: Clock;
}

/** Announcements, beats and leaves; read by those who watch. */
const TOPIC = 'registry';
/** "Who is there?"; read by those who announce, so that a thousand workers do not read each other's beats. */
const WHO_TOPIC = 'registry.who';

/** How long `close` waits for its last words to be taken. */
const CLOSE_MS = 2000;

const logger = createLogger('registry');
/** Every process of a cluster is heard, so one of another version or key would fill the log. */
const REFUSED_MS = 1000;

/**
 * The register center on the topics of a transport: no broker feature is needed beyond broadcast, and it keeps nothing that
 * cannot be asked for again.
 * @throws SP_REGISTRY_BAD_OPTION
 */
export function createRegisterCenter(transport: Transport, options: RegisterCenterOptions = {}): RegisterCenter {
  const { beatMs = 1000, ttlMs = 3000, disconnectGraceMs = 30_000, clock = systemClock } = options;
  if (!(beatMs > 0)) throw registryErrors.BAD_OPTION({ option: 'beatMs', value: beatMs, reason: 'it must be more than 0' });
  if (!(ttlMs >= 2 * beatMs)) throw registryErrors.BAD_OPTION({ option: 'ttlMs', value: ttlMs, reason: `it must be at least two beats (${2 * beatMs})` });

  const makeEnvelope = envelopeFactory(newId('registry'));
  const listeners = new Map<Registration['kind'], Set<(event: RegistryEvent) => void>>();
  const announcers = new Set<Announcer>();
  const refused = rarely(
    REFUSED_MS,
    (messages, type: string, { message }: Error) => logger.warn('a message was refused', { type, error: message, messages }),
    clock,
  );
  let askedAt = Number.NEGATIVE_INFINITY;
  let closed = false;

  const broadcast = async (topic: string, type: string, body: Uint8Array): Promise<void> => {
    try {
      await transport.broadcast(topic, makeEnvelope(type, body));
    } catch (error) {
      // Not connected: everything is said again when the connection is back.
      logger.debug('could not be said', { type, error: (error as Error).message });
    }
  };

  const tell = (listener: (event: RegistryEvent) => void, event: RegistryEvent): void => {
    try {
      listener(event);
    } catch (error) {
      logger.error('a listener of the register center threw', { error: (error as Error).stack });
    }
  };

  const members = new Members({
    clock,
    beatMs,
    ttlMs,
    disconnectGraceMs,
    onEvent(kind, event) {
      for (const listener of listeners.get(kind) ?? []) tell(listener, event);
    },
  });

  const ask = (): void => {
    askedAt = clock.now();
    void broadcast(WHO_TOPIC, REGISTRY_MESSAGE.who, EMPTY_BYTES);
  };

  const receive = ({ type, body }: Envelope): void => {
    try {
      if (type === REGISTRY_MESSAGE.announce) {
        const { entry, load } = decodeAnnounce(body);
        members.announced(entry, load);
      } else if (type === REGISTRY_MESSAGE.beat) {
        const { id, load } = decodeBeat(body);
        // Unheard of: its announcement was missed, or it was given up too early.
        if (!members.beat(id, load) && clock.now() - askedAt >= beatMs) ask();
      } else if (type === REGISTRY_MESSAGE.leave) {
        members.left(decodeLeave(body), 'left');
      } else if (type === REGISTRY_MESSAGE.gone) {
        members.left(decodeLeave(body), 'expired');
      }
    } catch (error) {
      refused(type, error as Error);
    }
  };

  const offConnection = transport.onConnection((state) => {
    members.cutOff(state === 'disconnected');
    if (state === 'disconnected') return;
    if (listeners.size > 0) ask();
    for (const announcer of announcers) announcer.answer();
  });

  /** One subscription however many ask; asked for again if it failed. */
  const once = (topic: string, handler: (envelope: Envelope) => void): (() => Promise<Subscription>) => {
    let subscription: Promise<Subscription> | undefined;
    return () => {
      subscription ??= transport.subscribe(topic, handler).catch((error: unknown) => {
        subscription = undefined;
        throw error;
      });
      subscriptions.add(subscription);
      return subscription;
    };
  };
  const subscriptions = new Set<Promise<Subscription>>();
  const watchTopic = once(TOPIC, receive);
  const answerTopic = once(WHO_TOPIC, () => {
    for (const announcer of announcers) announcer.answer();
  });

  const check = (): void => {
    if (closed) throw registryErrors.CLOSED();
  };

  const goodbye = async (): Promise<void> => {
    await Promise.all([...announcers].map((announcer) => announcer.leave()));
    announcers.clear();
    for (const subscription of subscriptions) {
      try {
        await (await subscription).cancel();
      } catch {
        // The transport is closed: its subscriptions ended with it.
      }
    }
  };

  return {
    async announce(entry: Registration): Promise<Announcement> {
      check();
      try {
        encodeAnnounce(entry, { running: 0, queued: 0, draining: false });
      } catch (error) {
        throw registryErrors.BAD_ENTRY({ reason: (error as Error).message }, error);
      }
      await answerTopic();
      check();
      const announcer = createAnnouncer(entry, beatMs, clock, (type, body) => broadcast(TOPIC, type, body));
      announcers.add(announcer);
      return {
        update: (load) => announcer.update(load),
        leave() {
          announcers.delete(announcer);
          return announcer.leave();
        },
      };
    },

    async watch(kind, listener) {
      check();
      await watchTopic();
      check();
      // A wrapper, so that one function can watch twice.
      const each = (event: RegistryEvent): void => listener(event);
      const ofKind = listeners.get(kind) ?? new Set();
      ofKind.add(each);
      listeners.set(kind, ofKind);
      members.start();
      for (const { entry, load } of members.ofKind(kind)) tell(each, { type: 'joined', entry, load });
      ask();
      return () => ofKind.delete(each);
    },

    async evict(id) {
      members.left(id, 'expired');
      await broadcast(TOPIC, REGISTRY_MESSAGE.gone, encodeLeave(id));
    },
    async close() {
      if (closed) return;
      closed = true;
      offConnection();
      members.stop();
      listeners.clear();
      // While the connection is lost nobody hears of it; the entries expire.
      await atMost(clock, CLOSE_MS, goodbye());
    },
  };
}
