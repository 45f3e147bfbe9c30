/**
 * The invariant that every reader must find: two accounts whose sum is 0, and rows whose values are all the same. Drivers move amounts and rewrite
 * the rows, with SIGKILL at random moments; a reader in a process of its own looks all the time.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { setTimeout as wait } from 'node:timers/promises';

const program = (name: string): string => fileURLToPath(new URL(`./programs/${name}`, import.meta.url));
const preload = new URL('../../src/register.ts', import.meta.url).href;

export interface InvariantOptions {
  readonly store: string;
  /** Reads that the reader must have made. */
  readonly reads: number;
  /** Drivers killed. */
  readonly kills: number;
}

export interface InvariantReport {
  readonly reads: number;
  readonly violations: readonly string[];
  readonly kills: number;
  /** Workers killed, one a driver's life. */
  readonly workerKills: number;
  /** Jobs that drivers had confirmed. */
  readonly moves: number;
  /** Increments that drivers had confirmed, and what the counter holds. */
  readonly confirmed: number;
  readonly begun: number;
  readonly counted: number;
}

function start(name: string, ...args: string[]): { child: ChildProcess; lines: (listener: (line: string) => void) => void } {
  const child = spawn(process.execPath, ['--import', preload, program(name), ...args], { stdio: ['pipe', 'pipe', 'inherit'], detached: true });
  const reader = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  return { child, lines: (listener) => reader.on('line', listener) };
}

/** With its workers: a driver is a process group. */
function kill(child: ChildProcess): void {
  try {
    process.kill(-(child.pid as number), 'SIGKILL');
  } catch {
    // Gone.
  }
}

/** One child of a driver. Gives how many: 0 when it has none now. */
function killWorkerOf(driver: ChildProcess): number {
  try {
    const children = readFileSync(`/proc/${driver.pid}/task/${driver.pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);
    process.kill(children[Math.floor(Math.random() * children.length)] as number, 'SIGKILL');
    return 1;
  } catch {
    return 0;
  }
}

export async function watchInvariant({ store, reads, kills }: InvariantOptions): Promise<InvariantReport> {
  const violations: string[] = [];
  const running = new Set<ChildProcess>();
  let seen = 0;
  let confirmed = 0;
  let begun = 0;
  let moves = 0;
  let workerKills = 0;
  let failed: Error | undefined;
  const driver = (): ChildProcess => {
    const { child, lines } = start('mover.ts', store);
    running.add(child);
    lines((line) => {
      if (line === 'begin') begun += 1;
      else if (line === 'done') confirmed += 1;
      else if (line === 'saved') moves += 1;
    });
    child.once('exit', (code) => {
      running.delete(child);
      if (code !== null) failed ??= new Error(`a driver ended with ${code}`);
    });
    return child;
  };
  try {
    const prepared = start('mover.ts', store, 'prepare');
    await once(prepared.child, 'exit');
    const reader = start('reader.ts', store);
    running.add(reader.child);
    reader.lines((line) => {
      if (line !== 'ok') violations.push(line);
      // What is read before anything moves proves nothing.
      else if (confirmed > 0) seen += 1;
    });
    const drivers = [driver(), driver()];
    for (let done = 0; done < kills; done++) {
      const before = confirmed;
      const movesBefore = moves;
      const end = performance.now() + 60_000;
      while ((confirmed === before || moves === movesBefore) && failed === undefined && performance.now() < end) await wait(20);
      const victim = drivers.shift() as ChildProcess;
      // At any moment of whatever it does next: first one of its workers, then all of it.
      await wait(Math.random() * 300);
      workerKills += killWorkerOf(victim);
      await wait(Math.random() * 300);
      kill(victim);
      drivers.push(driver());
    }
    const end = performance.now() + 120_000 + reads * 100;
    while ((seen < reads || confirmed === 0) && failed === undefined && performance.now() < end) await wait(20);
  } finally {
    for (const child of running) kill(child);
  }
  if (failed !== undefined) throw failed;
  const counter = start('mover.ts', store, 'count');
  let counted = Number.NaN;
  counter.lines((line) => (counted = Number(line)));
  await once(counter.child, 'close');
  return { reads: seen, violations, kills, workerKills, moves, confirmed, begun, counted };
}
