import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BinaryReader, BinaryWriter, decodeEnvelope, encodeEnvelope, envelopeBytes } from '../../src/protocol/codec.ts';

const code = (expected: string) => expect.objectContaining({ code: expected });

describe('the binary writer and reader', () => {
  it('carry any whole number up to 2^53 - 1', () => {
    const writer = new BinaryWriter(16);
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.maxSafeNat(), fc.nat(300), fc.constantFrom(127, 128, 16_383, 16_384, 0x7fffffff, 0x80000000, Number.MAX_SAFE_INTEGER))),
        (numbers) => {
          for (const number of numbers) writer.varint(number);
          const reader = new BinaryReader(writer.finish());
          expect(numbers.map(() => reader.varint())).toEqual(numbers);
          reader.end();
        },
      ),
      { numRuns: 200 },
    );
  });

  it('carry any string, short or long, ASCII or not', () => {
    const writer = new BinaryWriter(64);
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.string(), fc.string({ unit: 'grapheme' }), fc.string({ minLength: 40, maxLength: 60 }), fc.constant('é'.repeat(200)))),
        (strings) => {
          for (const string of strings) writer.string(string);
          const reader = new BinaryReader(writer.finish());
          expect(strings.map(() => reader.string())).toEqual(strings);
          reader.end();
        },
      ),
      { numRuns: 200 },
    );
  });

  it('carry bytes and doubles, and messages far larger than a slab', () => {
    const writer = new BinaryWriter(32);
    const large = new Uint8Array(100_000).fill(7);
    writer.bytes(Uint8Array.of(1, 2));
    writer.f64(-0.5);
    writer.bytes(large);
    writer.u32(0xffff_ffff);
    const reader = new BinaryReader(writer.finish());
    expect([...reader.bytes()]).toEqual([1, 2]);
    expect(reader.f64()).toBe(-0.5);
    expect(Buffer.compare(reader.bytes(), large)).toBe(0);
    expect(reader.u32()).toBe(0xffff_ffff);
    reader.end();
  });

  it('leave finished messages untouched by later ones', () => {
    const writer = new BinaryWriter(64);
    const messages = Array.from({ length: 50 }, (_, i) => {
      writer.string(`message ${i}`);
      return writer.finish();
    });
    messages.forEach((bytes, i) => expect(new BinaryReader(bytes).string()).toBe(`message ${i}`));
  });

  it('reads names that came before as themselves, and takes none for another', () => {
    // The bytes of one are the characters of the other.
    const names = ['é', 'Ã©', 'ab', 'ba', 'x'.repeat(20), 'x'.repeat(21), '', 'worker-1', 'worker-2', '\u0080\u0080'];
    for (let round = 0; round < 3; round++) {
      for (const name of names) {
        const writer = new BinaryWriter(64);
        writer.string(name);
        expect(new BinaryReader(writer.finish()).name()).toBe(name);
      }
    }
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 6 }), { maxLength: 40 }), (all) => {
        for (const bytes of all) {
          const sent = Uint8Array.of(bytes.length, ...bytes);
          expect(new BinaryReader(sent).name()).toBe(Buffer.from(bytes).toString('utf8'));
        }
      }),
      { numRuns: 300 },
    );
    expect(() => new BinaryReader(Uint8Array.of(5, 65)).name()).toThrow(code('SP_PROTOCOL_TRUNCATED'));
  });

  it('uses the room again of messages that nobody needs any more, and of no others', () => {
    const writer = new BinaryWriter(64);
    writer.string('one');
    const one = writer.finishBuffer();
    writer.string('two');
    expect([...writer.view()]).toEqual([3, 116, 119, 111]);
    const two = writer.finish(1);
    expect([one.toString('latin1', 1), Buffer.from(two).toString('latin1')]).toEqual(['one', 'two']);
    writer.rewind();
    writer.string('new');
    const again = writer.finishBuffer();
    expect([again.buffer, again.byteOffset, again.toString('latin1', 1)]).toEqual([one.buffer, one.byteOffset, 'new']);
  });

  it('begins where it is told to', () => {
    const reader = new BinaryReader(Uint8Array.of(9, 9, 7, 2, 65, 66, 1), 2);
    expect([reader.offset, reader.remaining, reader.u8(), reader.string(), reader.offset, [...reader.raw(1)]]).toEqual([0, 5, 7, 'AB', 4, [1]]);
    reader.end();
  });

  it('forget a message that was given up', () => {
    const writer = new BinaryWriter();
    writer.string('given up');
    writer.reset();
    writer.string('kept');
    const reader = new BinaryReader(writer.finish());
    expect(reader.string()).toBe('kept');
    reader.end();
  });

  it('refuse numbers that are not whole, not positive or too large', () => {
    for (const bad of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53]) {
      expect(() => new BinaryWriter().varint(bad)).toThrow(code('SP_PROTOCOL_BAD_VALUE'));
    }
  });

  it('refuse to read past the end, and numbers longer than 53 bits', () => {
    const empty = () => new BinaryReader(new Uint8Array(0));
    for (const read of [() => empty().u8(), () => empty().u32(), () => empty().f64(), () => empty().varint(), () => empty().string(), () => empty().raw(1)]) {
      expect(read).toThrow(code('SP_PROTOCOL_TRUNCATED'));
    }
    expect(() => new BinaryReader(Uint8Array.of(5, 65)).string()).toThrow(code('SP_PROTOCOL_TRUNCATED'));
    expect(() => new BinaryReader(new Uint8Array(20).fill(0xff)).varint()).toThrow(code('SP_PROTOCOL_MALFORMED'));
    expect(() => new BinaryReader(Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f)).varint()).toThrow(code('SP_PROTOCOL_MALFORMED'));
    expect(() => new BinaryReader(Uint8Array.of(100, 1, 1)).count('things', 2)).toThrow(code('SP_PROTOCOL_TRUNCATED'));
    expect(() => new BinaryReader(Uint8Array.of(3, 1, 1, 1)).count('things', 1, 2)).toThrow(code('SP_PROTOCOL_MALFORMED'));
    expect(() => new BinaryReader(Uint8Array.of(1)).end()).toThrow(code('SP_PROTOCOL_MALFORMED'));
  });
});

