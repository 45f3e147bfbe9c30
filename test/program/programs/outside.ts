import { SparkContext } from 'spark-proxy';
import { defineProgram, type Configurer } from 'spark-proxy/program';

/** Tasks of its jobs run on workers; what they read, write and count belongs to the run's transactions. */
export const Outside = defineProgram({
  name: 'Outside',
  configure(configurer: Configurer) {
    configurer.createDataset('Numbers', 'keyValue');
    configurer.createDataset('Marks', 'keyValue');
  },
  async run(sec) {
    const sc = new SparkContext();
    const metrics = sc.getMetrics();
    const { datasetContext } = sec;
    await sc
      .range(0, 100, 1, 4)
      .map((n): [number, number] => [n, n * n])
      .saveAsDataset('Numbers');
    const sum = await sec.execute(async () => {
      const numbers = sc.fromDataset<[number, number]>('Numbers', { numPartitions: 4 });
      await numbers.foreachPartition(async (rows) => {
        let seen = 0;
        for (const [key] of rows) {
          seen += 1;
          if (key % 50 === 0) await datasetContext.keyValue<number, number>('Marks').put(key, process.pid);
        }
        metrics.count('rows', seen);
      });
      return numbers.map(([, square]) => square).reduce((a, b) => a + b);
    });
    const pids = new Set<number>();
    for await (const [, pid] of datasetContext.keyValue<number, number>('Marks').scan()) pids.add(pid);
    console.log(JSON.stringify({ sum, rows: metrics.values()['rows'], marks: pids.size > 0, outside: !pids.has(process.pid) }));
  },
});

/** Writes in a transaction, says so, and waits to be killed. */
export const HalfWay = defineProgram({
  name: 'HalfWay',
  configure(configurer: Configurer) {
    configurer.createDataset('Half', 'keyValue');
  },
  async run(sec) {
    const sc = new SparkContext();
    await sec.execute(async (datasets) => {
      await sc
        .range(0, 10)
        .map((n): [number, string] => [n, 'never seen'])
        .saveAsDataset('Half');
      await datasets.keyValue<number, string>('Half').put(100, 'nor this');
      console.log('half way');
      await new Promise((resolve) => sec.signal.addEventListener('abort', resolve));
    });
  },
});

export const Look = defineProgram({
  name: 'Look',
  async run(sec) {
    const rows: unknown[] = [];
    for await (const row of sec.datasetContext.keyValue<number, string>('Half').scan()) rows.push(row);
    await sec.execute((datasets) => datasets.keyValue<number, string>('Half').put(1, 'seen'));
    console.log(JSON.stringify({ before: rows, after: await sec.datasetContext.keyValue<number, string>('Half').get(1) }));
  },
});
