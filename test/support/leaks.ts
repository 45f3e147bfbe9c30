import { readdirSync, readlinkSync } from 'node:fs';
import { afterEach, beforeEach } from 'vitest';

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

/** Threads that Node and V8 start when they like. */
const SPARE_THREADS = 8;
const WITHIN_MS = 10_000;

/**
 * After each test of the file, what it has opened is closed again. Call it before the file's own `afterEach` is registered: hooks
 * of that kind run last first. Linux only; elsewhere it checks nothing.
 */
export function leakCheck(): void {
  if (process.platform !== 'linux') return;
  let before = new Map<string, number>();
  let first = true;
  beforeEach(() => {
    before = held();
  });
  afterEach(async () => {
    // What the first test loads (parsers, sockets of the log) stays for all.
    if (first) {
      first = false;
      return;
    }
    const end = performance.now() + WITHIN_MS;
    for (;;) {
      const more = [...held()].filter(([name, count]) => count > (before.get(name) ?? 0) + (name === 'thread' ? SPARE_THREADS : 0));
      if (more.length === 0) return;
      if (performance.now() > end) throw new Error(`left behind: ${more.map(([name, count]) => `${name} ${before.get(name) ?? 0} -> ${count}`).join(', ')}`);
      await new Promise((resolve) => setImmediate(resolve));
    }
  });
}
