/** Reads all the time, one snapshot a read, and says what it finds: `ok`, or what is wrong. */
import { openDatasets } from '../../../src/dataset/index.ts';

const datasets = await openDatasets({ store: process.argv[2] as string });
for (;;) {
  const fault = await datasets.execute(async (ds) => {
    const accounts = ds.keyValue<string, number>('accounts');
    const left = (await accounts.get('left')) as number;
    const values = new Set<unknown>();
    let rows = 0;
    for await (const [, value] of ds.keyValue('rows').scan()) {
      values.add(value);
      rows += 1;
    }
    const right = (await accounts.get('right')) as number;
    if (left + right !== 0) return `accounts: ${left} and ${right}`;
    return rows === 40 && values.size === 1 ? undefined : `rows: ${rows} with ${values.size} values`;
  });
  if (!process.stdout.write(`${fault ?? 'ok'}\n`)) await new Promise((resolve) => process.stdout.once('drain', resolve));
  // So that those who write get their turn.
  await new Promise((resolve) => setTimeout(resolve, 2));
}
