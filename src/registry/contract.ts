/** Who is there: what a worker, dispatcher or application says of itself. */
export interface Registration {
  readonly kind: 'worker' | 'dispatcher' | 'application';
  /** Unique per process start: a restarted worker is another worker. */
  readonly id: string;
  readonly host: string;
  readonly pid: number;
  /** spark-proxy version. */
  readonly version: string;
  /** Tasks it can run at once (workers). */
  readonly slots: number;
  /** Runner kinds it has (workers): `js`... */
  readonly kinds: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  /** Queue on which it reads. */
  readonly queue: string;
}

/** What a beat adds. */
export interface Load {
  readonly running: number;
  readonly queued: number;
  /** Takes no new tasks, finishes what it has. */
  readonly draining: boolean;
}

export type RegistryEvent =
  | { readonly type: 'joined'; readonly entry: Registration; readonly load: Load }
  | { readonly type: 'beat'; readonly id: string; readonly load: Load }
  | { readonly type: 'left'; readonly id: string; readonly reason: 'left' | 'expired' };

/**
 * The register center. Entries die when their beats stop (`ttlMs`, by the monotonic clock of the watcher; at least two
 * missed beats). A watcher that comes late learns of everyone within one beat.
 */
export interface RegisterCenter {
  announce(entry: Registration): Promise<Announcement>;
  /** Events of one kind, beginning with a `joined` for everyone already known. Returns the unsubscribe function. */
  watch(kind: Registration['kind'], listener: (event: RegistryEvent) => void): Promise<() => void>;
  /** Somebody knows that this entry is dead (its process was seen to end): all watchers drop it now, as `expired`. */
  evict(id: string): Promise<void>;
  close(): Promise<void>;
}

export interface Announcement {
  /** Says at once what the next beat would say. */
  update(load: Load): void;
  leave(): Promise<void>;
}
