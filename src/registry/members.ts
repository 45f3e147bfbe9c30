import type { Clock, Timer } from '../core/clock.ts';
import type { Load, Registration, RegistryEvent } from './contract.ts';

export interface MembersOptions {
  readonly clock: Clock;
  readonly beatMs: number;
  readonly ttlMs: number;
  /** How long silence counts for nothing while this watcher itself is cut off. */
  readonly disconnectGraceMs: number;
  readonly onEvent: (kind: Registration['kind'], event: RegistryEvent) => void;
}

interface Member {
  readonly entry: Registration;
  load: Load;
  /** In observed time. */
  seenAt: number;
}

/** More than this is not a cluster but an attack. */
const MAX_MEMBERS = 100_000;

/**
 * Who is there, by what was heard of them.
 *
 * TIME: entries expire in *observed* time, which advances only while this watcher could have heard a beat: a step of it is
 * at most two sweeps long, however late the sweep comes (event loop blocked, process stopped, laptop asleep), and it stands
 * still while the connection is down, up to `disconnectGraceMs`. So a watcher that was away does not bury everyone.
 */
export class Members {
  readonly #options: MembersOptions;
  readonly #members = new Map<string, Member>();
  readonly #sweepMs: number;
  #timer: Timer | undefined;
  #observed = 0;
  #lastSweep = 0;
  #cutOffSince: number | undefined;

  constructor(options: MembersOptions) {
    this.#options = options;
    this.#sweepMs = options.beatMs / 2;
  }

  start(): void {
    if (this.#timer !== undefined) return;
    const { clock } = this.#options;
    this.#lastSweep = clock.now();
    this.#timer = clock.every(this.#sweepMs, () => this.#sweep());
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#members.clear();
  }

  cutOff(isCutOff: boolean): void {
    this.#cutOffSince = isCutOff ? (this.#cutOffSince ?? this.#options.clock.now()) : undefined;
  }

  ofKind(kind: Registration['kind']): { readonly entry: Registration; readonly load: Load }[] {
    return [...this.#members.values()].filter((member) => member.entry.kind === kind);
  }

  announced(entry: Registration, load: Load): void {
    if (this.beat(entry.id, load) || this.#members.size >= MAX_MEMBERS) return;
    this.#members.set(entry.id, { entry, load, seenAt: this.#observed });
    this.#options.onEvent(entry.kind, { type: 'joined', entry, load });
  }

  /** False: nobody known by that id. */
  beat(id: string, load: Load): boolean {
    const member = this.#members.get(id);
    if (member === undefined) return false;
    member.load = load;
    member.seenAt = this.#observed;
    this.#options.onEvent(member.entry.kind, { type: 'beat', id, load });
    return true;
  }

  left(id: string, reason: 'left' | 'expired'): void {
    const member = this.#members.get(id);
    if (member === undefined) return;
    this.#members.delete(id);
    this.#options.onEvent(member.entry.kind, { type: 'left', id, reason });
  }

  #sweep(): void {
    const { clock, ttlMs, disconnectGraceMs } = this.#options;
    const now = clock.now();
    const step = Math.min(now - this.#lastSweep, 2 * this.#sweepMs);
    this.#lastSweep = now;
    if (this.#cutOffSince !== undefined && now - this.#cutOffSince < disconnectGraceMs) return;
    this.#observed += step;
    for (const [id, member] of this.#members) {
      if (this.#observed - member.seenAt >= ttlMs) this.left(id, 'expired');
    }
  }
}
