/** Moves amounts between two accounts, counts, and rewrites rows by a job in worker processes, until it is killed. */
import { SparkContext } from '../../../src/scheduler/spark-context.ts';
import { attachDatasets, openDatasets } from '../../../src/dataset/index.ts';

const [store, what] = process.argv.slice(2) as [string, string | undefined];
const datasets = await openDatasets({ store });
const retry = { retries: 1000, backoffMs: 5 };

if (what === 'prepare') {
  for (const name of ['accounts', 'rows', 'counter']) await datasets.admin.create(name, 'keyValue');
  await datasets.execute(async (ds) => {
    await ds.keyValue('accounts').put('left', 0);
    await ds.keyValue('accounts').put('right', 0);
    for (let i = 0; i < 40; i++) await ds.keyValue('rows').put(`r${i}`, 0);
  });
} else if (what === 'count') {
  console.log((await datasets.context.keyValue('counter').get('n')) ?? 0);
} else {
  const sc = new SparkContext({ 'spark.master': 'local[1]', 'worker.instances': '2' });
  attachDatasets(sc, datasets);
  for (;;) {
    console.log('begin');
    await datasets.execute(async (ds) => {
      const amount = Math.floor(Math.random() * 100);
      const accounts = ds.keyValue<string, number>('accounts');
      await accounts.increment('left', amount);
      await ds.keyValue('counter').increment('n');
      await accounts.increment('right', -amount);
    }, retry);
    console.log('done');
    const mark = Math.random();
    const saved = sc.fromDataset<[string, number]>('rows', { numPartitions: 4 }).mapValues(() => mark);
    await datasets.execute(() => saved.saveAsDataset('rows'), retry);
    console.log('saved');
  }
}
await datasets.close();
