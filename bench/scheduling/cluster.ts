/** The dispatcher's real state machine between simulated workers, on a simulated clock: a figure depends on its seed only. */
import type { Random } from '../../src/core/ids.ts';
import type { DispatcherEvent, StageInfo } from '../../src/dispatcher/contract.ts';
import { orderFactory } from '../../src/dispatcher/orders.ts';
import { DispatcherState } from '../../src/dispatcher/state.ts';
import { EMPTY_BYTES, type TaskDescription } from '../../src/protocol/task.ts';
import { createSelector } from '../../src/selectors/index.ts';
import { Agenda } from '../../test/simulation/agenda.ts';

const APPLICATION = 'bench';
/** One way of a message. */
const NETWORK_MS = 0.1;

export interface ClusterOptions {
  readonly selector: string;
  readonly order?: string;
  /** @defaultValue the selector's, else 2 */
  readonly queueDepth?: number;
  /** How much slower than 1 each worker is; one slot each. */
  readonly workers: readonly number[];
  readonly random: Random;
}

type Untimed<E> = E extends DispatcherEvent ? Omit<E, 'now'> : never;

/** Small, fast, good enough (Steele, Vigna: SplitMix; mulberry32). */
export function seeded(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export class SimulatedCluster {
  readonly agenda = new Agenda();
  readonly #state: DispatcherState;
  readonly #slowness = new Map<string, number>();
  readonly #queues = new Map<string, { readonly epoch: number; readonly task: TaskDescription }[]>();
  readonly #pending = new Map<number, { readonly ms: number; readonly done: () => void }>();

  constructor({ selector, order = 'FIFO', queueDepth = 2, workers, random }: ClusterOptions) {
    this.#state = new DispatcherState({
      selector: createSelector(selector, { random }),
      newOrder: orderFactory(order),
      queueDepth,
      random,
      // Nothing is lost here, so nobody beats.
      leaseMs: Number.MAX_SAFE_INTEGER,
      health: false,
    });
    workers.forEach((slowness, i) => {
      const id = `w${i}`;
      this.#slowness.set(id, slowness);
      this.#queues.set(id, []);
      const worker = { kind: 'worker', id, host: id, pid: i, version: '', slots: 1, kinds: ['js'], labels: {}, queue: '' } as const;
      this.#handle({ type: 'workerJoined', worker, load: { running: 0, queued: 0, draining: false } });
    });
  }

  /** A task that takes `ms` on a worker of slowness 1. */
  submit(taskId: number, stageId: number, ms: number, done: () => void): void {
    this.#pending.set(taskId, { ms, done });
    const identity = { taskId, attemptNumber: 0, executorId: '', name: '', index: taskId, stageId, stageAttemptNumber: 0 };
    const task: TaskDescription = { ...identity, kind: 'js', commons: [], payload: EMPTY_BYTES, preferredLocations: [], timeoutMs: 0 };
    this.#handle({ type: 'submit', submissions: [{ application: APPLICATION, task }] });
  }

  stages(stages: readonly StageInfo[]): void {
    this.#handle({ type: 'stages', application: APPLICATION, stages });
  }

  /** Until nothing is left to happen; gives the time that took, milliseconds. */
  run(): number {
    while (this.agenda.step());
    return this.agenda.now;
  }

  #handle(event: Untimed<DispatcherEvent>): void {
    for (const effect of this.#state.handle({ ...event, now: this.agenda.now } as DispatcherEvent)) {
      if (effect.type === 'send') {
        const { workerId, tasks } = effect;
        this.agenda.in(NETWORK_MS, () => this.#arrived(workerId, tasks));
      } else if (effect.type === 'report') {
        const { done } = this.#pending.get(effect.update.taskId) ?? {};
        this.#pending.delete(effect.update.taskId);
        done?.();
      }
    }
  }

  #arrived(workerId: string, tasks: readonly { readonly epoch: number; readonly task: TaskDescription }[]): void {
    const queue = this.#queues.get(workerId) ?? [];
    const isIdle = queue.length === 0;
    queue.push(...tasks);
    if (isIdle) this.#begin(workerId);
  }

  /** Runs what is first in its queue. */
  #begin(workerId: string): void {
    const queue = this.#queues.get(workerId) ?? [];
    const first = queue[0];
    if (first === undefined) return;
    const { epoch, task } = first;
    this.agenda.in((this.#pending.get(task.taskId)?.ms ?? 0) * (this.#slowness.get(workerId) ?? 1), () => {
      queue.shift();
      const update = { taskId: task.taskId, state: 'FINISHED', executorId: workerId, data: EMPTY_BYTES } as const;
      this.agenda.in(NETWORK_MS, () => this.#handle({ type: 'status', workerId, statuses: [{ application: APPLICATION, epoch, update }] }));
      this.#begin(workerId);
    });
  }
}
