import type { DispatcherNote } from './contract.ts';
import type { TaskEntry } from './task-entry.ts';
import type { WorkerEntry, WorkerPool } from './workers.ts';

export interface HealthOptions {
  /** Failures of a worker within `windowMs` until it is excluded; its host is at twice as many, a lost worker counting twice for it. @defaultValue 3 */
  readonly maxFailures?: number;
  /** @defaultValue 600000 */
  readonly windowMs?: number;
  /** How long the excluded are given nothing. @defaultValue 60000 */
  readonly excludeMs?: number;
}

interface Failure {
  readonly at: number;
  readonly workerId: string;
  readonly host: string;
  readonly isLoss: boolean;
  /** Tasks that ran there when it happened: each may turn out to be the reason. */
  readonly suspects: readonly TaskEntry[];
}

const MAX_FAILURES = 1024;
const MAX_SUSPECTS = 64;

/**
 * Which workers and hosts are given nothing for a while, after Spark's HealthTracker. Only failures of the infrastructure
 * count: a worker that was lost, a result that was outvoted, a worker that says it cannot run anything. What a task throws
 * never counts, and when a task has taken a second worker down, the first is forgiven.
 * The last worker that could run some kind of task is never excluded, and the excluded are let back when no other is left.
 */
export class HealthTracker {
  readonly #maxFailures: number;
  readonly #windowMs: number;
  readonly #excludeMs: number;
  readonly #workers: WorkerPool;
  readonly #note: (note: DispatcherNote) => void;
  #failures: Failure[] = [];
  /** Worker id (`worker w1`) or host (`host h1`) -> when it is let back. */
  readonly #excluded = new Map<string, number>();

  constructor(options: HealthOptions, workers: WorkerPool, note: (note: DispatcherNote) => void) {
    this.#maxFailures = options.maxFailures ?? 3;
    this.#windowMs = options.windowMs ?? 600_000;
    this.#excludeMs = options.excludeMs ?? 60_000;
    this.#workers = workers;
    this.#note = note;
  }

  /** A worker was lost. Call it while it still has its leases. */
  workerLost(worker: WorkerEntry, reason: string, now: number): void {
    const suspects: TaskEntry[] = [];
    for (const entry of worker.leases.values()) if (entry.phase === 'RUNNING' && suspects.length < MAX_SUSPECTS) suspects.push(entry.of ?? entry);
    this.#fail(worker, true, suspects, `worker ${worker.id} was lost: ${reason}`, now);
  }

  /** A worker did something that only a bad worker does. */
  blame(worker: WorkerEntry, reason: string, now: number): void {
    this.#fail(worker, false, [], reason, now);
  }

  /** This task has taken more than one worker down: it, not its hosts, is the reason. */
  exonerate(task: TaskEntry): void {
    const before = this.#failures.length;
    this.#failures = this.#failures.filter((failure) => !failure.suspects.includes(task));
    if (this.#failures.length === before) return;
    for (const target of [...this.#excluded.keys()]) {
      if (this.#count(target) < this.#limit(target)) this.#include(target, `${task.task.name} was the reason`);
    }
  }

  /** True when a worker that joins now belongs to what is excluded. */
  isExcluded(worker: WorkerEntry): boolean {
    return this.#excluded.size > 0 && (this.#excluded.has(`worker ${worker.id}`) || this.#excluded.has(`host ${worker.host}`));
  }

  tick(now: number): void {
    for (const [target, until] of this.#excluded) if (now >= until) this.#include(target, 'its time is over');
    while ((this.#failures[0]?.at ?? Infinity) < now - this.#windowMs) this.#failures.shift();
  }

  /** Nobody else runs tasks of this kind: lets back those that could. True: somebody can now. */
  relent(kind: string): boolean {
    let found = false;
    for (const worker of this.#workers.live.values()) {
      if (!worker.excluded || !worker.registration.kinds.includes(kind)) continue;
      this.#include(`worker ${worker.id}`, 'no other worker is left');
      this.#include(`host ${worker.host}`, 'no other worker is left');
      found ||= worker.accepting;
    }
    return found;
  }

  #fail(worker: WorkerEntry, isLoss: boolean, suspects: readonly TaskEntry[], reason: string, now: number): void {
    if (this.#failures.length >= MAX_FAILURES) this.#failures.shift();
    this.#failures.push({ at: now, workerId: worker.id, host: worker.host, isLoss, suspects });
    for (const target of [`worker ${worker.id}`, `host ${worker.host}`]) {
      if (this.#excluded.has(target) || this.#count(target) < this.#limit(target) || !this.#spares(target)) continue;
      const untilMs = now + this.#excludeMs;
      this.#excluded.set(target, untilMs);
      this.#apply();
      this.#note({ what: 'excluded', target, untilMs, reason });
    }
  }

  #limit(target: string): number {
    return target.startsWith('host ') ? 2 * this.#maxFailures : this.#maxFailures;
  }

  #count(target: string): number {
    let count = 0;
    for (const { workerId, host, isLoss } of this.#failures) {
      if (target === `worker ${workerId}`) count++;
      else if (target === `host ${host}`) count += isLoss ? 2 : 1;
    }
    return count;
  }

  /** True when every pool keeps a worker without this target. */
  #spares(target: string): boolean {
    const isTarget = (worker: WorkerEntry): boolean => target === `worker ${worker.id}` || target === `host ${worker.host}`;
    for (const pool of this.#workers.pools.values()) if (pool.hosts.length > 0 && pool.hosts.every(isTarget)) return false;
    // Where none of its workers lives any more, another host must be there to take over.
    return [...this.#workers.live.values()].some((worker) => worker.accepting && !isTarget(worker));
  }

  #include(target: string, reason: string): void {
    if (!this.#excluded.delete(target)) return;
    this.#failures = this.#failures.filter(({ workerId, host }) => target !== `worker ${workerId}` && target !== `host ${host}`);
    this.#apply();
    this.#note({ what: 'included', target, reason });
  }

  #apply(): void {
    for (const worker of this.#workers.live.values()) {
      worker.excluded = this.isExcluded(worker);
      this.#workers.refresh(worker);
    }
  }
}
