/** Writes more than fits, in one transaction, and says how that ended. */
import { openDatasets } from '../../../src/dataset/index.ts';

const datasets = await openDatasets({ store: process.argv[2] as string });
const codeOf = (error: unknown): string => (error as { code?: string }).code ?? String(error);
const large = await datasets
  .execute(async (ds) => {
    for (let i = 0; i < 25_000; i++) await ds.keyValue('kv').put(`large ${i}`, 'x'.repeat(200));
  })
  .then(() => 'no error', codeOf);
let seen = 0;
for await (const _ of datasets.context.keyValue('kv').scan()) seen += 1;
console.log(JSON.stringify({ large, seen }));
process.exit();
