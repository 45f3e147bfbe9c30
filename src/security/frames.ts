/**
 * Signed frames. The body of an envelope becomes: version, key id, sender's session, number, time of signing, signature, body.
 * Signed is all of it, with the channel (queue or topic) and the envelope's other fields: nothing can be moved to another queue,
 * sender or type. One HMAC-SHA256 a frame, however many tasks it holds.
 */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import { SIGNED_BODY } from '../protocol/body.ts';
import { BinaryReader, BinaryWriter } from '../protocol/codec.ts';
import type { Envelope } from '../protocol/envelope.ts';
import { SECURITY_ERRORS } from './errors.ts';
import { hmacSha256 } from './hmac.ts';
import type { KeyRing } from './key-ring.ts';
import { ReplayWindow } from './replay-window.ts';

const SESSION_BYTES = 8;
const MAC_BYTES = 32;
/** Senders remembered at a time; the one heard longest ago is forgotten first. */
const MAX_SENDERS = 8192;

/** Where a frame travels: `q` queue or `t` topic, and its name. */
export type Channel = `q ${string}` | `t ${string}`;

const out = new BinaryWriter();

/** Begins what is signed with everything that is not in the body. */
function writeScope(channel: Channel, { id, type, sender, replyTo }: Envelope): void {
  out.reset();
  out.string(channel);
  out.string(id);
  out.string(type);
  out.string(sender);
  out.string(replyTo);
}

export class FrameSigner {
  readonly #ring: KeyRing;
  readonly #now: () => number;
  readonly #session = randomBytes(SESSION_BYTES);
  /** A number for each channel: windows are kept by channel, so that one reader of many sees no gaps. */
  readonly #numbers = new Map<Channel, { next: number }>();
  /** No channel starts below what a forgotten one of the same name may have reached. */
  #floor = 0;

  /** `now`: milliseconds since the epoch. */
  constructor(ring: KeyRing, now: () => number) {
    this.#ring = ring;
    this.#now = now;
  }

  sign(channel: Channel, envelope: Envelope): Envelope {
    const { current } = this.#ring;
    let numbers = this.#numbers.get(channel);
    if (numbers === undefined) this.#numbers.set(channel, (numbers = { next: this.#floor }));
    writeScope(channel, envelope);
    const scopeBytes = out.length;
    out.u8(SIGNED_BODY);
    out.string(current.id);
    out.raw(this.#session);
    out.varint(numbers.next++);
    out.f64(this.#now());
    const { id, type, sender, replyTo, body } = envelope;
    out.raw(hmacSha256(current.key('sign'), out.view(), body));
    return { id, type, sender, replyTo, body, seal: out.finish(scopeBytes) };
  }

  /** A channel that is used no more. */
  forget(channel: Channel): void {
    this.#floor = Math.max(this.#floor, this.#numbers.get(channel)?.next ?? 0);
    this.#numbers.delete(channel);
  }
}

export interface VerifierOptions {
  readonly ring: KeyRing;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly ttlMs: number;
  readonly skewMs: number;
}

/** A frame that is what it says; `take` when it has been dealt with for good. */
export interface Verified {
  readonly envelope: Envelope;
  take(): void;
}

/** Verifies what comes by one channel. */
export class FrameVerifier {
  readonly #channel: Channel;
  readonly #options: VerifierOptions;
  readonly #windows = new Map<string, ReplayWindow>();
  /** Of the sender heard last, by the two halves of its session. */
  #latest: ReplayWindow | undefined;
  #latestLow = 0;
  #latestHigh = 0;

  constructor(channel: Channel, options: VerifierOptions) {
    this.#channel = channel;
    this.#options = options;
  }

  /** @throws SP_SECURITY_UNSIGNED, _UNKNOWN_KEY, _BAD_SIGNATURE, _EXPIRED, _FUTURE, _REPLAYED */
  verify(envelope: Envelope): Verified {
    const { ring, now, ttlMs, skewMs } = this.#options;
    const { seal, body } = envelope;
    const reader = new BinaryReader(seal ?? body);
    let keyId: string;
    let low: number;
    let high: number;
    let number: number;
    let signedAt: number;
    let headerBytes: number;
    let mac: Uint8Array;
    try {
      if (reader.u8() !== SIGNED_BODY) throw SECURITY_ERRORS.UNSIGNED();
      keyId = reader.name();
      low = reader.u32();
      high = reader.u32();
      number = reader.varint();
      signedAt = reader.f64();
      headerBytes = reader.offset;
      mac = reader.raw(MAC_BYTES);
    } catch (cause) {
      throw SECURITY_ERRORS.UNSIGNED({}, cause);
    }
    const key = ring.get(keyId);
    if (key === undefined) throw SECURITY_ERRORS.UNKNOWN_KEY({ key: keyId });
    // In the process that signed it, the signature still stands apart.
    const content = seal === undefined ? body.subarray(headerBytes + MAC_BYTES) : body;
    writeScope(this.#channel, envelope);
    out.raw(seal ?? body, headerBytes);
    if (!timingSafeEqual(hmacSha256(key.key('sign'), out.view(), content), mac)) throw SECURITY_ERRORS.BAD_SIGNATURE();
    const age = now() - signedAt;
    if (age > ttlMs + skewMs) throw SECURITY_ERRORS.EXPIRED({ seconds: Math.round(age / 1000) });
    if (age < -skewMs) throw SECURITY_ERRORS.FUTURE({ seconds: Math.round(-age / 1000) });
    const window = this.#window(low, high);
    if (!window.fresh(number)) throw SECURITY_ERRORS.REPLAYED();
    const { id, type, sender, replyTo } = envelope;
    return { envelope: { id, type, sender, replyTo, body: content }, take: () => window.take(number) };
  }

  #window(low: number, high: number): ReplayWindow {
    if (this.#latest !== undefined && low === this.#latestLow && high === this.#latestHigh) return this.#latest;
    const session = `${low} ${high}`;
    let window = this.#windows.get(session);
    if (window === undefined) {
      window = new ReplayWindow();
      if (this.#windows.size >= MAX_SENDERS) this.#windows.delete(this.#windows.keys().next().value as string);
    } else this.#windows.delete(session);
    this.#windows.set(session, window);
    this.#latest = window;
    this.#latestLow = low;
    this.#latestHigh = high;
    return window;
  }
}
