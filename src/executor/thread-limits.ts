/** Limits of runner threads, and how they are measured. */
import type { Worker } from 'node:worker_threads';
import type { Clock, Timer } from '../core/clock.ts';
import type { Configuration } from '../core/config.ts';

/** What tasks of one process may use; 0: no limit. */
export interface ThreadLimits {
  /** Old-space limit of a thread in MB; 0 leaves V8's. @defaultValue 0 */
  threadMemoryMb: number;
  /** CPU time of one task, milliseconds. @defaultValue 0 */
  cpuMs: number;
  /** Resident memory of the process at which its largest task is ended, bytes. @defaultValue 0 */
  processBytes: number;
  /** Bytes of cached partitions kept before the least recently used are dropped. @defaultValue 1073741824 */
  storageBytes: number;
}

export const NO_LIMITS: ThreadLimits = { threadMemoryMb: 0, cpuMs: 0, processBytes: 0, storageBytes: 1 << 30 };

export function limitsOf(configuration: Configuration): ThreadLimits {
  return {
    threadMemoryMb: Math.floor(configuration.get('worker.thread.memory') / 1024 ** 2),
    cpuMs: configuration.get('worker.task.cpu'),
    processBytes: configuration.get('worker.process.memory'),
    storageBytes: configuration.get('worker.storage.memory'),
  };
}

/** Those limits that are given. */
export function limitsIn(options: Partial<ThreadLimits>): Partial<ThreadLimits> {
  const keys = Object.keys(NO_LIMITS) as (keyof ThreadLimits)[];
  return Object.fromEntries(keys.flatMap((key) => (options[key] === undefined ? [] : [[key, options[key]]])));
}

/** CPU time of a thread so far, milliseconds; where Node cannot tell, the time its event loop was busy. A thread that has ended has used 0. */
export async function cpuTimeOf(worker: Worker): Promise<number> {
  if (typeof worker.cpuUsage !== 'function') return worker.performance.eventLoopUtilization().active;
  try {
    const { user, system } = await worker.cpuUsage();
    return (user + system) / 1000;
  } catch {
    return 0;
  }
}

/**
 * Heap that V8 is allowed beyond the limit of a thread, MB. A thread at V8's own limit takes the whole process along when it
 * allocates faster than it can be stopped, so the pool ends it before: at half the slack, by when V8 has collected whatever
 * garbage there is if less than the limit is alive (it collects at the mean of what is alive and what is allowed).
 */
const slackMb = (limitMb: number): number => Math.max(96, limitMb / 2);
/** Part of V8's own limit at which a thread without a limit is ended. */
const SAFE = 0.85;

/** `resourceLimits` of a thread. */
export function heapLimitOf({ threadMemoryMb }: ThreadLimits): { readonly resourceLimits?: { readonly maxOldGenerationSizeMb: number } } {
  return threadMemoryMb > 0 ? { resourceLimits: { maxOldGenerationSizeMb: Math.ceil(threadMemoryMb + slackMb(threadMemoryMb)) } } : {};
}

interface Heap {
  readonly used: number;
  readonly external: number;
  readonly allowed: number;
}

async function heapOf(worker: Worker): Promise<Heap> {
  if (typeof worker.getHeapStatistics !== 'function') return NO_HEAP;
  try {
    const { used_heap_size: used, external_memory: external, heap_size_limit: allowed } = await worker.getHeapStatistics();
    return { used, external, allowed };
  } catch {
    // It has ended.
    return NO_HEAP;
  }
}

const NO_HEAP: Heap = { used: 0, external: 0, allowed: Infinity };
const MB = 1024 ** 2;
/** A thread with a limit may be small and fill up soon. */
const LOOK_MS = { limited: 25, unlimited: 100 };
/** After a task was ended, its memory needs so long to go back to the system, milliseconds. */
const REST_MS = 1000;

export interface MemoryWatchOptions<T> {
  readonly clock: Clock;
  /** Threads that run a task. */
  readonly busy: () => readonly T[];
  readonly heapFull: (thread: T, limitMb: number) => void;
  /** The process holds too much, and this thread most of it. */
  readonly processFull: (thread: T, residentMb: number, limitMb: number) => void;
}

/** Ends tasks before their memory ends the process. Looks only while something runs. */
export class MemoryWatch<T extends { readonly worker: Worker; readonly jobs: readonly unknown[] }> {
  readonly #options: MemoryWatchOptions<T>;
  readonly #limits: Readonly<ThreadLimits>;
  #timer: Timer | undefined;
  #active = false;
  #looking = false;
  #restUntil = 0;

  constructor(limits: Readonly<ThreadLimits>, options: MemoryWatchOptions<T>) {
    this.#limits = limits;
    this.#options = options;
  }

  /** Something runs, or nothing does any more; also to be said again when the limits have changed. */
  setActive(active: boolean, changed = false): void {
    this.#active = active;
    if (changed) this.stop();
    // Short tasks come and go many times between two looks: it stops at the next one if nothing runs then.
    if (!active || this.#timer !== undefined) return;
    const interval = this.#limits.threadMemoryMb > 0 ? LOOK_MS.limited : LOOK_MS.unlimited;
    this.#timer = this.#options.clock.every(interval, () => (this.#active ? void this.#look() : this.stop()));
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  async #look(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    const threads = this.#options.busy();
    const jobs = threads.map((thread) => thread.jobs[0]);
    const heaps = await Promise.all(threads.map((thread) => heapOf(thread.worker)));
    this.#looking = false;
    const { threadMemoryMb, processBytes } = this.#limits;
    let largest = 0;
    threads.forEach((thread, at) => {
      const { used, external, allowed } = heaps[at] as Heap;
      const most = heaps[largest] as Heap;
      if (used + external > most.used + most.external) largest = at;
      const full = threadMemoryMb > 0 ? (threadMemoryMb + slackMb(threadMemoryMb) / 2) * MB : allowed * SAFE;
      if (used > full && thread.jobs[0] === jobs[at]) this.#options.heapFull(thread, threadMemoryMb > 0 ? threadMemoryMb : Math.round(full / MB));
    });
    const now = this.#options.clock.now();
    const thread = threads[largest];
    if (processBytes <= 0 || thread === undefined || thread.jobs.length === 0 || now < this.#restUntil) return;
    const resident = process.memoryUsage.rss();
    if (resident <= processBytes) return;
    this.#restUntil = now + REST_MS;
    this.#options.processFull(thread, Math.round(resident / MB), Math.round(processBytes / MB));
  }
}
