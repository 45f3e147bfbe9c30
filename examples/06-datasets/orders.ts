/**
 * Orders come as events; one transaction books them: stock goes down, revenue goes up, the orders of the day become a partition. An order that cannot be
 * met undoes all of it.
 *   npx spark-proxy program run --conf worker.instances=2 examples/06-datasets/orders.ts
 */
import { SparkContext } from 'spark-proxy';
import { struct } from 'spark-proxy/dataset';
import { SparkProgram, type Configurer, type SparkExecutionContext } from 'spark-proxy/program';

interface Order {
  readonly item: string;
  readonly pieces: number;
}

type Booked = readonly [item: string, pieces: number];

const PRICES: Readonly<Record<string, number>> = { apple: 3, pear: 4, plum: 1 };
const MONDAY = Date.UTC(2026, 0, 5);
const TUESDAY = Date.UTC(2026, 0, 6);
const DAY = TUESDAY - MONDAY;

export class Orders extends SparkProgram {
  override configure(configurer: Configurer): void {
    configurer.createDataset('orders', 'stream', { schema: struct({ item: 'string', pieces: 'integer' }) });
    configurer.createDataset('stock', 'table');
    configurer.createDataset('revenue', 'keyValue');
    configurer.createDataset('booked', 'timePartitionedFileSet');
  }

  async run(sec: SparkExecutionContext): Promise<void> {
    const sc = new SparkContext();
    await sec.execute(async (ds) => {
      for (const item of Object.keys(PRICES)) await ds.table('stock').put(item, { pieces: 100, price: PRICES[item] });
    });
    // An action is a transaction of its own: all events are there when it resolves.
    await sc
      .range(0, 60, 1, 4)
      .map((i) => ({ time: MONDAY + i * 60_000, body: { item: ['apple', 'pear', 'plum'][i % 3] as string, pieces: 1 + (i % 4) } }))
      .saveAsDataset('orders');
    await sc.parallelize([{ time: TUESDAY, body: { item: 'plum', pieces: 80 } }]).saveAsDataset('orders');

    for (const day of [MONDAY, TUESDAY]) {
      const name = new Date(day).toISOString().slice(0, 10);
      try {
        console.log(`${name}: ${await this.book(sc, sec, day)} earned`);
      } catch (error) {
        console.log(`${name}: ${(error as Error).message}; nothing is booked`);
      }
    }
    for await (const [item, row] of sec.datasetContext.table('stock').scan()) console.log(`${item}: ${Number(row['pieces'])} left`);
    console.log(`days booked: ${(await sec.datasetContext.timePartitionedFileSet('booked').partitions(MONDAY, TUESDAY + DAY)).length}`);
    console.log(`orders seen by tasks: ${sec.getMetrics().values()['orders']}`);
  }

  book(sc: SparkContext, sec: SparkExecutionContext, day: number): Promise<number> {
    const metrics = sec.getMetrics();
    // Should another program book at the same time, one of the two is run again.
    return sec.execute(
      async (ds) => {
        const orders = sc
          .fromStream<Order>('orders', day, day + DAY)
          .map(({ body }): Booked => {
            metrics.count('orders');
            return [body.item, body.pieces];
          })
          .reduceByKey((a, b) => a + b);
        await orders.saveAsDataset('booked', { time: day });
        let earned = 0;
        for (const [item, pieces] of await orders.collect()) {
          const left = await ds.table('stock').increment(item, 'pieces', -pieces);
          if (left < 0) throw new Error(`${-left} pieces of ${item} are missing`);
          earned += pieces * (PRICES[item] as number);
        }
        return ds.keyValue<string, number>('revenue').increment('total', earned);
      },
      { retries: 5 },
    );
  }
}
