import { SparkContext } from 'spark-proxy';

const [samples, partitions] = process.argv.slice(2).map(Number) as [number, number];
const sc = new SparkContext({ 'spark.app.name': 'bench pi' });

function hash(n: number): number {
  let h = Math.imul(n ^ 0x9e3779b9, 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return ((h ^ (h >>> 16)) >>> 0) / 4294967296;
}

const inside = await sc
  .range(0, samples, 1, partitions)
  .map((i): number => {
    const x = hash(2 * i) * 2 - 1;
    const y = hash(2 * i + 1) * 2 - 1;
    return x * x + y * y <= 1 ? 1 : 0;
  })
  .reduce((a, b) => a + b);
console.log(`ANSWER ${inside}`);
await sc.stop();
