import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { weavingPeers } from '../support/peers.ts';
import { compare, rounded, type BenchOptions, type Row } from '../support/row.ts';
import { ALL_CASES } from './all-cases.ts';
import type { Case } from './cases.ts';
import { offloading } from './offload.ts';
import { startUp } from './start-up.ts';

async function start(one: Case): Promise<ChildProcess> {
  const child = fork(fileURLToPath(new URL('./child.ts', import.meta.url)), [one.name], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const [word] = (await Promise.race([once(child, 'message'), once(child, 'exit')])) as [unknown];
  if (word !== 'ready') throw new Error(`${one.name} ended before it was ready`);
  return child;
}

/**
 * Nanoseconds a call, each case in its own process (one case's type feedback must not spoil another's), rounds interleaved
 * so that a slow spell of the machine hits all cases; the minimum of the rounds.
 */
async function calls({ quick }: BenchOptions): Promise<Row[]> {
  const rounds = quick ? 3 : 6;
  const ms = quick ? 30 : 60;
  const peers = await weavingPeers();
  const missing = 'missing' in peers ? peers.missing : undefined;
  const cases = ALL_CASES.filter(({ peer }) => peer !== true || missing === undefined);
  const best = new Map<string, number>();
  const children: ChildProcess[] = [];
  try {
    for (const one of cases) children.push(await start(one));
    for (let i = 0; i < rounds; i++) {
      for (const [index, child] of children.entries()) {
        child.send(ms);
        const [message] = (await once(child, 'message')) as [[ns: number, kept: number]];
        const { name } = cases[index]!;
        best.set(name, Math.min(best.get(name) ?? Infinity, message[0]));
      }
    }
  } finally {
    for (const child of children) if (child.connected) child.disconnect();
  }
  return ALL_CASES.map(({ name, against, target }): Row => {
    const value = best.get(name);
    const row = { bench: 'weaving', case: name, unit: 'ns/call' };
    if (value === undefined) return { ...row, missing };
    if (against === undefined) return { ...row, value: rounded(value) };
    return { ...row, value: rounded(value), ...compare(value, best.get(against)!, against, target === undefined ? undefined : { atMost: target }) };
  });
}

export async function run(options: BenchOptions): Promise<Row[]> {
  return [...(await calls(options)), ...(await startUp(options)), ...(await offloading(options))];
}
