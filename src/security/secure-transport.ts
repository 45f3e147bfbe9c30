import { systemClock } from '../core/clock.ts';
import { createLogger } from '../core/logger.ts';
import { rarely } from '../core/rarely.ts';
import type { Envelope } from '../protocol/envelope.ts';
import type { Delivery, Transport } from '../transports/contract.ts';
import { FrameSigner, FrameVerifier, type Channel, type Verified, type VerifierOptions } from './frames.ts';
import type { KeyRing } from './key-ring.ts';

export interface SecureOptions {
  /** Age at which a frame is refused, milliseconds. @defaultValue 3600000 */
  readonly ttlMs?: number;
  /** How far the clocks of the cluster may differ, milliseconds. @defaultValue 300000 */
  readonly skewMs?: number;
  /** Milliseconds since the epoch. @defaultValue systemClock.wallTime */
  readonly now?: () => number;
  /** Told of every frame that was refused. @defaultValue a warning, at most one a second */
  readonly onRefused?: (channel: Channel, error: Error) => void;
}

const logger = createLogger('security');

const warnRarely = (): ((channel: Channel, error: Error) => void) =>
  rarely(1000, (refused, channel: Channel, error: Error) => logger.warn('a frame was refused', { channel, error: error.message, refused }));

class VerifiedDelivery implements Delivery {
  readonly envelope: Envelope;
  readonly redelivered: boolean;
  readonly #verified: Verified;
  readonly #delivery: Delivery;

  constructor(verified: Verified, delivery: Delivery) {
    this.envelope = verified.envelope;
    this.redelivered = delivery.redelivered;
    this.#verified = verified;
    this.#delivery = delivery;
  }

  ack(): void {
    this.#verified.take();
    this.#delivery.ack();
  }

  nack(how?: { requeue?: boolean }): void {
    if (how?.requeue === false) this.#verified.take();
    this.#delivery.nack(how);
  }
}

/**
 * A transport whose frames are signed and verified; what does not verify reaches no handler and no decoder of bodies.
 *
 * A queue frame that is delivered again because it was not acknowledged verifies again; one that was acknowledged does not.
 * Refused frames are acknowledged, so that they do not come back for ever.
 */
export function secureTransport(transport: Transport, ring: KeyRing, options: SecureOptions = {}): Transport {
  const { ttlMs = 3_600_000, skewMs = 300_000, now = () => systemClock.wallTime(), onRefused = warnRarely() } = options;
  const signer = new FrameSigner(ring, now);
  const verifierOptions: VerifierOptions = { ring, now, ttlMs, skewMs };
  // One window a queue, however often it is consumed: frames of one subscription that ended come by the next.
  const verifiers = new Map<Channel, FrameVerifier>();

  // Names of channels are kept, since a new string has to be hashed anew each time it is looked for.
  const queueChannels = new Map<string, Channel>();
  const channelOf = (queue: string): Channel => {
    let channel = queueChannels.get(queue);
    if (channel === undefined) queueChannels.set(queue, (channel = `q ${queue}`));
    return channel;
  };

  const verifierOf = (channel: Channel): FrameVerifier => {
    let verifier = verifiers.get(channel);
    if (verifier === undefined) verifiers.set(channel, (verifier = new FrameVerifier(channel, verifierOptions)));
    return verifier;
  };

  const verify = (channel: Channel, verifier: FrameVerifier, envelope: Envelope): Verified | undefined => {
    try {
      return verifier.verify(envelope);
    } catch (error) {
      onRefused(channel, error as Error);
      return undefined;
    }
  };

  return {
    get url() {
      return transport.url;
    },
    send: (queue, envelope) => transport.send(queue, signer.sign(channelOf(queue), envelope)),
    broadcast: (topic, envelope) => transport.broadcast(topic, signer.sign(`t ${topic}`, envelope)),
    consume(queue, consumeOptions, handler) {
      const channel: Channel = `q ${queue}`;
      const verifier = verifierOf(channel);
      return transport.consume(queue, consumeOptions, (delivery: Delivery) => {
        const verified = verify(channel, verifier, delivery.envelope);
        if (verified === undefined) {
          delivery.ack();
          return;
        }
        handler(new VerifiedDelivery(verified, delivery));
      });
    },
    subscribe(topic, handler) {
      const channel: Channel = `t ${topic}`;
      const verifier = new FrameVerifier(channel, verifierOptions);
      return transport.subscribe(topic, (envelope) => {
        const verified = verify(channel, verifier, envelope);
        if (verified === undefined) return;
        verified.take();
        handler(verified.envelope);
      });
    },
    deleteQueue(queue) {
      signer.forget(`q ${queue}`);
      queueChannels.delete(queue);
      verifiers.delete(`q ${queue}`);
      return transport.deleteQueue(queue);
    },
    onConnection: (listener) => transport.onConnection(listener),
    setActive: (active) => transport.setActive(active),
    close: () => transport.close(),
  };
}
