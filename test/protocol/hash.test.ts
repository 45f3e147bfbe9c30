import { expect, test } from 'vitest';
import { canonicalKey, compareKeys, hashKey, keyIdentity } from '../../src/protocol/hash.ts';

test('hashes are the same on every run', () => {
  expect([hashKey(0), hashKey(1), hashKey('a'), hashKey([1, 'a']), hashKey(1.5), hashKey(null)]).toMatchInlineSnapshot(`
    [
      0,
      1364076727,
      3873127206,
      765707507,
      4112544204,
      1,
    ]
  `);
});

test('keys equal by value have equal hashes and identities', () => {
  for (const [a, b] of [
    [0, -0],
    [
      [1, [2]],
      [1, [2]],
    ],
    [
      { a: 1, b: 2 },
      { b: 2, a: 1 },
    ],
    [new Date(7), new Date(7)],
    [new Set([1, 2]), new Set([2, 1])],
  ] as [unknown, unknown][]) {
    expect(hashKey(a)).toBe(hashKey(b));
    expect(canonicalKey(a)).toBe(canonicalKey(b));
  }
});

test('keys of different types differ', () => {
  const keys: unknown[] = [1, '1', [1], ['1'], { a: 1 }, { a: '1' }, null, undefined, true, 1n, new Date(1)];
  expect(new Set(keys.map(keyIdentity)).size).toBe(keys.length);
});

test('hashes of neighbouring integers and of similar words spread over partitions', () => {
  for (const make of [(i: number) => i, (i: number) => `word${i}`]) {
    const counts = new Array<number>(16).fill(0);
    for (let i = 0; i < 16_000; i++) counts[hashKey(make(i)) % 16]!++;
    for (const count of counts) expect(count).toBeGreaterThan(700);
  }
});

test('a key nested too deep is refused', () => {
  let key: unknown = 1;
  for (let i = 0; i < 100; i++) key = [key];
  expect(() => hashKey(key)).toThrow(RangeError);
});

test('natural order: numbers, strings, tuples, NaN last', () => {
  expect([3, NaN, -1, 2].sort(compareKeys)).toEqual([-1, 2, 3, NaN]);
  expect(
    [
      ['b', 1],
      ['a', 2],
      ['a', 1],
    ].sort(compareKeys),
  ).toEqual([
    ['a', 1],
    ['a', 2],
    ['b', 1],
  ]);
});

test('the order is total: whatever is sorted comes out the same, wherever it was', () => {
  const ordered = [
    undefined,
    null,
    false,
    true,
    -1,
    2n,
    2.5,
    NaN,
    '',
    '10',
    '9',
    new Date(1),
    new Date(5),
    new Date(NaN),
    [],
    [undefined, 9],
    [1],
    [1, 'a'],
    { a: 1 },
    { a: 2 },
  ];
  for (const [i, a] of ordered.entries()) for (const [j, b] of ordered.entries()) expect(Math.sign(compareKeys(a, b)), `${i} and ${j}`).toBe(Math.sign(i - j));
  expect(compareKeys(2, 2n)).toBe(0);
});

test('bytes are told by what they are bytes of', () => {
  expect(keyIdentity(new Int8Array([-1]))).not.toBe(keyIdentity(new Uint8Array([255])));
  expect(keyIdentity(Buffer.from([255]))).toBe(keyIdentity(new Uint8Array([255])));
});
