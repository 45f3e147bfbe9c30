import type { TaskState } from '../protocol/task.ts';
import type { Registration, RegistryEvent } from '../registry/contract.ts';
import type { DispatcherStats, WorkerStats } from './contract.ts';

/** Workers that have left and are kept for their figures. */
const MAX_DEPARTED = 64;

interface Known {
  readonly entry: Registration;
  finished: number;
  failed: number;
  outstanding: number;
  draining: boolean;
  alive: boolean;
}

/** What one application knows of its own tasks at a dispatcher service. What only the dispatcher counts stays 0. */
export class RemoteStats {
  submitted = 0;
  handedBack = 0;
  #finished = 0;
  #failed = 0;
  readonly #workers = new Map<string, Known>();

  ended(state: TaskState, workerId: string): void {
    const worker = this.#workers.get(workerId);
    if (state === 'FINISHED') {
      this.#finished++;
      if (worker !== undefined) worker.finished++;
    } else {
      this.#failed++;
      if (worker !== undefined) worker.failed++;
    }
  }

  workerEvent(event: RegistryEvent): void {
    if (event.type === 'joined') {
      const known = this.#workers.get(event.entry.id);
      if (known === undefined) this.#workers.set(event.entry.id, { entry: event.entry, finished: 0, failed: 0, outstanding: 0, draining: false, alive: true });
      else known.alive = true;
      return;
    }
    const worker = this.#workers.get(event.id);
    if (worker === undefined) return;
    if (event.type === 'beat') {
      worker.outstanding = event.load.running + event.load.queued;
      worker.draining = event.load.draining;
      return;
    }
    worker.alive = false;
    const departed = [...this.#workers].filter(([, { alive }]) => !alive);
    if (departed.length > MAX_DEPARTED) this.#workers.delete((departed[0] as [string, Known])[0]);
  }

  snapshot(): DispatcherStats {
    const workers = [...this.#workers.values()].map(({ entry: { id, host, pid, slots }, finished, failed, alive, outstanding, draining }): WorkerStats => {
      return { id, host, pid, slots, finished, failed, alive, outstanding, draining, excluded: false };
    });
    return {
      submitted: this.submitted,
      finished: this.#finished,
      failed: this.#failed,
      handedBack: this.handedBack,
      retried: 0,
      fenced: 0,
      parked: 0,
      speculated: 0,
      speculationWon: 0,
      verified: 0,
      replicated: 0,
      disagreements: 0,
      adopted: 0,
      workers,
    };
  }
}
