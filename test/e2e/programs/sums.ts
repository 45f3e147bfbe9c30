// Three jobs with a shuffle each, slow enough that a fault lands in the middle; prints one JSON line. Argument: milliseconds of a task.
import { SparkContext } from 'spark-proxy';

const ms = Number(process.argv[2] ?? '40');
const sc = new SparkContext({ 'spark.app.name': 'sums' });
const seen = sc.longAccumulator('seen');
const totals: number[] = [];
console.error('begun');
for (let job = 0; job < 3; job++) {
  const sums = await sc
    .range(0, 400, 1, 20)
    .map((x): [number, number] => {
      if (x % 20 === 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
      seen.add(1);
      return [x % 7, x + job];
    })
    .reduceByKey((a, b) => a + b, 4)
    .collect();
  totals.push(sums.map(([, sum]) => sum).reduce((a, b) => a + b));
}
console.log(JSON.stringify({ totals, seen: seen.value }));
await sc.stop();
