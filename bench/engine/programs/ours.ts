import { SparkContext } from 'spark-proxy';
import { serve } from './commands.ts';

const sc = new SparkContext({ 'spark.app.name': 'bench', 'spark.master': 'local[2]' });
await sc
  .range(0, 1000, 1, 2)
  .map((i) => i)
  .reduce((a, b) => a + b);

async function words(file: string, partitions: number): Promise<string> {
  const sum = await sc
    .textFile(file, partitions)
    .flatMap((line) => line.match(/[A-Za-z0-9_]+/g) ?? [])
    .map((word): [string, number] => [word, 1])
    .reduceByKey((a, b) => a + b, partitions)
    .map(([, n]): [number, number, number] => [n, 1, n * n])
    .reduce((a, b) => [a[0] + b[0], a[1] + b[1], a[2] + b[2]]);
  return sum.join(' ');
}

async function pi(samples: string, partitions: number): Promise<number> {
  return await sc
    .range(0, Number(samples), 1, partitions)
    .map((i): number => {
      const u = i * 0.7548776662466927;
      const v = i * 0.5698402909980532;
      const x = (u - Math.floor(u)) * 2 - 1;
      const y = (v - Math.floor(v)) * 2 - 1;
      return x * x + y * y <= 1 ? 1 : 0;
    })
    .reduce((a, b) => a + b);
}

await serve({ words, pi });
await sc.stop();
