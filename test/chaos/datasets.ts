/** The invariant of datasets under kill -9 of drivers and workers, on both stores: `npm run chaos -- datasets [reads]`. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { watchInvariant } from '../dataset/invariant.ts';
import { startPostgres } from '../support/postgres.ts';

/** Readings a kill. */
const READS_A_KILL = 100;

export async function runDatasetChaos(reads: number): Promise<boolean> {
  const directory = mkdtempSync(join(tmpdir(), 'spark-proxy-chaos-'));
  const postgres = await startPostgres();
  let good = true;
  try {
    for (const store of [`sqlite:${join(directory, 'chaos.db')}`, await postgres.database()]) {
      const start = performance.now();
      const report = await watchInvariant({ store, reads, kills: Math.ceil(reads / READS_A_KILL) });
      const exact = report.counted >= report.confirmed && report.counted <= report.begun;
      const seconds = Math.round((performance.now() - start) / 1000);
      console.log(
        `${store.split(':')[0]}: ${report.reads} reads, ${report.violations.length} violations, ${report.kills} drivers and ${report.workerKills} workers killed, ` +
          `${report.confirmed} increments confirmed of ${report.begun} begun, ${report.counted} counted, ${report.moves} jobs, ${seconds} s`,
      );
      for (const violation of report.violations.slice(0, 5)) console.error(violation);
      if (report.violations.length > 0 || !exact || report.reads < reads) good = false;
    }
  } finally {
    await postgres.stop();
    rmSync(directory, { recursive: true, force: true });
  }
  return good;
}
