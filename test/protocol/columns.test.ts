import fc from 'fast-check';
import { expect, test } from 'vitest';
import { appendPairs, decodeRecords, encodeRecords, forEachPairColumn, packValue, unpackValue } from '../../src/protocol/columns.ts';
import { SparkProxyError } from '../../src/core/errors.ts';

test.each([
  ['nothing', []],
  ['integers', [1, 2, -3, 2147483647, -2147483648]],
  ['floats', [1.5, -0, NaN, Infinity, 1e300]],
  ['numbers beyond 32 bits', [2 ** 53, -(2 ** 40), 2 ** 31]],
  ['ASCII strings', ['abc', '', 'd'.repeat(300)]],
  ['strings beyond ASCII', ['ü', '日本', '😀']],
  ['lone surrogates', ['a\ud800b', '\udc00']],
  [
    'pairs',
    [
      [1, 'a'],
      [2, 'b'],
    ],
  ],
  [
    'nested pairs',
    [
      [['a', 1], 2.5],
      [['b', 2], 3],
    ],
  ],
  [
    'everything else',
    [{ a: 1 }, undefined, null, true, 10n, -(2n ** 70n), new Date(5), new Map([[1, { x: 2 }]]), new Set([1]), [1, 2, 3], new Uint8Array([1, 2])],
  ],
  ['mixed', [1, 'a', [1, 2]]],
] as [string, unknown[]][])('%s survive', (_name, records) => {
  expect(decodeRecords(encodeRecords(records))).toEqual(records);
});

test('identity within a batch survives', () => {
  const shared = { a: 1 };
  const [x, y] = decodeRecords(encodeRecords([shared, shared]));
  expect(x).toBe(y);
});

/** msgpack has no -0: inside nested values it becomes 0. */
function hasMinusZero(value: unknown): boolean {
  if (typeof value === 'object' && value !== null) {
    const inner = value instanceof Map ? [...value].flat() : value instanceof Set ? [...value] : Object.values(value);
    return inner.some(hasMinusZero);
  }
  return Object.is(value, -0);
}

test('numbers among bigints survive', () => {
  const records = [[0, 0n], [0n, 0], 1, 1n];
  expect(decodeRecords(encodeRecords(records))).toEqual(records);
  expect(decodeRecords(encodeRecords([1, 1n]))).toEqual([1, 1n]);
});

test('any data survives', () => {
  const value = fc.anything({ withBigInt: true, withDate: true, withNullPrototype: false, withTypedArray: false, withSparseArray: false });
  fc.assert(
    fc.property(fc.array(value, { maxLength: 8 }), (records) => {
      fc.pre(!hasMinusZero(records));
      fc.pre(!JSON.stringify(records, (_k, v: unknown) => (typeof v === 'bigint' ? `${v}` : v)).includes('__proto__'));
      expect(decodeRecords(encodeRecords(records))).toEqual(records);
    }),
    { numRuns: 300 },
  );
});

test('functions and symbols are refused', () => {
  expect(() => packValue({ f: () => 1 })).toThrow(/cannot be encoded/);
  expect(() => encodeRecords([Symbol('x')])).toThrow(/SP_COLUMN_NOT_DATA|cannot be encoded/);
});

test('instances of classes are refused by name, however deep, rather than arriving without their class', () => {
  class Point {
    x = 1;
  }
  for (const record of [new Point(), [1, new Point()], { at: { p: new Point() } }, new Map([[1, new Point()]])]) {
    expect(() => encodeRecords([record, null])).toThrow(/an instance of Point would lose its class/);
  }
  for (const [value, name] of [
    [new URL('file:///x'), 'URL'],
    [new WeakMap(), 'WeakMap'],
    [Promise.resolve(), 'Promise'],
  ] as const) {
    expect(() => encodeRecords([value])).toThrow(new RegExp(`an instance of ${name}`));
  }
});

test('pairs written as two columns are read without pair objects', () => {
  const out: Uint8Array[] = [];
  appendPairs(out, ['a', 'b'], [1, 2]);
  appendPairs(out, ['c'], [3]);
  const seen: unknown[] = [];
  forEachPairColumn(Buffer.concat(out), (keys, values) => {
    for (let i = 0; i < keys.length; i++) seen.push([keys[i], values[i]]);
  });
  expect(seen).toEqual([
    ['a', 1],
    ['b', 2],
    ['c', 3],
  ]);
});

test('random bytes give coded errors only', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      for (const decode of [decodeRecords, unpackValue]) {
        try {
          decode(bytes);
        } catch (error) {
          if (!SparkProxyError.is(error)) throw error;
        }
      }
    }),
    { numRuns: 2000 },
  );
});

test('a truncated block is refused', () => {
  const bytes = encodeRecords(['abc', 'def', 'ghi']);
  for (let n = 1; n < bytes.length; n++) expect(() => decodeRecords(bytes.subarray(0, n))).toThrow(/corrupt/);
});
