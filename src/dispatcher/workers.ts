import type { LeasedTask } from '../protocol/messages.ts';
import type { Registration } from '../registry/contract.ts';
import type { ClusterView, Host } from '../selectors/contract.ts';
import type { WorkerStats } from './contract.ts';
import type { TaskOrder } from './order.ts';
import type { TaskEntry } from './task-entry.ts';

/** Hashes remembered per worker; one that is forgotten is sent once more. */
const MAX_BLOBS = 4096;

/** A live worker; selectors see it as a `Host`. Changed by WorkerPool only, but for the fields of its last section. */
export class WorkerEntry implements Host {
  readonly registration: Registration;
  readonly id: string;
  readonly host: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly slots: number;
  /** Most tasks it may hold. */
  readonly limit: number;
  readonly pools: KindPool[] = [];
  readonly leases = new Set<TaskEntry>();
  readonly #blobs = new Set<string>();
  outstanding = 0;
  credit: number;
  accepting = false;

  draining = false;
  lastBeat: number;
  /** Since when it has said that it holds fewer tasks than it was sent; -1: it does not. */
  deficitSince = -1;
  finished = 0;
  failed = 0;
  /** What the present event sends it. */
  readonly outbox: { blobs: string[]; tasks: LeasedTask[] } = { blobs: [], tasks: [] };

  constructor(registration: Registration, queueDepth: number, now: number) {
    this.registration = registration;
    this.id = registration.id;
    this.host = registration.host;
    this.labels = registration.labels;
    this.slots = registration.slots;
    this.limit = Math.floor(registration.slots * queueDepth);
    this.credit = this.limit;
    this.lastBeat = now;
  }

  hasBlob(hash: string): boolean {
    return this.#blobs.has(hash);
  }

  addBlob(hash: string): void {
    if (this.#blobs.size >= MAX_BLOBS) this.#blobs.delete(this.#blobs.values().next().value as string);
    this.#blobs.add(hash);
  }

  stats(alive: boolean): WorkerStats {
    const { id, host, slots, finished, failed } = this;
    return { id, host, pid: this.registration.pid, slots, finished, failed, alive, outstanding: this.outstanding, draining: this.draining, excluded: false };
  }
}

/** The tasks of one runner kind that wait, and the workers that could run them. */
export interface KindPool {
  readonly kind: string;
  readonly order: TaskOrder<TaskEntry>;
  /** Workers of this kind that take new tasks. */
  readonly hosts: WorkerEntry[];
  /** Those of `hosts` with credit. */
  readonly ready: WorkerEntry[];
  readonly view: ClusterView;
}

function removeFrom(list: WorkerEntry[], worker: WorkerEntry): void {
  const at = list.indexOf(worker);
  if (at < 0) return;
  const last = list.pop() as WorkerEntry;
  if (at < list.length) list[at] = last;
}

/**
 * Who could run what: keeps outstanding, credit and the lists of each kind right, whatever happens to a worker.
 * Lists are short and changed by one, so that offering hosts to a selector allocates nothing.
 */
export class WorkerPool {
  readonly live = new Map<string, WorkerEntry>();
  readonly kinds = new Map<string, KindPool>();
  /** Of accepting workers. */
  slots = 0;
  credit = 0;
  readonly #newOrder: () => TaskOrder<TaskEntry>;

  constructor(newOrder: () => TaskOrder<TaskEntry>) {
    this.#newOrder = newOrder;
  }

  kind(kind: string): KindPool {
    let pool = this.kinds.get(kind);
    if (pool === undefined) {
      const hosts: WorkerEntry[] = [];
      pool = { kind, order: this.#newOrder(), hosts, ready: [], view: { hosts, version: 0, application: '', now: 0, stage: () => undefined } };
      this.kinds.set(kind, pool);
    }
    return pool;
  }

  /** Forgets a kind that nobody runs and nothing waits for. */
  dropIfIdle(pool: KindPool): void {
    if (pool.hosts.length === 0 && pool.order.size === 0 && ![...this.live.values()].some((worker) => worker.pools.includes(pool))) {
      this.kinds.delete(pool.kind);
    }
  }

  add(worker: WorkerEntry): void {
    this.live.set(worker.id, worker);
    for (const kind of new Set(worker.registration.kinds)) worker.pools.push(this.kind(kind));
    this.#refresh(worker);
  }

  remove(worker: WorkerEntry): void {
    this.live.delete(worker.id);
    worker.draining = true;
    this.#refresh(worker);
    for (const pool of worker.pools) this.dropIfIdle(pool);
  }

  setDraining(worker: WorkerEntry, draining: boolean): void {
    worker.draining = draining;
    this.#refresh(worker);
  }

  grant(worker: WorkerEntry, entry: TaskEntry): void {
    worker.leases.add(entry);
    worker.outstanding++;
    this.credit--;
    if (--worker.credit === 0) for (const pool of worker.pools) removeFrom(pool.ready, worker);
  }

  release(worker: WorkerEntry, entry: TaskEntry): void {
    if (!worker.leases.delete(entry)) return;
    worker.outstanding--;
    worker.credit++;
    if (!worker.accepting) return;
    this.credit++;
    if (worker.credit === 1) for (const pool of worker.pools) pool.ready.push(worker);
  }

  /** Puts a worker into the lists, or takes it out, when that has changed. */
  #refresh(worker: WorkerEntry): void {
    const accepting = !worker.draining && worker.limit > 0 && this.live.get(worker.id) === worker;
    if (accepting === worker.accepting) return;
    worker.accepting = accepting;
    const sign = accepting ? 1 : -1;
    this.slots += sign * worker.slots;
    this.credit += sign * worker.credit;
    for (const pool of worker.pools) {
      if (accepting) {
        pool.hosts.push(worker);
        if (worker.credit > 0) pool.ready.push(worker);
      } else {
        removeFrom(pool.hosts, worker);
        removeFrom(pool.ready, worker);
      }
    }
  }
}
