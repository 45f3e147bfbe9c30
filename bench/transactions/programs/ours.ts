/** Saves through a job and its transaction; read, change and write a row through `execute`. */
import { SparkContext } from 'spark-proxy';
import { datasetsOf } from 'spark-proxy/dataset';
import { serve } from '../../engine/programs/commands.ts';
import { keyAt } from './rows.ts';

const sc = new SparkContext({ 'spark.app.name': 'bench transactions', 'spark.master': 'local[2]', 'dataset.store': process.argv[2] as string });
const datasets = await datasetsOf(sc);
let made = 0;

/** Milliseconds from the call to the commit. */
async function save(rows: string): Promise<number> {
  const name = `saved${++made}`;
  await datasets.admin.create(name, 'keyValue');
  const start = performance.now();
  await sc
    .range(0, Number(rows), 1, 2)
    .map((i): [string, number] => [keyAt(i), i])
    .saveAsDataset(name);
  return performance.now() - start;
}

/** Median milliseconds of a transaction that reads a row and writes it. */
async function tiny(count: string): Promise<number> {
  await datasets.admin.create('tiny', 'keyValue', { ifNotExists: true });
  const times: number[] = [];
  for (let i = 0; i < Number(count); i++) {
    const start = performance.now();
    await datasets.execute((ds) => ds.keyValue<string, number>('tiny').increment('counter'));
    times.push(performance.now() - start);
  }
  return times.sort((a, b) => a - b)[times.length >> 1] as number;
}

await save('1000');
await tiny('20');
await serve({ save, tiny });
await sc.stop();
