import { execFile } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { CACHE, ROOT } from '../support/paths.ts';
import { compare, median, rounded, type BenchOptions, type Row } from '../support/row.ts';

/*
 * What a hook costs when a program starts: processor time of the process while it loads 1,000 modules of 3.6 KB, less what the same modules
 * take without a hook. The difference is a few percent of what is measured, and one process is easily a tenth slower than the next (where its
 * memory came to lie, what else runs), so both are taken in the same process: half of the modules, by a hash of their number, are loaded with the
 * hooks registered, the others without, and in the next process the other way round. Each module's lower quartile on either side counts.
 * The framework is the built one: one that Node has just stripped of its types begins with another heap.
 */
const MODULES = 1000;
const WOVEN = 100;

const program = (name: string): string => fileURLToPath(new URL(`./programs/${name}`, import.meta.url));
const run = promisify(execFile);

interface Way {
  readonly name: string;
  readonly preload: string;
  readonly against?: readonly (readonly [name: string, atMost: number])[];
}

const NOTHING = 'hook that does nothing';
const IITM = 'peer: import-in-the-middle, wraps all';

const waysOf = (format: 'ESM' | 'CJS', preloads: Preloads): readonly Way[] => {
  const peer = [{ name: IITM, preload: program('import-in-the-middle.mjs') }];
  const against = (limit: number): readonly (readonly [string, number])[] => (format === 'ESM' ? [[IITM, limit]] : []);
  return [
    { name: NOTHING, preload: program('nothing.mjs') },
    { name: 'nothing matched', preload: preloads.unmatched, against: [[NOTHING, 3.5], ...against(0.15)] },
    { name: `${WOVEN} woven`, preload: preloads.woven, against: [[NOTHING, 14], ...against(0.6)] },
    ...(format === 'ESM' ? peer : []),
  ];
};

interface Preloads {
  readonly unmatched: string;
  readonly woven: string;
}

/** Builds the framework, and writes what registers an aspect for a method that no module has, or one in ten. */
async function writePreloads(folder: string): Promise<Preloads> {
  const built = join(CACHE, 'bench', 'weaving');
  await run(join(ROOT, 'node_modules', '.bin', 'tsc'), ['-p', join(ROOT, 'tsconfig.build.json'), '--outDir', built]);
  const write = (name: string, method: string): string => {
    const path = join(folder, `${name}.mjs`);
    writeFileSync(
      path,
      `import { before, execution, register, within } from ${JSON.stringify(pathToFileURL(join(built, 'aspects', 'index.js')).href)};
register({ aspects: [[{ pointcut: within('**/store*.?js').and(execution('Store*.${method}')), advice: before(() => undefined) }]] });
`,
    );
    return path;
  };
  return { unmatched: write('unmatched', 'dispatch'), woven: write('woven', 'submit') };
}

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

/** Gives the path of its modules up to their number. */
function writeProgram(folder: string, format: 'ESM' | 'CJS', extension: string): string {
  mkdirSync(join(folder, format));
  const stem = join(folder, format, 'store');
  for (let n = 0; n < MODULES; n++) writeFileSync(`${stem}${n}${extension}`, moduleText(n, format));
  return stem;
}

/** By a hash, so that it has nothing to do with what every tenth module is. */
const isHooked = (n: number, round: number): boolean => (Math.imul(n, 0x9e3779b1) >>> 31) + (round % 2) === 1;

const lowerQuartile = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) / 4)] ?? Number.NaN;

/** What was measured of one way, microseconds of processor time. */
class Samples {
  /** Until the first module. */
  readonly before: number[] = [];
  readonly #hooked: number[][] = Array.from({ length: MODULES }, () => []);
  readonly #bare: number[][] = Array.from({ length: MODULES }, () => []);

  add(taken: readonly number[], round: number): void {
    const [before = Number.NaN, ...modules] = taken;
    this.before.push(before);
    for (const [n, us] of modules.entries()) (isHooked(n, round) ? this.#hooked : this.#bare)[n]!.push(us);
  }

  /** Milliseconds that all modules take without a hook. */
  get bareMs(): number {
    return this.#bare.reduce((sum, of) => sum + lowerQuartile(of), 0) / 1000;
  }

  /** Milliseconds that the hook adds. */
  get costMs(): number {
    return this.#hooked.reduce((sum, of) => sum + lowerQuartile(of), 0) / 1000 - this.bareMs;
  }
}

async function sample({ preload }: Way, load: string, stem: string, extension: string, round: number): Promise<readonly number[]> {
  const hooked = Array.from({ length: MODULES }, (_, n) => (isHooked(n, round) ? '1' : '0')).join('');
  const { stdout } = await run(process.execPath, ['--import', program('toggle.mjs'), '--import', preload, load, stem, extension, hooked], {
    env: { ...process.env, NODE_COMPILE_CACHE: '' },
  });
  return JSON.parse(stdout.trim().split('\n').at(-1)!) as readonly number[];
}

async function startUpOf(format: 'ESM' | 'CJS', folder: string, preloads: Preloads, rounds: number): Promise<Row[]> {
  const extension = format === 'ESM' ? '.mjs' : '.cjs';
  const stem = writeProgram(folder, format, extension);
  // Beside the modules: what is above a program (a tsconfig.json, say) tells a hook what to look for.
  const load = join(folder, 'load.mjs');
  copyFileSync(program('load.mjs'), load);
  const ways = waysOf(format, preloads);
  const samples = new Map(ways.map(({ name }) => [name, new Samples()]));
  for (let round = 0; round < rounds; round++) for (const way of ways) samples.get(way.name)!.add(await sample(way, load, stem, extension, round), round);
  const of = (name: string): Samples => samples.get(name)!;
  const row = (name: string, unit: string): Pick<Row, 'bench' | 'case' | 'unit'> => ({ bench: 'weaving', case: `start-up ${format}: ${name}`, unit });
  const perModules = `CPU ms/${MODULES} modules`;
  const preloading = median(of('nothing matched').before) - median(of(NOTHING).before);
  return [
    { ...row('no hook', perModules), value: rounded(of(NOTHING).bareMs) },
    ...ways.flatMap(({ name, against = [] }): Row[] => {
      const { costMs } = of(name);
      const value = rounded(costMs);
      if (against.length === 0) return [{ ...row(name, perModules), value }];
      return against.map(([other, atMost]) => {
        const base = of(other).costMs;
        // Less than nothing is what a busy machine adds: no ratio to it says anything.
        if (base <= 0 || costMs <= 0) return { ...row(name, perModules), missing: `the cost of ${other} is lost in noise; run it on a quiet machine` };
        return { ...row(name, perModules), value, ...compare(costMs, base, other, { atMost }) };
      });
    }),
    { ...row('loading the framework, once', 'CPU ms'), value: rounded(preloading / 1000) },
  ];
}

export async function startUp({ quick }: BenchOptions): Promise<Row[]> {
  const folder = mkdtempSync(join(tmpdir(), 'spark-proxy-start-up-'));
  try {
    const rounds = quick ? 4 : 20;
    const preloads = await writePreloads(folder);
    return [...(await startUpOf('ESM', folder, preloads, rounds)), ...(await startUpOf('CJS', folder, preloads, rounds))];
  } finally {
    rmSync(folder, { recursive: true });
  }
}
