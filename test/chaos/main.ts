/** `npm run chaos -- [worker|churn|dispatcher|spark|datasets|soak] [times]`: kills many times over. Without a name: all. */
import { runDatasetChaos } from './datasets.ts';
import { runDispatcherChaos } from './dispatcher-kills.ts';
import { runRedisSoak } from './redis-soak.ts';
import { runSparkChaos } from './spark.ts';
import { runWorkerChaos } from './worker-kills.ts';

const SUITES: Readonly<Record<string, (times: number | undefined) => Promise<boolean>>> = {
  worker: (times = 1000) => runWorkerChaos({ kills: times }),
  churn: (seconds = 60) => runWorkerChaos({ kills: 20, seconds, workers: 20 }),
  dispatcher: (times = 40) => runDispatcherChaos(times),
  datasets: (reads = 2000) => runDatasetChaos(reads),
  soak: (seconds = 60) => runRedisSoak(seconds),
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
