import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeTaskPayload, decodeTaskResult, encodeTaskPayload, encodeTaskResult } from '../../src/executor/task-codec.ts';

const METRICS = { runMs: 1.5, bytesRead: 2 ** 40, shuffleBytesWritten: 3, shuffleRecordsWritten: 0, remoteBytesRead: 5 };
const values = [undefined, 0, -0, Number.NaN, 1e300, 'text', null, [1, [2]], { a: new Map([[1, new Date(0)]]) }, new Uint8Array([1, 2]), 10n];
const texts = ['', 'x'.repeat(20_000), 'ünï', '\u{1F600}', 'x'.repeat(100) + 'ü', '\u0000\u007f'];
const lists = [[], ['a', 1, undefined, -0], ['ü'], [null], [[1]], Array.from({ length: 8 }, (_, i) => i), Array.from({ length: 9 }, (_, i) => `${i}`)];
const result = (value: unknown) => ({ value, accumulators: [], blocks: [], metrics: METRICS });

describe('results', () => {
  test.each([...values, ...texts, ...lists])('the value %s arrives as it was', (value) => {
    expect(decodeTaskResult(encodeTaskResult(result(value)))).toStrictEqual(result(value));
  });

  test('a list that holds one object twice still does', () => {
    const one = { a: 1 };
    const { value } = decodeTaskResult(encodeTaskResult(result([one, one]))) as { value: unknown[] };
    expect(value[0]).toBe(value[1]);
  });

  test('accumulators, blocks and metrics arrive, and records as bytes, small and large', () => {
    for (const size of [0, 10, 100_000]) {
      const whole = {
        value: Buffer.alloc(size, 7),
        accumulators: [[3, { sum: 1 }] as const, [9, 'x'] as const],
        blocks: ['app/rdd_1_0', 'ünï'],
        metrics: METRICS,
      };
      expect(decodeTaskResult(encodeTaskResult(whole))).toStrictEqual(whole);
    }
  });

  test('bytes of a user keep a buffer of their own', () => {
    const { value } = decodeTaskResult(encodeTaskResult(result(Uint8Array.of(1, 2, 3)))) as { value: Uint8Array };
    expect(value.buffer.byteLength).toBe(3);
  });
});

test('payloads arrive as they were', () => {
  const route: [number, number][] = [
    [0, 5],
    [3, 2],
  ];
  const payload = { partition: 70_000, route, inputs: ['a'.repeat(64), 'b'], properties: { k: 'v', __proto: 'ü' }, source: Buffer.from('records') };
  expect(decodeTaskPayload(1, encodeTaskPayload(payload))).toStrictEqual(payload);
  const empty = { partition: 0, route: [], inputs: [], properties: {}, source: { start: 1, step: 2, count: 3 } };
  expect(decodeTaskPayload(1, encodeTaskPayload(empty))).toStrictEqual(empty);
});

test('a property named __proto__ is a property', () => {
  const properties = Object.fromEntries([['__proto__', 'x']]);
  const decoded = decodeTaskPayload(1, encodeTaskPayload({ partition: 0, route: [], inputs: [], properties, source: undefined }));
  expect(Object.entries(decoded.properties)).toEqual([['__proto__', 'x']]);
});

test('bytes nobody vouches for give coded errors only', () => {
  const whole = [
    encodeTaskPayload({ partition: 1, route: [[0, 1]], inputs: ['abc'], properties: { a: 'b' }, source: [1, 'x'] }),
    encodeTaskPayload({ partition: 1, route: [[0, 1]], inputs: ['abc'], properties: { a: 'b' }, source: [1, 'ü'] }),
    encodeTaskResult({ ...result({ a: 1 }), accumulators: [[1, 2]], blocks: ['b'] }),
  ];
  for (const bytes of whole) for (let length = 0; length < bytes.length; length++) check(bytes.slice(0, length));
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), fc.boolean(), (bytes, versioned) => check(versioned ? Uint8Array.of(2, ...bytes) : bytes)),
    { numRuns: 2000 },
  );
  expect(() => decodeTaskPayload(12, Uint8Array.of(9))).toThrow(/payload of task 12 cannot be read: .*version 9/);
});

/** Reads them both ways. */
function check(bytes: Uint8Array): void {
  for (const read of [() => decodeTaskPayload(1, bytes), () => decodeTaskResult(bytes)]) {
    try {
      read();
    } catch (error) {
      expect((error as { code?: string }).code).toMatch(/^SP_/);
    }
  }
}
