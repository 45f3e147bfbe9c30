// SparkPi, and a word count over every Markdown, licence and declaration file below node_modules.
import { SparkContext } from 'spark-proxy';

const sc = new SparkContext({ 'spark.app.name': 'first path' });

const samples = 4_000_000;
const slices = 8;
const inside = await sc
  .range(0, samples, 1, slices)
  .map((i): number => {
    // A fixed pseudo-random point for each index, so that every run, inside or outside, gives the same answer.
    const x = hash(2 * i) * 2 - 1;
    const y = hash(2 * i + 1) * 2 - 1;
    return x * x + y * y <= 1 ? 1 : 0;
  })
  .reduce((a, b) => a + b);
console.log(`Pi is roughly ${((4 * inside) / samples).toFixed(5)}`);

const text = 'node_modules/**/{*.md,*.d.ts,*.d.mts,*.d.cts,LICENSE*,LICENCE*,license*}';
const characters = sc.longAccumulator('characters read');
const counts = sc
  .textFile(text, 16)
  .flatMap((line) => {
    characters.add(line.length + 1);
    return line.toLowerCase().match(/[a-z]+/g) ?? [];
  })
  .map((word): [string, number] => [word, 1])
  .reduceByKey((a, b) => a + b)
  .cache();

const top = await counts.sortBy(([, n]) => n, { ascending: false }).take(10);
const [words, distinct] = await counts.map(([, n]): [number, number] => [n, 1]).reduce(([a, b], [c, d]) => [a + c, b + d]);
console.log(`${words} words in ${characters.value} characters, ${distinct} distinct; the most frequent:`);
for (const [word, n] of top) console.log(`${String(n).padStart(9)}  ${word}`);
await sc.stop();

function hash(n: number): number {
  let h = Math.imul(n ^ 0x9e3779b9, 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return ((h ^ (h >>> 16)) >>> 0) / 4294967296;
}
