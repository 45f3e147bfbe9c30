// A task that takes its worker process down, whoever runs it; prints the code of the error it fails with.
import { SparkContext } from 'spark-proxy';

const sc = new SparkContext({ 'spark.app.name': 'poison' });
console.error('begun');
try {
  await sc
    .range(0, 1, 1, 1)
    .map(() => process.kill(process.pid, 'SIGKILL'))
    .collect();
} catch (error) {
  console.log(((error as Error).cause as { code?: string } | undefined)?.code ?? (error as Error).message);
}
await sc.stop();
