/** The same rows for both: a key of ten characters in a shuffled order, and a number. */

/** A bijection of 0..2^20-1, so that keys come in no order, as those of a shuffle do. */
export function keyAt(i: number): string {
  return `user${String((i * 714_025 + 1_366) % 1_048_576).padStart(7, '0')}`;
}
