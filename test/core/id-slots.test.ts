import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Generations } from '../../src/core/generations.ts';
import { IdSlots } from '../../src/core/id-slots.ts';

const ids = fc.oneof(
  fc.nat(64),
  fc.maxSafeNat(),
  fc.nat(1000).map((n) => n * 65_536),
  fc.nat(1000).map((n) => n * 0x1_0000_0000),
);

test('ids are numbered in the order they come, as by a Map, also after all were taken out', () => {
  fc.assert(
    fc.property(fc.array(fc.array(ids, { maxLength: 300 }), { maxLength: 3 }), fc.array(ids, { maxLength: 50 }), (rounds, others) => {
      const slots = new IdSlots();
      for (const round of rounds) {
        slots.clear();
        const map = new Map<number, number>();
        for (const id of round) {
          if (!map.has(id)) map.set(id, map.size);
          expect(slots.add(id)).toBe(map.get(id));
        }
        expect(slots.size).toBe(map.size);
        for (const id of [...round, ...others]) expect(slots.find(id)).toBe(map.get(id) ?? -1);
      }
    }),
    { numRuns: 300 },
  );
});

test('ids of one stride are found without walking over the others', () => {
  // Were they side by side, this would take 10^11 steps.
  for (const stride of [1, 16, 65_536, 0x1_0000_0000]) {
    const slots = new IdSlots();
    for (let i = 0; i < 300_000; i++) slots.add(i * stride);
    for (let i = 0; i < 300_000; i++) if (slots.find(i * stride) !== i) throw new Error(`${i} times ${stride} is lost`);
    expect(slots.find(300_000 * stride)).toBe(-1);
  }
});

test('of generations two are kept, and what the older one had allocated is used again', () => {
  const generations = new Generations(() => new IdSlots());
  const first = generations.open('a');
  first.add(1);
  generations.open('idle').add(1);
  generations.turn();
  expect([generations.young('a'), generations.old('a')?.find(1)]).toEqual([undefined, 0]);
  generations.open('a').add(2);
  generations.turn();
  expect([generations.young('a') === first, first.size, generations.old('a')?.find(2)]).toEqual([true, 0, 0]);
  generations.open('a').add(3);
  generations.turn();
  generations.turn();
  // Nothing was added for it in two generations.
  expect([generations.young('idle'), generations.old('idle')]).toEqual([undefined, undefined]);
});
