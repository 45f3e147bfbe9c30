import { SparkContext } from 'spark-proxy';

const sc = new SparkContext();
console.log(
  await sc
    .range(0, 1000, 1, 4)
    .map((x) => x + 1)
    .reduce((a, b) => a + b),
);
await sc.stop();
