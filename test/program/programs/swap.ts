import { SparkContext } from 'spark-proxy';
import { SparkProgram, type SparkExecutionContext } from 'spark-proxy/program';

class SimpleSpark extends SparkProgram {
  async run() {
    const sc = new SparkContext();
    await sc
      .fromDataset<[string, number]>('SourceDS')
      .map(([k, v]) => [v, k])
      .saveAsDataset('NewDS');
  }
}

export class Explicit extends SparkProgram {
  async run(sec: SparkExecutionContext) {
    const sc = new SparkContext();
    await sec.execute(async (ds) => {
      const source = sc.fromDataset<[string, number]>('SourceDS');
      await source.map(([k, v]) => [v, k]).saveAsDataset('Swapped');
      const sum = await source.map(([, v]) => v).reduce((a, b) => a + b);
      await ds.keyValue<string, number>('Sums').put('sum', sum);
    });
  }
}

export class Fill extends SparkProgram {
  override configure(configurer: import('spark-proxy/program').Configurer) {
    configurer.createDataset('SourceDS', 'keyValue');
    configurer.createDataset('Sums', 'keyValue');
  }

  async run(sec: SparkExecutionContext) {
    await sec.execute(async (ds) => {
      const table = ds.keyValue<string, number>('SourceDS');
      for (const [key, value] of [
        ['one', 1],
        ['two', 2],
        ['three', 3],
      ] as const)
        await table.put(key, value);
    });
  }
}

export class Print extends SparkProgram {
  async run(sec: SparkExecutionContext) {
    for (const name of ['NewDS', 'Swapped', 'Sums']) {
      if ((await sec.admin.get(name)) === undefined) continue;
      const rows: unknown[] = [];
      for await (const row of sec.datasetContext.keyValue(name).scan()) rows.push(row);
      console.log(`${name} ${JSON.stringify(rows)}`);
    }
  }
}

export { SimpleSpark };
