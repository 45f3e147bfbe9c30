import fc from 'fast-check';
import { createHmac, createSecretKey } from 'node:crypto';
import { expect, test } from 'vitest';
import { hmacSha256 } from '../../src/security/hmac.ts';

const hex = (text: string): Buffer => Buffer.from(text, 'hex');

// RFC 4231, test cases 1, 2, 3 and 6 (a key longer than a block).
test.each([
  [Buffer.alloc(20, 0x0b), Buffer.from('Hi There'), 'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7'],
  [Buffer.from('Jefe'), Buffer.from('what do ya want for nothing?'), '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843'],
  [Buffer.alloc(20, 0xaa), Buffer.alloc(50, 0xdd), '773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe'],
  [
    Buffer.alloc(131, 0xaa),
    Buffer.from('Test Using Larger Than Block-Size Key - Hash Key First'),
    '60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54',
  ],
])('gives the digests of RFC 4231, however the message is cut', (secret, message, digest) => {
  const key = createSecretKey(secret);
  for (let at = 0; at <= message.length; at++) expect(hmacSha256(key, message.subarray(0, at), message.subarray(at))).toEqual(hex(digest));
});

test('agrees with node:crypto at every size, whatever was hashed before and with which key', () => {
  const keys = [createSecretKey(Buffer.alloc(32, 1)), createSecretKey(Buffer.alloc(32, 2))];
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(1), fc.nat(300), fc.nat(80_000), fc.nat(255)), { maxLength: 8 }), (messages) => {
      for (const [which, first, second, fill] of messages) {
        const [a, b] = [Buffer.alloc(first, fill), Buffer.alloc(second, fill ^ 1)];
        expect(hmacSha256(keys[which]!, a, b)).toEqual(createHmac('sha256', keys[which]!).update(a).update(b).digest());
      }
    }),
  );
});
