import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compare, rounded, type BenchOptions, type Row } from '../support/row.ts';

/*
 * What a hook costs when a program starts: processor time of the process while it loads 1,000 modules of 3.6 KB, less that of the same
 * program without a hook. A process a sample, the ways in turn. Modules are loaded in batches: the least that each batch took in any round is
 * what its work takes, what is above it is the machine.
 */
const MODULES = 1000;
const BATCH = 50;
const WOVEN = 100;

const program = (name: string): string => fileURLToPath(new URL(`./programs/${name}`, import.meta.url));

interface Way {
  readonly name: string;
  readonly preload?: string;
  readonly against?: readonly (readonly [name: string, atMost: number])[];
}

const NOTHING = 'hook that does nothing';
const IITM = 'peer: import-in-the-middle, wraps all';

const waysOf = (format: 'ESM' | 'CJS'): readonly Way[] => {
  const peer = [{ name: IITM, preload: 'import-in-the-middle.mjs' }];
  const against = (limit: number): readonly (readonly [string, number])[] => (format === 'ESM' ? [[IITM, limit]] : []);
  return [
    { name: 'no hook' },
    { name: NOTHING, preload: 'nothing.mjs' },
    { name: 'nothing matched', preload: 'unmatched.ts', against: [[NOTHING, 3.5], ...against(0.15)] },
    { name: `${WOVEN} woven`, preload: 'woven.ts', against: [[NOTHING, 14], ...against(0.6)] },
    ...(format === 'ESM' ? peer : []),
  ];
};

/** A module as programs have them: a class, functions, comments, text. Every tenth has what is woven. */
function moduleText(n: number, format: 'ESM' | 'CJS'): string {
  const isWoven = n % (MODULES / WOVEN) === 0;
  const methods = Array.from(
    { length: 9 },
    (_, i) => `
  /** Takes part ${i} of what is in store and adds it up, unless it was taken before. */
  async take${i}(amount, { limit = ${i + 1}, reason = 'none given' } = {}) {
    if (amount > limit * 100) throw new RangeError(\`too much: \${amount} (\${reason})\`);
    const taken = this.items.filter((item) => item.id % ${i + 2} === 0).map((item) => ({ ...item, amount: item.amount - amount }));
    for (const item of taken) this.log.push([item.id, item?.name ?? 'nameless', amount]);
    return taken.length;
  }`,
  ).join('\n');
  const exported = format === 'ESM' ? `export { Store${n}, total${n} };` : `module.exports = { Store${n}, total${n} };`;
  return `class Store${n} {
  constructor(items = []) {
    this.items = items;
    this.log = [];
  }
${methods}

  ${isWoven ? 'submit' : 'deliver'}(order) {
    return order.id + ${n};
  }
}

const total${n} = (items) => items.reduce((sum, { amount }) => sum + amount, 0);
${exported}
`;
}

function writeProgram(folder: string, format: 'ESM' | 'CJS'): readonly string[] {
  const [extension, load] = format === 'ESM' ? (['mjs', (at: string) => `import '${at}';`] as const) : (['cjs', (at: string) => `require('${at}');`] as const);
  mkdirSync(join(folder, format));
  const names = Array.from({ length: MODULES }, (_, n) => `./store${n}.${extension}`);
  for (const [n, name] of names.entries()) writeFileSync(join(folder, format, name), moduleText(n, format));
  const batches = Array.from({ length: MODULES / BATCH }, (_, n) => join(folder, format, `batch${n}.${extension}`));
  for (const [n, path] of batches.entries())
    writeFileSync(
      path,
      names
        .slice(n * BATCH, (n + 1) * BATCH)
        .map(load)
        .join('\n'),
    );
  return batches;
}

/** Milliseconds of processor time that loading took, a batch each. */
async function sample({ preload }: Way, batches: readonly string[]): Promise<readonly number[]> {
  const child = spawn(process.execPath, [...(preload === undefined ? [] : ['--import', program(preload)]), program('load.mjs'), ...batches], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, NODE_COMPILE_CACHE: '' },
  });
  let out = '';
  child.stdout.on('data', (chunk: Buffer) => (out += String(chunk)));
  const [code] = (await once(child, 'close')) as [number];
  if (code !== 0) throw new Error(`${preload ?? 'no hook'}: exit ${code}`);
  return JSON.parse(out.trim().split('\n').at(-1)!) as readonly number[];
}

async function startUpOf(format: 'ESM' | 'CJS', folder: string, rounds: number): Promise<Row[]> {
  const batches = writeProgram(folder, format);
  const ways = waysOf(format);
  const least = new Map(ways.map(({ name }) => [name, batches.map(() => Infinity)]));
  for (let round = 0; round < rounds; round++)
    for (const way of ways) {
      const known = least.get(way.name)!;
      for (const [n, ms] of (await sample(way, batches)).entries()) known[n] = Math.min(known[n]!, ms);
    }
  const total = (name: string): number => least.get(name)!.reduce((sum, ms) => sum + ms, 0);
  const cost = (name: string): number => total(name) - total('no hook');
  return ways.flatMap(({ name, against = [] }): Row[] => {
    const row = { bench: 'weaving', case: `start-up ${format}: ${name}`, unit: `CPU ms/${MODULES} modules` };
    if (name === 'no hook') return [{ ...row, value: rounded(total(name)) }];
    const value = rounded(cost(name));
    if (against.length === 0) return [{ ...row, value }];
    return against.map(([other, atMost]) => {
      // Less than nothing is what a busy machine adds: no ratio to it says anything.
      if (cost(other) <= 0 || cost(name) <= 0) return { ...row, missing: `the cost of ${other} is lost in noise; run it on a quiet machine` };
      return { ...row, value, ...compare(cost(name), cost(other), other, { atMost }) };
    });
  });
}

export async function startUp({ quick }: BenchOptions): Promise<Row[]> {
  const folder = mkdtempSync(join(tmpdir(), 'spark-proxy-start-up-'));
  try {
    const rounds = quick ? 3 : 12;
    return [...(await startUpOf('ESM', folder, rounds)), ...(await startUpOf('CJS', folder, rounds))];
  } finally {
    rmSync(folder, { recursive: true });
  }
}
