/** `npm run bench -- NAME [--quick] [--json] [--only KEY,KEY]`: a table for people, with --json a line a row. */
import { parseArgs } from 'node:util';
import { toJson, toTable, type BenchOptions, type Row } from './support/row.ts';

type Bench = { readonly run: (options: BenchOptions) => Promise<readonly Row[]> };

const BENCHES: Readonly<Record<string, () => Promise<Bench>>> = {
  weaving: () => import('./weaving/bench.ts'),
  engine: () => import('./engine/bench.ts'),
  dispatch: () => import('./dispatch/bench.ts'),
  scheduling: () => import('./scheduling/bench.ts'),
  'apache-spark': () => import('./apache-spark/bench.ts'),
  transactions: () => import('./transactions/bench.ts'),
};

const usage = `usage: npm run bench -- NAME [--quick] [--json] [--only KEY,KEY]; NAME is one of ${Object.keys(BENCHES).join(', ')}`;

async function main(): Promise<number> {
  let parsed;
  try {
    parsed = parseArgs({ allowPositionals: true, options: { quick: { type: 'boolean' }, json: { type: 'boolean' }, only: { type: 'string' } } });
  } catch (error) {
    console.error(`${(error as Error).message}\n${usage}`);
    return 2;
  }
  const { positionals, values } = parsed;
  const name = positionals[0];
  const load = name !== undefined && Object.hasOwn(BENCHES, name) ? BENCHES[name] : undefined;
  if (load === undefined || positionals.length > 1) {
    console.error(name === undefined || load !== undefined ? usage : `unknown benchmark ${name}\n${usage}`);
    return 2;
  }
  const rows = await (await load()).run({ quick: values.quick === true, only: values.only?.split(',') });
  if (values.json === true) {
    for (const row of rows) console.log(toJson(row));
    for (const { missing, case: of } of rows) if (missing !== undefined) console.error(`missing: ${of}: ${missing}`);
  } else console.log(toTable(rows));
  return 0;
}

process.exitCode = await main();
