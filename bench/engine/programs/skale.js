import { createRequire } from 'node:module';
import { serve } from './commands.ts';

const sc = createRequire(import.meta.url)('../../peers/node_modules/skale').context();
await sc
  .range(0, 1000, 1, 2)
  .map((i) => i)
  .reduce((a, b) => a + b, 0);

async function words(file, partitions) {
  const sum = await sc
    .textFile(file, partitions)
    .flatMap((line) => line.match(/[A-Za-z0-9_]+/g) || [])
    .map((word) => [word, 1])
    .reduceByKey((a, b) => a + b, 0)
    .map((pair) => [pair[1], 1, pair[1] * pair[1]])
    .reduce((a, b) => [a[0] + b[0], a[1] + b[1], a[2] + b[2]], [0, 0, 0]);
  return sum.join(' ');
}

async function pi(samples, partitions) {
  return await sc
    .range(0, Number(samples), 1, partitions)
    .map((i) => {
      const u = i * 0.7548776662466927;
      const v = i * 0.5698402909980532;
      const x = (u - Math.floor(u)) * 2 - 1;
      const y = (v - Math.floor(v)) * 2 - 1;
      return x * x + y * y <= 1 ? 1 : 0;
    })
    .reduce((a, b) => a + b, 0);
}

await serve({ words, pi });
sc.end();
