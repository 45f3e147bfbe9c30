import type { KeyBytes } from './contract.ts';
import { compareKeys } from './versions.ts';

/** Quantiles of weighted sampled rows: at most `parts - 1` different rows, ascending. */
export function cutSamples(samples: readonly { readonly row: KeyBytes; readonly weight: number }[], parts: number): KeyBytes[] {
  const sorted = [...samples].sort((a, b) => compareKeys(a.row, b.row));
  const total = sorted.reduce((sum, { weight }) => sum + weight, 0);
  const cuts: KeyBytes[] = [];
  let seen = 0;
  for (const { row, weight } of sorted) {
    // The row opens the next range when enough came before it.
    const last = cuts.at(-1);
    if (cuts.length < parts - 1 && seen >= (total * (cuts.length + 1)) / parts && (last === undefined || compareKeys(last, row) !== 0)) cuts.push(row);
    seen += weight;
  }
  return cuts;
}
