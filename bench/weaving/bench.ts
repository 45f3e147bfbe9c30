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

/** In a process a case. */
async function leastOf(cases: readonly Case[], rounds: number, ms: number): Promise<ReadonlyMap<string, number>> {
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
  return best;
}

/**
 * Nanoseconds a call, each case in its own process (one case's type feedback must not spoil another's), rounds interleaved
 * so that a slow spell of the machine hits all cases, and processes made anew: where code and data come to lie in one of them makes a loop of a
 * nanosecond up to a half slower for as long as it lives. The minimum of the rounds.
 */
async function calls({ quick }: BenchOptions): Promise<Row[]> {
  const generations = quick ? 1 : 3;
  const peers = await weavingPeers();
  const missing = 'missing' in peers ? peers.missing : undefined;
  const cases = ALL_CASES.filter(({ peer }) => peer !== true || missing === undefined);
  const best = new Map<string, number>();
  for (let generation = 0; generation < generations; generation++) {
    for (const [name, ns] of await leastOf(cases, quick ? 3 : 2, quick ? 30 : 60)) best.set(name, Math.min(best.get(name) ?? Infinity, ns));
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
