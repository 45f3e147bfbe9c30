import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Cell } from '../../src/dataset/contract.ts';
import { inKeyOrder } from '../../src/dataset/sqlite/order.ts';
import { compareKeys } from '../../src/dataset/versions.ts';

const cell = (row: string, mark: number): Cell => ({ row: Buffer.from(row, 'latin1'), column: '', value: Buffer.from([mark]) });

test('all cells are there, those of one row in their order, rows by their first bytes that differ', () => {
  const rows = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', 'z', '\u0000', '\u00ff'), maxLength: 6 }), { maxLength: 60 });
  fc.assert(
    fc.property(rows, fc.string({ maxLength: 3, unit: 'grapheme-ascii' }), (some, prefix) => {
      const cells = some.map((row, i) => cell(prefix + row, i));
      const ordered = inKeyOrder(cells);
      expect(new Set(ordered)).toEqual(new Set(cells));
      for (const [i, one] of ordered.entries()) {
        for (const later of ordered.slice(i + 1)) {
          if (compareKeys(one.row, later.row) === 0) expect(cells.indexOf(one)).toBeLessThan(cells.indexOf(later));
        }
      }
    }),
    { numRuns: 200 },
  );
  const keys = ['user0300', 'user0100', 'user0200', 'user0100'];
  expect(inKeyOrder(keys.map(cell)).map(({ row, value }) => `${Buffer.from(row).toString()} ${value?.[0]}`)).toEqual([
    'user0100 1',
    'user0100 3',
    'user0200 2',
    'user0300 0',
  ]);
});

test('what is in order already is given back as it is', () => {
  const cells = ['a', 'a', 'b', 'c'].map(cell);
  expect(inKeyOrder(cells)).toBe(cells);
  expect(inKeyOrder([])).toEqual([]);
});
