import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FrameReader, FrameSigner, FrameWriter, openSecret, sealSecret } from '../../src/apache-spark/frames.ts';
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
    expect(() => new FrameReader(frame, 1).strings()).toThrow(/2147483647 items/);
  });

  test('a frame that is changed, repeated, left out or of the other direction does not verify', () => {
    const frame = (text: string) => new FrameWriter(1).string(text).finish();
    const pair = () => [new FrameSigner(key, a, b, 'c'), new FrameSigner(key, a, b, 'c')] as const;
    const [signer, verifier] = pair();
    const [one, two] = [signer.sign(frame('one')), signer.sign(frame('two'))];
    expect(verifier.verifies(frame('one'), one)).toBe(true);
    expect(verifier.verifies(frame('one'), one)).toBe(false);
    const [, skipping] = pair();
    expect(skipping.verifies(frame('two'), two)).toBe(false);
    const [, changed] = pair();
    expect(changed.verifies(frame('onf'), one)).toBe(false);
    expect(new FrameSigner(key, a, b, 's').verifies(frame('one'), one)).toBe(false);
    expect(new FrameSigner(key, b, a, 'c').verifies(frame('one'), one)).toBe(false);
  });

  test('a secret is sealed for one connection', () => {
    const sealed = sealSecret('hush', key, a, b);
    expect(sealed).not.toContain('hush');
    expect(openSecret(sealed, key, a, b)).toBe('hush');
    expect(() => openSecret(sealed, key, b, a)).toThrow(/authenticate/);
  });
});
