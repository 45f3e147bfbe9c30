import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { CASES, type Case } from './cases.ts';

export interface Row {
  readonly bench: 'weaving';
  readonly case: string;
  readonly value: number;
  readonly unit: string;
  readonly ratio?: number;
  readonly against?: string;
  readonly target?: number;
  readonly met?: boolean;
}

const round = (value: number, digits: number): number => Number(value.toFixed(digits));

async function start(one: Case): Promise<ChildProcess> {
  const child = fork(fileURLToPath(new URL(`./child${import.meta.url.slice(-3)}`, import.meta.url)), [one.name], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  await once(child, 'message');
  return child;
}

/**
 * Nanoseconds a call, each case in its own process (one case's type feedback must not spoil another's), rounds interleaved
 * so that a slow spell of the machine hits all cases; the minimum of the rounds.
 */
export async function run(options: { readonly quick: boolean }): Promise<Row[]> {
  const rounds = options.quick ? 3 : 5;
  const ms = options.quick ? 30 : 60;
  const best = new Map<string, number>();
  const children: ChildProcess[] = [];
  try {
    for (const one of CASES) children.push(await start(one));
    for (let i = 0; i < rounds; i++) {
      for (const [index, child] of children.entries()) {
        child.send(ms);
        const [message] = (await once(child, 'message')) as [[ns: number, kept: number]];
        const { name } = CASES[index]!;
        best.set(name, Math.min(best.get(name) ?? Infinity, message[0]));
      }
    }
  } finally {
    for (const child of children) child.disconnect();
  }
  return CASES.map(({ name, against, target }): Row => {
    const value = best.get(name)!;
    const row = { bench: 'weaving' as const, case: name, value: round(value, 2), unit: 'ns/call' };
    if (against === undefined) return row;
    const ratio = value / best.get(against)!;
    return { ...row, ratio: round(ratio, 2), against, ...(target === undefined ? {} : { target, met: ratio <= target }) };
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const rows = await run({ quick: process.argv.includes('--quick') });
  for (const row of rows) {
    const ratio = row.ratio === undefined ? '' : `${row.ratio.toFixed(2)}x ${row.against}`;
    const met = row.met === undefined ? '' : `${row.met ? 'meets' : 'MISSES'} ${row.target}x`;
    process.stdout.write(`${row.case.padEnd(32)} ${row.value.toFixed(2).padStart(8)} ${row.unit}   ${ratio.padEnd(28)} ${met}\n`);
  }
}
