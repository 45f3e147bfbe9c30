import { IdMap } from '../core/id-map.ts';
import type { Placement, StageInfo } from '../protocol/application.ts';
import type { LeasedTask } from '../protocol/messages.ts';
import type { Registration } from '../registry/contract.ts';
import type { ClusterView, Host } from '../selectors/contract.ts';
import type { ApplicationEntry } from './applications.ts';
import type { WorkerStats } from './contract.ts';
import type { TaskOrder } from './order.ts';
import { admits, placementKey } from './placement.ts';
import { PLACE } from './queue-cost.ts';
import type { TaskEntry } from './task-entry.ts';

/** Hashes remembered per worker; one that is forgotten is sent once more. */
const MAX_BLOBS = 4096;
/** Pools kept although nothing waits in them. */
const MAX_IDLE_POOLS = 64;

/** A live worker; selectors see it as a `Host`. Changed by WorkerPool only, but for the fields of its last section. */
export class WorkerEntry implements Host {
  readonly registration: Registration;
  readonly id: string;
  readonly host: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly slots: number;
  /** Most tasks it may hold, of those that take a place each. */
  readonly limit: number;
  readonly pools: KindPool[] = [];
  /** By their place in the order of submission. */
  readonly leases = new IdMap<TaskEntry>();
  readonly #blobs = new Set<string>();
  outstanding = 0;
  /** What is left of its places, in parts of one; below 0 when tasks took more than was thought. */
  room: number;
  accepting = false;
  /** It says so itself. */
  draining = false;
  /** An operator asked for it. */
  drainAsked = false;
  /** Its health is in doubt. */
  excluded = false;

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
    this.room = this.limit * PLACE;
    this.lastBeat = now;
  }

  get credit(): number {
    return Math.max(0, Math.ceil(this.room / PLACE));
  }

  hasBlob(hash: string): boolean {
    return this.#blobs.has(hash);
  }

  addBlob(hash: string): void {
    if (this.#blobs.size >= MAX_BLOBS) this.#blobs.delete(this.#blobs.values().next().value as string);
    this.#blobs.add(hash);
  }

  stats(alive: boolean): WorkerStats {
    const { id, host, slots, finished, failed, outstanding, excluded } = this;
    const draining = this.draining || this.drainAsked;
    return { id, host, pid: this.registration.pid, slots, finished, failed, alive, outstanding, draining, excluded };
  }
}

/** What selectors see; told whose task it is and what time before each choice. */
export class PoolView implements ClusterView {
  readonly hosts: readonly Host[];
  version = 0;
  now = 0;
  owner: ApplicationEntry | undefined = undefined;

  constructor(hosts: readonly Host[]) {
    this.hosts = hosts;
  }

  get application(): string {
    return this.owner?.id ?? '';
  }

  stage(stageId: number): StageInfo | undefined {
    return this.owner?.stages.get(stageId);
  }
}

/** The tasks of one runner kind (and required placement) that wait, and the workers that could run them. */
export interface KindPool {
  readonly key: string;
  readonly kind: string;
  /** What a worker must have beside the kind. */
  readonly placement: Placement | undefined;
  /** Its tasks take credit of a worker. */
  readonly counted: boolean;
  readonly order: TaskOrder<TaskEntry>;
  /** Workers that take new tasks. */
  readonly hosts: WorkerEntry[];
  /** Those of `hosts` with room. */
  readonly ready: WorkerEntry[];
  readonly view: PoolView;
}

function removeFrom(list: WorkerEntry[], worker: WorkerEntry): void {
  const at = list.indexOf(worker);
  if (at < 0) return;
  const last = list.pop() as WorkerEntry;
  if (at < list.length) list[at] = last;
}

/**
 * Who could run what: keeps outstanding, credit and the lists of each pool right, whatever happens to a worker.
 * Lists are short and changed by one, so that offering hosts to a selector allocates nothing.
 */
export class WorkerPool {
  readonly live = new Map<string, WorkerEntry>();
  readonly pools = new Map<string, KindPool>();
  /** Of accepting workers. */
  slots = 0;
  room = 0;
  /** Changes when a worker begins or ceases to accept. */
  version = 0;
  readonly #newOrder: () => TaskOrder<TaskEntry>;
  readonly #uncounted: readonly string[];

  constructor(newOrder: () => TaskOrder<TaskEntry>, uncounted: readonly string[] = []) {
    this.#newOrder = newOrder;
    this.#uncounted = uncounted;
  }

