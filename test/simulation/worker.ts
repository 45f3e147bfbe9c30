import { TERM_EPOCHS, type HeldLease } from '../../src/protocol/application.ts';
import type { LeasedTask } from '../../src/protocol/messages.ts';
import { EMPTY_BYTES, type TaskState } from '../../src/protocol/task.ts';
import type { Load } from '../../src/registry/contract.ts';

/** To a worker. */
export type ToWorker =
  { readonly type: 'blob'; readonly hash: string } | { readonly type: 'task'; readonly leased: LeasedTask } | { readonly type: 'cancel'; readonly key: string };
/** From a worker. */
export type FromWorker =
  | {
      readonly type: 'status';
      readonly application: string;
      readonly epoch: number;
      readonly taskId: number;
      readonly state: TaskState;
      readonly data: Uint8Array;
      readonly runMs: number | undefined;
    }
  | { readonly type: 'missing'; readonly hash: string }
  | { readonly type: 'beat'; readonly load: Load; readonly holding: readonly HeldLease[] };

export interface Surroundings {
  in(ms: number, run: () => void): void;
  random(): number;
  send(message: FromWorker): void;
  /** A task ran to its end (it need not be the run that counts). */
  ran(key: string): void;
}

interface Held {
  readonly leased: LeasedTask;
  state: 'queued' | 'running' | 'ended';
  answer: TaskState | undefined;
}

const RIGHT: Uint8Array[] = [];

/** What a task's result is; `lie` above 0 makes it another each time. */
export function rightResult(taskId: number, lie = 0): Uint8Array {
  if (lie > 0) return new Uint8Array(Float64Array.of(taskId, lie).buffer);
  return (RIGHT[taskId] ??= new Uint8Array(Float64Array.of(taskId, 0).buffer));
}

const keyOf = (leased: LeasedTask): string => `${leased.application}/${leased.task.taskId}@${leased.epoch}`;

/** What a worker does, without its I/O: runs up to `slots` tasks, knows repeats, asks for blobs it lacks. */
export class SimulatedWorker {
  readonly id: string;
  readonly slots: number;
  readonly #around: Surroundings;
  readonly #held = new Map<string, Held>();
  readonly #blobs = new Set<string>();
  readonly #isLiar: boolean;
  #running = 0;
  /** Moving mean of the run times of its tasks. */
  #meanMs = 100;
  /** The highest term it has heard of; lower ones are not obeyed. */
  term = 0;
  draining = false;
  dead = false;
  /** While paused nothing happens in it; what comes in waits. */
  #paused: (() => void)[] | undefined;

  constructor(id: string, slots: number, isLiar: boolean, around: Surroundings) {
    this.#isLiar = isLiar;
    this.id = id;
    this.slots = slots;
    this.#around = around;
  }

  get load(): Load {
    let queued = 0;
    for (const held of this.#held.values()) if (held.state === 'queued') queued++;
    return { running: this.#running, queued, draining: this.draining };
  }

  pause(ms: number): void {
    this.#paused ??= [];
    this.#around.in(ms, () => {
      const waiting = this.#paused ?? [];
      this.#paused = undefined;
      for (const run of waiting) this.act(run);
    });
  }

  /** Does something as this worker: not when dead, later when paused. */
  act(run: () => void): void {
    if (this.dead) return;
    if (this.#paused !== undefined) this.#paused.push(run);
    else run();
  }

  receive(message: ToWorker, term: number): void {
    this.act(() => {
      if (term < this.term) return;
      this.term = term;
      if (message.type === 'blob') this.#blobs.add(message.hash);
      else if (message.type === 'task') this.#take(message.leased);
      else this.#cancel(message.key);
      this.#start();
    });
  }

  /** Says what it holds to the leader of this term, and obeys no earlier one from now on. */
  beat(term: number): void {
    this.act(() => {
      this.term = Math.max(this.term, term);
      const holding = [...this.#held.values()].filter((held) => held.state !== 'ended' && held.leased.epoch < this.term * TERM_EPOCHS);
      this.#around.send({
        type: 'beat',
        load: this.load,
        holding: holding.map(({ leased: { application, epoch, task } }) => ({ application, taskId: task.taskId, epoch })),
      });
      // Asked again with every beat, as a real worker does by a timer.
      for (const held of this.#held.values()) if (held.state === 'queued') this.#lacks(held);
    });
  }

  /** Takes nothing more and returns what it has not begun. */
  drain(): void {
    this.act(() => {
      this.draining = true;
      for (const held of this.#held.values()) if (held.state === 'queued') this.#end(held, 'LOST');
    });
  }

  get idle(): boolean {
    return this.#running === 0;
  }

  #take(leased: LeasedTask): void {
    const known = this.#held.get(keyOf(leased));
    if (known !== undefined) {
      if (known.answer !== undefined) this.#status(leased, known.answer);
      return;
    }
    const held: Held = { leased, state: 'queued', answer: undefined };
    this.#held.set(keyOf(leased), held);
    if (this.draining) this.#end(held, 'LOST');
  }

  #cancel(key: string): void {
    const held = this.#held.get(key);
    if (held === undefined || held.state === 'ended') return;
    if (held.state === 'running') this.#running--;
    this.#end(held, 'KILLED');
  }

  #start(): void {
    for (const held of this.#held.values()) {
      if (this.#running >= this.slots) return;
      if (held.state !== 'queued' || this.#lacks(held)) continue;
      held.state = 'running';
      this.#running++;
      this.#status(held.leased, 'RUNNING');
      const random = (): number => this.#around.random();
      const runMs = random() < 0.05 ? random() * 2000 : random() * 60;
      this.#around.in(runMs, () =>
        this.act(() => {
          if (held.state !== 'running') return;
          this.#meanMs += (runMs - this.#meanMs) * 0.2;
          this.#running--;
          this.#around.ran(keyOf(held.leased));
          this.#end(held, random() < 0.05 ? 'FAILED' : 'FINISHED');
          this.#start();
        }),
      );
    }
  }

  #lacks(held: Held): boolean {
    const missing = held.leased.task.commons.filter((hash) => !this.#blobs.has(hash));
    for (const hash of missing) this.#around.send({ type: 'missing', hash });
    return missing.length > 0;
  }

  #end(held: Held, state: TaskState): void {
    held.state = 'ended';
    held.answer = state;
    this.#status(held.leased, state);
  }

  #status(leased: LeasedTask, state: TaskState): void {
    const { application, epoch, task } = leased;
    const data = state === 'FINISHED' ? rightResult(task.taskId, this.#isLiar ? this.#around.random() : 0) : EMPTY_BYTES;
    const runMs = state === 'FINISHED' ? (this.#isLiar ? 0 : this.#meanMs) : undefined;
    this.#around.send({ type: 'status', application, epoch, taskId: task.taskId, state, data, runMs });
  }
}
