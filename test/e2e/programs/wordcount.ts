// Counts words of the files given, over two shuffles; prints one JSON line. Slow enough that a kill lands in the middle.
import { SparkContext, TaskContext } from 'spark-proxy';

const [files = '', partitions = '12'] = process.argv.slice(2);
const sc = new SparkContext({ 'spark.app.name': 'word count' });
const lines = sc.longAccumulator('lines');
const counts = sc
  .textFile(files.split(';'), Number(partitions))
  .flatMap((line) => {
    lines.add(1);
    return line.split(/\s+/).filter((word) => word !== '');
  })
  .map((word): [string, number] => [word, 1])
  .reduceByKey((a, b) => a + b, 6);
const byCount = counts.map(([word, n]): [number, string] => [n, word]).groupByKey(4);
const sizes = await byCount.mapValues((words) => words.length).collect();
const total = await counts.values().reduce((a, b) => a + b);
const distinct = sizes.reduce((sum, [, n]) => sum + n, 0);
const check = sizes.map(([n, words]) => n * words).reduce((a, b) => a + b, 0);
console.log(JSON.stringify({ total, distinct, check, lines: lines.value, outside: TaskContext.get() === undefined }));
await sc.stop();
