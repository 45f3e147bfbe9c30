import { expect, test } from 'vitest';
import { deserializeGraph, serializeGraph } from '../../src/closure/index.ts';

test('super of a method of a literal is that of the literal, whatever object holds the method', async () => {
  const base = { hi: () => 'base' };
  const other = { hi: () => 'other' };
  const made = [1, 2].map((n) => ({
    __proto__: { hi: () => `${base.hi()}${n}` },
    hi(): string {
      return `${(super.hi as () => string)()}!`;
    },
  }));
  const borrowed = { __proto__: other, hi: made[1]?.hi };
  const alone = made[0]?.hi;
  const f = (): unknown => [borrowed.hi?.(), alone?.call(undefined as never), made.map((one) => one.hi())];
  const g = (await deserializeGraph(serializeGraph(f).bytes)) as typeof f;
  expect(g()).toEqual(['base2!', 'base1!', ['base1!', 'base2!']]);
});