describe('an envelope in binary', () => {
  const name = fc.string({ maxLength: 40 });
  const anyEnvelope = fc.record({ id: name, type: name, sender: name, replyTo: name, body: fc.uint8Array({ maxLength: 300 }) });

  it('comes back as it was', () => {
    fc.assert(
      fc.property(anyEnvelope, (envelope) => {
        const bytes = encodeEnvelope(envelope);
        expect(decodeEnvelope(bytes)).toEqual(envelope);
        expect(bytes.length).toBeLessThanOrEqual(envelopeBytes(envelope));
      }),
      { numRuns: 300 },
    );
  });

  it('is refused when cut short anywhere, or followed by anything', () => {
    const bytes = encodeEnvelope({ id: 'id', type: 'tasks', sender: 's', replyTo: 'r', body: Uint8Array.of(1, 2, 3) });
    for (let length = 0; length < bytes.length; length++) expect(() => decodeEnvelope(bytes.subarray(0, length))).toThrow(code('SP_PROTOCOL_TRUNCATED'));
    expect(() => decodeEnvelope(Buffer.concat([bytes, Buffer.of(0)]))).toThrow(code('SP_PROTOCOL_MALFORMED'));
  });

  it('is refused when it is too large, of another version, or no envelope', () => {
    const bytes = encodeEnvelope({ id: 'id', type: 'tasks', sender: 's', replyTo: 'r', body: new Uint8Array(100) });
    const changed = (at: number, value: number) => Uint8Array.from(bytes, (byte, i) => (i === at ? value : byte));
    expect(() => decodeEnvelope(bytes, 50)).toThrow(code('SP_PROTOCOL_TOO_LARGE'));
    expect(() => decodeEnvelope(changed(0, 1))).toThrow(code('SP_PROTOCOL_MALFORMED'));
    expect(() => decodeEnvelope(changed(2, 2))).toThrow(code('SP_PROTOCOL_UNKNOWN_VERSION'));
    expect(() => decodeEnvelope(changed(3, 1))).toThrow(code('SP_PROTOCOL_MALFORMED'));
    expect(() => decodeEnvelope(changed(7, 0xff))).toThrow(code('SP_PROTOCOL_TRUNCATED'));
  });

  it('has short names only', () => {
    const long = { id: 'x'.repeat(1025), type: '', sender: '', replyTo: '', body: new Uint8Array(0) };
    expect(() => encodeEnvelope(long)).toThrow(code('SP_PROTOCOL_BAD_VALUE'));
    const widest = { ...long, id: '\uffff'.repeat(1024) };
    expect(decodeEnvelope(encodeEnvelope(widest)).id).toBe(widest.id);
  });

  it('shares its body with the bytes it was read from', () => {
    const bytes = encodeEnvelope({ id: '', type: '', sender: '', replyTo: '', body: new Uint8Array(10) });
    expect(decodeEnvelope(bytes).body.buffer).toBe(bytes.buffer);
  });
});
