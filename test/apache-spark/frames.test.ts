import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FrameReader, FrameSeal, FrameWriter } from '../../src/apache-spark/frames.ts';
import { SparkProxyError } from '../../src/core/errors.ts';

const key = Buffer.from('a key of the cluster, long enough');
const [a, b] = [Buffer.alloc(16, 1), Buffer.alloc(16, 2)];

describe('frames of the agent link', () => {
  test('what is written is read', () => {
    fc.assert(
      fc.property(fc.nat(255), fc.maxSafeNat(), fc.string(), fc.uint8Array(), fc.dictionary(fc.string(), fc.string()), (u8, u64, text, bytes, map) => {
        const reader = new FrameReader(new FrameWriter(7, 1).u8(u8).u64(u64).string(text).bytes(bytes).map(map).finish(), 1);
        expect([reader.u8(), reader.u64(), reader.string()]).toEqual([u8, u64, Buffer.from(text, 'utf8').toString('utf8')]);
        expect(Uint8Array.from(reader.bytes())).toEqual(bytes);
        expect(reader.map()).toEqual(new Map(Object.entries(map).map(([name, value]) => [Buffer.from(name).toString(), Buffer.from(value).toString()])));
      }),
    );
  });

  test('no bytes make the reader do anything but read or say that they are malformed', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), fc.constantFrom('map', 'strings', 'bytes', 'u64', 'string'), (bytes, method) => {
        try {
          new FrameReader(Buffer.from(bytes))[method as 'map']();
        } catch (error) {
          expect(SparkProxyError.is(error) && error.code).toBe('SP_SPARK_MALFORMED_FRAME');
        }
      }),
    );
  });

  test('a count beyond what could be there is refused before anything is made', () => {
    const frame = new FrameWriter(1).u32(0x7fff_ffff).finish();
    expect(() => new FrameReader(frame, 1).count(8)).toThrow(/2147483647 items/);
    expect(() => new FrameReader(frame, 1).strings()).toThrow(/2147483647 bytes/);
  });

  test('a frame that is changed, repeated, left out or of the other direction does not open', () => {
    const frame = (text: string) => new FrameWriter(1).string(text).finish();
    const pair = () => [new FrameSeal(key, a, b, 'c'), new FrameSeal(key, a, b, 'c')] as const;
    const [sealer, opener] = pair();
    const [one, two] = [sealer.seal(frame('one')), sealer.seal(frame('two'))];
    expect(one.toString('latin1')).not.toContain('one');
    expect(opener.open(one)).toEqual(frame('one'));
    expect(opener.open(one)).toBeUndefined();
    expect(pair()[1].open(two)).toBeUndefined();
    for (let i = 0; i < one.length; i++) {
      const changed = Buffer.from(one);
      changed.writeUInt8((one[i] as number) ^ 1, i);
      expect(pair()[1].open(changed)).toBeUndefined();
      expect(pair()[1].open(one.subarray(0, i))).toBeUndefined();
    }
    expect(new FrameSeal(key, a, b, 's').open(one)).toBeUndefined();
    expect(new FrameSeal(key, b, a, 'c').open(one)).toBeUndefined();
  });
});
