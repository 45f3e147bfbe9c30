/** What a transaction costs: saves and tiny transactions against the store's own bulk load and the store's own transaction, side by side. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { startPostgres } from '../../test/support/postgres.ts';
import { COMPONENTS } from '../../tools/components.ts';
import { ROOT } from '../support/paths.ts';
import { treeCpuMs } from '../support/process-tree.ts';
import { compare, median, rounded, type BenchOptions, type Row } from '../support/row.ts';
import { Subject } from '../support/subject.ts';

const ROWS = { quick: 100_000, full: 1_000_000 };
const ROUNDS = { quick: 1, full: 3 };
const TINY = { quick: 100, full: 400 };
/** Tiny transactions in a row of one, before it is the other's turn. */
const TURN = 20;
const SAVE_AT_MOST = 4;
const TINY_AT_MOST = 3;
const TIMEOUT_MS = 300_000;

const program = (name: string): string => fileURLToPath(new URL(`./programs/${name}`, import.meta.url));

interface Store {
  readonly name: string;
  readonly bulk: string;
  /** URLs of two empty stores of one kind, on one disk and one server. */
  open(directory: string): Promise<{ readonly ours: string; readonly raw: string; readonly pid?: number; stop(): Promise<void> }>;
  readonly missing: string | undefined;
}

const STORES: readonly Store[] = [
  {
    name: 'SQLite',
    bulk: 'one prepared insert in one transaction',
    open: (directory) =>
      Promise.resolve({ ours: `sqlite:${join(directory, 'ours.db')}`, raw: `sqlite:${join(directory, 'raw.db')}`, stop: () => Promise.resolve() }),
    missing: undefined,
  },
  {
    name: 'PostgreSQL',
    bulk: 'one COPY',
    open: async () => {
      const server = await startPostgres({ durable: true, args: ['-c', 'max_wal_size=4GB', '-c', 'shared_buffers=256MB'] });
      return { ours: await server.database(), raw: await server.database(), pid: server.pid, stop: () => server.stop() };
    },
    missing: COMPONENTS.postgresql.find() === undefined ? `install ${COMPONENTS.postgresql.debian.join(', ')}` : undefined,
  },
];

async function measure({ name, bulk, open, missing }: Store, size: keyof typeof ROWS): Promise<Row[]> {
  const base = { bench: 'transactions', unit: 'ms' };
  const rows = ROWS[size];
  const cases = [
    `${rows} rows, ${bulk}, ${name}`,
    `${rows} rows saved and committed, ${name}`,
    `CPU time of the same, ${name}`,
    `raw transaction p50, ${name}`,
    `transaction p50, ${name}`,
  ] as const;
  if (missing !== undefined) return cases.map((one) => ({ ...base, case: one, missing }));
  const directory = mkdtempSync(join(tmpdir(), 'spark-proxy-bench-'));
  const store = await open(directory);
  const preload = pathToFileURL(join(ROOT, 'dist', 'register.js')).href;
  const start = (file: string, url: string): Subject =>
    new Subject(file, { command: process.execPath, args: ['--import', preload, program(file), url], env: { SPARK_PROXY_LOG_LEVEL: 'error' } }, TIMEOUT_MS);
  const subjects: Subject[] = [];
  const figures = { raw: [] as number[], ours: [] as number[], rawTiny: [] as number[], tiny: [] as number[], rawCpu: [] as number[], cpu: [] as number[] };
  /** CPU time of the program and of the server while it works. */
  const cpuOf = async (subject: Subject, work: () => Promise<unknown>): Promise<number> => {
    const now = (): number => treeCpuMs(subject.pid) + (store.pid === undefined ? 0 : treeCpuMs(store.pid));
    const before = now();
    await work();
    return now() - before;
  };
  try {
    const ours = start('ours.ts', store.ours);
    const raw = start('raw.ts', store.raw);
    subjects.push(ours, raw);
    for (const subject of subjects) await subject.mark();
    for (let round = 0; round < ROUNDS[size]; round++) {
      figures.rawCpu.push(await cpuOf(raw, async () => figures.raw.push(Number(await raw.ask(`load\t${rows}`)))));
      figures.cpu.push(await cpuOf(ours, async () => figures.ours.push(Number(await ours.ask(`save\t${rows}`)))));
      // In small turns: what the disk takes changes from one second to the next.
      for (let done = 0; done < TINY[size]; done += TURN) {
        figures.rawTiny.push(Number(await raw.ask(`tiny\t${TURN}`)));
        figures.tiny.push(Number(await ours.ask(`tiny\t${TURN}`)));
      }
    }
  } finally {
    for (const subject of subjects) await subject.close();
    await store.stop();
    rmSync(directory, { recursive: true, force: true });
  }
  const figure = {
    raw: median(figures.raw),
    ours: median(figures.ours),
    rawCpu: median(figures.rawCpu),
    cpu: median(figures.cpu),
    rawTiny: median(figures.rawTiny),
    tiny: median(figures.tiny),
  };
  return [
    { ...base, case: cases[0], value: rounded(figure.raw) },
    { ...base, case: cases[1], value: rounded(figure.ours), ...compare(figure.ours, figure.raw, bulk, { atMost: SAVE_AT_MOST }) },
    { ...base, case: cases[2], value: rounded(figure.cpu), ...compare(figure.cpu, figure.rawCpu, `CPU time of ${bulk}`) },
    { ...base, case: cases[3], value: rounded(figure.rawTiny) },
    { ...base, case: cases[4], value: rounded(figure.tiny), ...compare(figure.tiny, figure.rawTiny, 'raw transaction', { atMost: TINY_AT_MOST }) },
  ];
}

export async function run({ quick }: BenchOptions): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (const store of STORES) rows.push(...(await measure(store, quick ? 'quick' : 'full')));
  return rows;
}
