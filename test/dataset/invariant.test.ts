import { expect, test } from 'vitest';
import { watchInvariant } from './invariant.ts';
import { describeEachStore } from './stores.ts';

describeEachStore('two drivers under kill -9, with a reader in another process', (bed) => {
  test('the reader never sees half a transaction, and no confirmed increment is lost or doubled', async () => {
    const report = await watchInvariant({ store: await bed.url(), reads: 100, kills: 2 });
    expect(report.violations).toEqual([]);
    expect(report.reads).toBeGreaterThanOrEqual(100);
    // One that was killed after its commit and before it said so counts, and need not have been confirmed.
    expect(report.counted).toBeGreaterThanOrEqual(report.confirmed);
    expect(report.counted).toBeLessThanOrEqual(report.begun);
  }, 240_000);
});
