/** `npm run chaos -- [worker|spark|datasets] [times]`: kills many times over. Without a name: all. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { runDatasetChaos } from './datasets.ts';
import { runSparkChaos } from './spark.ts';

const KILL_WORKER = fileURLToPath(new URL('kill-worker.ts', import.meta.url));

const SUITES: Readonly<Record<string, (times: number | undefined) => Promise<boolean>>> = {
  worker: (times = 20) => Promise.resolve(spawnSync(process.execPath, [KILL_WORKER, String(times)], { stdio: 'inherit' }).status === 0),
  datasets: (reads = 2000) => runDatasetChaos(reads),
  spark: (times = 10) => runSparkChaos(times),
};

const [name, times] = process.argv.slice(2);
const chosen = name === undefined ? Object.keys(SUITES) : [name];
for (const one of chosen) {
  const suite = Object.hasOwn(SUITES, one) ? SUITES[one] : undefined;
  if (suite === undefined) {
    console.error(`unknown ${one}; known: ${Object.keys(SUITES).join(', ')}`);
    process.exitCode = 2;
  } else if (!(await suite(times === undefined ? undefined : Number(times)))) process.exitCode = 1;
}
