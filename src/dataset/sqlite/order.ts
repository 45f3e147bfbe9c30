import type { Cell } from '../contract.ts';
import { compareKeys } from '../versions.ts';

/** Bytes that decide the order, after those that all rows begin with. */
const HEAD_BYTES = 4;
/** Cells at most: head and place share the 53 bits of a number. */
const MAX_ORDERED = 2 ** 20;

/**
 * The cells roughly by row; those of one row stay in their order. Rows that come in key order touch each page of a table once; in any other order nearly
 * every page is written again with every batch.
 */
export function inKeyOrder(cells: readonly Cell[]): readonly Cell[] {
  let isOrdered = true;
  let [low, high] = [cells[0], cells[0]];
  for (let i = 1; i < cells.length; i++) {
    const cell = cells[i] as Cell;
    if (compareKeys(cell.row, (high as Cell).row) >= 0) high = cell;
    else {
      isOrdered = false;
      if (compareKeys(cell.row, (low as Cell).row) < 0) low = cell;
    }
  }
  if (isOrdered || low === undefined || high === undefined || cells.length > MAX_ORDERED) return cells;
  let shared = 0;
  while (shared < low.row.length && low.row[shared] === high.row[shared]) shared += 1;
  // Sorted as numbers, without a comparator: the place keeps equal heads in order, and gives the cell back.
  const places = Float64Array.from(cells, ({ row }, place) => {
    let head = 0;
    for (let i = shared; i < shared + HEAD_BYTES; i++) head = head * 256 + (row[i] ?? 0);
    return head * MAX_ORDERED + place;
  });
  return Array.from(places.sort(), (place) => cells[place % MAX_ORDERED] as Cell);
}
