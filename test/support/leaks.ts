import { readdirSync, readlinkSync } from 'node:fs';
import { afterEach } from 'vitest';

/** What a process holds: open sockets, pipes and files, servers, timers, threads and child processes, each with its number. */
function held(): Map<string, number> {
  const counts = new Map<string, number>();
  const add = (name: string): void => void counts.set(name, (counts.get(name) ?? 0) + 1);
  for (const name of process.getActiveResourcesInfo()) add(name);
  for (const fd of readdirSync('/proc/self/fd')) {
    try {
      // The number of a socket or pipe says nothing.
      add(`fd ${readlinkSync(`/proc/self/fd/${fd}`).replace(/\[\d+\]$/, '')}`);
    } catch {
      // the descriptor that listed them
    }
  }
  for (const task of readdirSync('/proc/self/task')) if (task !== '') add('thread');
  return counts;
}

/** The least of each that is held within a while: the test runner has timers of its own now and then. */
async function quietest(): Promise<Map<string, number>> {
  let least = held();
  for (const end = performance.now() + MEASURE_MS; performance.now() < end;) {
    await new Promise((resolve) => setImmediate(resolve));
    const now = held();
    least = new Map([...least].flatMap(([name, count]) => (now.has(name) ? [[name, Math.min(count, now.get(name) as number)]] : [])));
  }
  return least;
}

const MEASURE_MS = 200;
/** Threads that Node and V8 start when they like. */
const SPARE_THREADS = 8;
const WITHIN_MS = 10_000;

/**
 * After each test of the file, what it has opened is closed again; the first one sets the measure, for what it loads stays for all.
 * Call it before the file's own `afterEach`: hooks of that kind run last first. Linux only; elsewhere it checks nothing.
 */
export function leakCheck(): void {
  if (process.platform !== 'linux') return;
  let least: Map<string, number> | undefined;
  afterEach(async () => {
    const end = performance.now() + WITHIN_MS;
    for (;;) {
      const before = (least ??= await quietest());
      const now = held();
      const more = [...now].filter(([name, count]) => count > (before.get(name) ?? 0) + (name === 'thread' ? SPARE_THREADS : 0));
      if (more.length === 0) {
        least = new Map([...now].map(([name, count]) => [name, Math.min(count, before.get(name) ?? count)]));
        return;
      }
      if (performance.now() > end) throw new Error(`left behind: ${more.map(([name, count]) => `${name} ${before.get(name) ?? 0} -> ${count}`).join(', ')}`);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }, 2 * WITHIN_MS);
}
