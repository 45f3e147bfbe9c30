import { readdirSync, readFileSync } from 'node:fs';

/** Milliseconds of one tick of /proc (USER_HZ is 100 on every Linux that Node runs on). */
const TICK_MS = 10;

interface Entry {
  readonly pid: number;
  readonly parent: number;
  readonly ticks: number;
  readonly childTicks: number;
}

function readEntry(pid: number): Entry | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name, in parentheses, may hold anything; fields are counted from behind it (proc(5): the state is field 3).
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const field = (n: number): number => Number(fields[n - 3]);
    return { pid, parent: field(4), ticks: field(14) + field(15), childTicks: field(16) + field(17) };
  } catch {
    return undefined;
  }
}

/** Nanosecond clocks of the threads that live. */
function threadMs(pid: number): number {
  let ns = 0;
  try {
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      try {
        ns += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'latin1').split(' ')[0]);
      } catch {
        // The thread has just ended: its ticks are counted with those of its process.
      }
    }
  } catch {
    return 0;
  }
  return ns / 1e6;
}

/**
 * User and system time of a process and all its descendants, milliseconds. `time` does not do: it misses processes that
 * nobody waits for, such as the JVM of PySpark. Children that have ended count once they were waited for. Exact to the
 * nanosecond where no thread has ended, else to a tick.
 */
export function treeCpuMs(root: number): number {
  const entries = readdirSync('/proc').flatMap((name) => (/^\d+$/.test(name) ? (readEntry(Number(name)) ?? []) : []));
  const children = Map.groupBy(entries, (entry) => entry.parent);
  let sum = 0;
  const visit = (entry: Entry): void => {
    sum += Math.max(threadMs(entry.pid), entry.ticks * TICK_MS) + entry.childTicks * TICK_MS;
    for (const child of children.get(entry.pid) ?? []) visit(child);
  };
  const top = entries.find((entry) => entry.pid === root);
  if (top !== undefined) visit(top);
  return sum;
}
