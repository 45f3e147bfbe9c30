import { SparkContext } from 'spark-proxy';

const [file, partitions] = process.argv.slice(2) as [string, string];
const sc = new SparkContext({ 'spark.app.name': 'bench words' });
const [words, distinct, squares] = await sc
  .textFile(file, Number(partitions))
  .flatMap((line) => line.match(/[A-Za-z0-9_]+/g) ?? [])
  .map((word): [string, number] => [word, 1])
  .reduceByKey((a, b) => a + b, 2)
  .map(([, n]): [number, number, number] => [n, 1, n * n])
  .reduce((a, b) => [a[0] + b[0], a[1] + b[1], a[2] + b[2]]);
console.log(`ANSWER ${words} ${distinct} ${squares}`);
await sc.stop();