  /** Places left on accepting workers; the last one may be taken in part. */
  get credit(): number {
    return Math.max(0, this.room) / PLACE;
  }

  /** The pool of tasks of this kind that may run anywhere, or on the workers that `placement` admits. */
  pool(kind: string, placement?: Placement): KindPool {
    const key = placement === undefined ? kind : placementKey(kind, placement);
    let pool = this.pools.get(key);
    if (pool === undefined) {
      const hosts: WorkerEntry[] = [];
      pool = { key, kind, placement, counted: !this.#uncounted.includes(kind), order: this.#newOrder(), hosts, ready: [], view: new PoolView(hosts) };
      this.pools.set(key, pool);
      for (const worker of this.live.values()) {
        if (!worker.registration.kinds.includes(kind) || !admits(placement, worker)) continue;
        worker.pools.push(pool);
        if (worker.accepting) this.#enter(pool, worker);
      }
    }
    return pool;
  }

  /** Forgets a pool that nobody runs and nothing waits for; an idle one with workers only when there are many. */
  dropIfIdle(pool: KindPool): void {
    if (pool.order.size > 0) return;
    const members = [...this.live.values()].filter((worker) => worker.pools.includes(pool));
    if (members.length > 0 && (pool.placement === undefined || this.pools.size < MAX_IDLE_POOLS)) return;
    for (const worker of members) worker.pools.splice(worker.pools.indexOf(pool), 1);
    this.pools.delete(pool.key);
  }

  add(worker: WorkerEntry): void {
    this.live.set(worker.id, worker);
    for (const kind of new Set(worker.registration.kinds)) {
      const known = this.pools.get(kind);
      // A new pool finds the worker among the live ones.
      if (known === undefined) this.pool(kind);
      else worker.pools.push(known);
    }
    for (const pool of this.pools.values()) {
      if (pool.placement !== undefined && worker.registration.kinds.includes(pool.kind) && admits(pool.placement, worker)) worker.pools.push(pool);
    }
    this.refresh(worker);
  }

  remove(worker: WorkerEntry): void {
    this.live.delete(worker.id);
    this.refresh(worker);
    for (const pool of [...worker.pools]) this.dropIfIdle(pool);
  }

  /** False when no worker of this kind takes tasks, whatever is asked of it beside. */
  hasHosts(kind: string): boolean {
    return (this.pools.get(kind)?.hosts.length ?? 0) > 0;
  }

  grant(worker: WorkerEntry, entry: TaskEntry): void {
    worker.leases.set(entry.sequence, entry);
    worker.outstanding++;
    if (entry.pool?.counted === false) return;
    const before = worker.room;
    worker.room -= entry.cost;
    if (worker.accepting) this.room -= entry.cost;
    if (before > 0 && worker.room <= 0) for (const pool of worker.pools) if (pool.counted) removeFrom(pool.ready, worker);
  }

  release(worker: WorkerEntry, entry: TaskEntry): void {
    if (worker.leases.get(entry.sequence) !== entry) return;
    worker.leases.delete(entry.sequence);
    worker.outstanding--;
    if (entry.pool?.counted === false) return;
    const before = worker.room;
    worker.room += entry.cost;
    if (!worker.accepting) return;
    this.room += entry.cost;
    if (before <= 0 && worker.room > 0) for (const pool of worker.pools) if (pool.counted) pool.ready.push(worker);
  }

  /** Puts a worker into the lists, or takes it out, when that has changed. */
  refresh(worker: WorkerEntry): void {
    const { draining, drainAsked, excluded, limit } = worker;
    const accepting = !draining && !drainAsked && !excluded && limit > 0 && this.live.get(worker.id) === worker;
    if (accepting === worker.accepting) return;
    worker.accepting = accepting;
    this.version++;
    const sign = accepting ? 1 : -1;
    this.slots += sign * worker.slots;
    this.room += sign * worker.room;
    for (const pool of worker.pools) {
      if (accepting) this.#enter(pool, worker);
      else {
        pool.view.version++;
        removeFrom(pool.hosts, worker);
        removeFrom(pool.ready, worker);
      }
    }
  }

  #enter(pool: KindPool, worker: WorkerEntry): void {
    pool.view.version++;
    pool.hosts.push(worker);
    if (worker.room > 0 || !pool.counted) pool.ready.push(worker);
  }
}
