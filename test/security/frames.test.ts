import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { decodeEnvelope, encodeEnvelope } from '../../src/protocol/codec.ts';
import type { Envelope } from '../../src/protocol/envelope.ts';
import { FrameSigner, FrameVerifier, type Channel } from '../../src/security/frames.ts';
import { newKeyLine, parseKeyRing, secureTransport, type KeyRing } from '../../src/security/index.ts';
import { ReplayWindow, WINDOW } from '../../src/security/replay-window.ts';
import type { Transport } from '../../src/transports/contract.ts';
import { connectTransport } from '../../src/transports/index.ts';
import { Inbox, envelope, reading, text } from '../conformance/transport.ts';

const [one, two] = [newKeyLine('one'), newKeyLine('two')];
const ringOf = (...lines: string[]): KeyRing => parseKeyRing(lines.join('\n'), 'the test');
const HOUR = 3_600_000;

interface Side {
  readonly ring?: KeyRing;
  readonly channel?: Channel;
  readonly now?: number;
}

const START = 1_000_000_000_000;
const signer = ({ ring = ringOf(one), now = START }: Side = {}): FrameSigner => new FrameSigner(ring, () => now);
const verifier = ({ ring = ringOf(one), channel = 'q tasks', now = START }: Side = {}): FrameVerifier =>
  new FrameVerifier(channel, { ring, now: () => now, ttlMs: HOUR, skewMs: 60_000 });
/** As the other end gets it. */
const sent = (given: Envelope): Envelope => decodeEnvelope(encodeEnvelope(given));
const codeOf = (act: () => unknown): unknown => {
  try {
    act();
    return 'accepted';
  } catch (error) {
    return (error as { code?: string }).code;
  }
};

describe('a signed frame', () => {
  const frame = envelope('the body');

  test('verifies with its key and gives back the body', () => {
    const signed = signer().sign('q tasks', frame);
    expect(verifier().verify(sent(signed)).envelope).toEqual(frame);
    // In the process that signed it, where nothing was written.
    expect(verifier().verify(signed).envelope).toEqual(frame);
    expect(verifier().verify(sent(signer().sign('q tasks', envelope(new Uint8Array(0))))).envelope.body).toHaveLength(0);
  });

  test('does not verify with any single bit changed, and is never taken for another frame', () => {
    const signed = sent(signer().sign('q tasks', frame));
    const codes = new Set<unknown>();
    for (let bit = 0; bit < signed.body.length * 8; bit++) {
      const body = Uint8Array.from(signed.body);
      body[bit >> 3]! ^= 1 << (bit & 7);
      codes.add(codeOf(() => verifier().verify({ ...signed, body })));
    }
    const { seal, ...apart } = signer().sign('q tasks', frame);
    for (let bit = 0; bit < seal!.length * 8; bit++) {
      const other = Uint8Array.from(seal!);
      other[bit >> 3]! ^= 1 << (bit & 7);
      codes.add(codeOf(() => verifier().verify({ ...apart, seal: other })));
    }
    codes.delete('SP_SECURITY_UNSIGNED');
    codes.delete('SP_SECURITY_UNKNOWN_KEY');
    expect([...codes]).toEqual(['SP_SECURITY_BAD_SIGNATURE']);
  });

  test('does not verify cut off at any byte, with bytes behind it, or as noise', () => {
    const signed = sent(signer().sign('q tasks', frame));
    for (let length = 0; length < signed.body.length; length++)
      expect(codeOf(() => verifier().verify({ ...signed, body: signed.body.subarray(0, length) }))).toMatch(/^SP_SECURITY_/);
    expect(codeOf(() => verifier().verify({ ...signed, body: Uint8Array.of(...signed.body, 0) }))).toBe('SP_SECURITY_BAD_SIGNATURE');
    expect(codeOf(() => verifier().verify(frame))).toBe('SP_SECURITY_UNSIGNED');
  });

  test('does not verify in another queue, as a broadcast, or with any other field of its envelope changed', () => {
    const signed = sent(signer().sign('q tasks', frame));
    expect(codeOf(() => verifier({ channel: 'q other' }).verify(signed))).toBe('SP_SECURITY_BAD_SIGNATURE');
    expect(codeOf(() => verifier({ channel: 't tasks' }).verify(signed))).toBe('SP_SECURITY_BAD_SIGNATURE');
    for (const field of ['id', 'type', 'sender', 'replyTo'] as const)
      expect(codeOf(() => verifier().verify({ ...signed, [field]: `${signed[field]}x` }))).toBe('SP_SECURITY_BAD_SIGNATURE');
    // Text that moves from one field to the next.
    const moved: Envelope = { ...signed, id: signed.id + signed.type.slice(0, 1), type: signed.type.slice(1) };
    expect(codeOf(() => verifier().verify(moved))).toBe('SP_SECURITY_BAD_SIGNATURE');
  });

  test('is refused with an unknown key, another key of the same id, and a key that was taken out', () => {
    const signed = signer().sign('q tasks', frame);
    expect(codeOf(() => verifier({ ring: ringOf(two) }).verify(signed))).toBe('SP_SECURITY_UNKNOWN_KEY');
    expect(codeOf(() => verifier({ ring: ringOf(newKeyLine('one')) }).verify(signed))).toBe('SP_SECURITY_BAD_SIGNATURE');
  });

  test('goes on verifying while keys change: accepted, then signing, then the only one', () => {
    const rings = [ringOf(one), ringOf(one, two), ringOf(two, one), ringOf(two)];
    for (let i = 0; i < rings.length; i++) {
      for (const j of [i - 1, i, i + 1]) {
        const [from, to] = [rings[i], rings[j]];
        if (from !== undefined && to !== undefined)
          expect(codeOf(() => verifier({ ring: to }).verify(signer({ ring: from }).sign('q tasks', frame)))).toBe('accepted');
      }
    }
    expect(codeOf(() => verifier({ ring: rings[3]! }).verify(signer({ ring: rings[0]! }).sign('q tasks', frame)))).toBe('SP_SECURITY_UNKNOWN_KEY');
  });

  test('is refused when it is older than its time to live, or of a time to come, but for what clocks may differ', () => {
    const at = (now: number): unknown => codeOf(() => verifier({ now }).verify(signer().sign('q tasks', frame)));
    expect(at(START + HOUR + 60_000)).toBe('accepted');
    expect(at(START + HOUR + 60_001)).toBe('SP_SECURITY_EXPIRED');
    expect(at(START - 60_000)).toBe('accepted');
    expect(at(START - 60_001)).toBe('SP_SECURITY_FUTURE');
  });

  test('is taken once, and until then as often as a broker delivers it', () => {
    const to = verifier();
    const signed = signer().sign('q tasks', frame);
    expect(to.verify(signed).envelope).toEqual(frame);
    to.verify(signed).take();
    expect(codeOf(() => to.verify(signed))).toBe('SP_SECURITY_REPLAYED');
  });

  test('verifies after its queue was deleted and used again', () => {
    const [from, to] = [signer(), verifier()];
    for (let i = 0; i < 3; i++) to.verify(from.sign('q tasks', frame)).take();
    from.forget('q tasks');
    for (let i = 0; i < 3; i++) to.verify(from.sign('q tasks', frame)).take();
  });
});

