/**
 * Two programs and a workflow: one fills a dataset, one swaps keys and values, and a workflow runs one after the other.
 *   npx spark-proxy program run examples/04-programs/programs.ts#Nightly
 *   npx spark-proxy program runs
 */
import { SparkContext } from 'spark-proxy';
import { defineWorkflow, SparkProgram, type Configurer, type SparkExecutionContext } from 'spark-proxy/program';

export class Fill extends SparkProgram {
  override configure(configurer: Configurer): void {
    configurer.createDataset('Prices', 'keyValue');
  }

  async run(sec: SparkExecutionContext): Promise<void> {
    // One transaction: a reader sees all three or none.
    await sec.execute(async (datasets) => {
      const prices = datasets.keyValue<string, number>('Prices');
      await prices.put('apple', 120);
      await prices.put('pear', 90);
      await prices.put('plum', 60);
    });
  }
}

export class Swap extends SparkProgram {
  async run(sec: SparkExecutionContext): Promise<void> {
    const sc = new SparkContext();
    await sc
      .fromDataset<[string, number]>('Prices')
      .map(([fruit, price]): [number, string] => [price, fruit])
      .saveAsDataset('Fruits');
    for await (const [price, fruit] of sec.datasetContext.keyValue<number, string>('Fruits').scan()) console.log(price, fruit);
    sec.workflowToken?.put('swapped', await sc.fromDataset('Fruits').count());
  }
}

const HERE = import.meta.filename;

export const Nightly = defineWorkflow('Nightly', (workflow) =>
  workflow
    .program(`${HERE}#Fill`, { node: 'fill' })
    .program(`${HERE}#Swap`, { node: 'swap' })
    .when(
      (token) => Number(token.get('swapped', 'swap')) === 3,
      (all) => all.action('report', () => console.log('all swapped')),
      (some) => some.action('complain', () => Promise.reject(new Error('some are missing'))),
    ),
);