describe('the window of numbers', () => {
  test('knows what was taken, in any order', () => {
    const window = new ReplayWindow();
    const order = [5, 0, 3, 70, 4, WINDOW + 3, 71, WINDOW + 2];
    for (const number of order) {
      expect(window.fresh(number), String(number)).toBe(true);
      window.take(number);
      expect(window.fresh(number), String(number)).toBe(false);
    }
    for (const number of order) expect(window.fresh(number), String(number)).toBe(false);
    // Too old to tell.
    expect(window.fresh(2)).toBe(false);
    expect(window.fresh(72)).toBe(true);
  });

  test('moves over any distance without taking a new number for an old one', () => {
    const window = new ReplayWindow();
    let number = 0;
    for (const step of [1, 31, 32, 33, WINDOW - 1, WINDOW, WINDOW + 1, 10 * WINDOW, 2 ** 40]) {
      number += step;
      expect(window.fresh(number)).toBe(true);
      window.take(number);
      expect(window.fresh(number)).toBe(false);
      expect(window.fresh(number + 1)).toBe(true);
      expect(window.fresh(number - 1)).toBe(true);
    }
  });
});

describe('a transport with a key', () => {
  let bare: Transport;
  let secured: Transport;
  const refused: string[] = [];
  let names = 0;

  beforeEach(async () => {
    bare = await connectTransport(`memory:signed-${names}`);
    secured = secureTransport(await connectTransport(`memory:signed-${names++}`), ringOf(one), {
      onRefused: (channel, error) => refused.push(`${channel}: ${(error as { code?: string }).code}`),
    });
    refused.length = 0;
  });
  afterEach(async () => {
    await secured.close();
    await bare.close();
  });

  test('hands on nothing that is unsigned, and does not keep it in the queue', async () => {
    const inbox = await reading(secured, 'tasks');
    await bare.send('tasks', envelope('forged'));
    await secured.send('tasks', envelope('true'));
    expect((await inbox.until(1)).map(({ envelope: got }) => text(got))).toEqual(['true']);
    expect(refused).toEqual(['q tasks: SP_SECURITY_UNSIGNED']);
    const heard = new Inbox<Envelope>();
    await secured.subscribe('news', heard.push);
    await bare.broadcast('news', envelope('forged'));
    await secured.broadcast('news', envelope('true'));
    expect((await heard.until(1)).map(text)).toEqual(['true']);
    expect(refused[1]).toBe('t news: SP_SECURITY_UNSIGNED');
  });

  test('refuses what was recorded: in the same queue, and in another', async () => {
    // An attacker who can read what the broker holds.
    await secured.send('tasks', envelope('run it'));
    const recorded = (await (await reading(bare, 'tasks', {}, false)).until(1))[0]!;
    recorded.nack();
    await bare.close();
    bare = await connectTransport(`memory:signed-${names - 1}`);
    const [tasks, other] = [await reading(secured, 'tasks'), await reading(secured, 'other')];
    await tasks.until(1);
    await bare.send('tasks', recorded.envelope);
    await bare.send('other', recorded.envelope);
    await secured.send('tasks', envelope('end'));
    await secured.send('other', envelope('end'));
    expect((await tasks.until(2)).map(({ envelope: got }) => text(got))).toEqual(['run it', 'end']);
    expect((await other.until(1)).map(({ envelope: got }) => text(got))).toEqual(['end']);
    expect(refused.toSorted()).toEqual(['q other: SP_SECURITY_BAD_SIGNATURE', 'q tasks: SP_SECURITY_REPLAYED']);
  });

  test('takes a frame again that came back from a consumer', async () => {
    const inbox = new Inbox<string>();
    let times = 0;
    await secured.consume('tasks', {}, (delivery) => {
      inbox.push(`${text(delivery.envelope)} ${String(delivery.redelivered)}`);
      if (times++ === 0) delivery.nack();
      else delivery.ack();
    });
    await secured.send('tasks', envelope('again'));
    expect(await inbox.until(2)).toEqual(['again false', 'again true']);
    expect(refused).toEqual([]);
  });
});
