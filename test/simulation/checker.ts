import type { DispatcherEffect, DispatcherEvent } from '../../src/dispatcher/contract.ts';

interface ModelTask {
  live: boolean;
  /** Terminal reports and hand-backs of the submission under way or ended last. */
  ends: number;
  commits: number;
  /** Highest epoch seen. */
  epoch: number;
  /** Worker of the present lease. */
  worker: string | undefined;
  runningSaid: boolean;
}

interface ModelWorker {
  readonly limit: number;
  draining: boolean;
  alive: boolean;
  readonly leases: Set<string>;
  readonly blobs: Set<string>;
}

/**
 * What must hold of a dispatcher whatever happens, checked from outside: it sees the events that go in and the effects
 * that come out, and keeps its own plain book of leases. Violations are collected, each a sentence.
 */
export class InvariantChecker {
  readonly violations: string[] = [];
  readonly tasks = new Map<string, ModelTask>();
  readonly #workers = new Map<string, ModelWorker>();
  readonly #queueDepth: number;
  #live = 0;

  constructor(queueDepth: number) {
    this.#queueDepth = queueDepth;
  }

  /** Submissions that have not ended, by this book. */
  get live(): number {
    return this.#live;
  }

  observe(event: DispatcherEvent, effects: readonly DispatcherEffect[], live: number): void {
    const accepted = this.#before(event);
    for (const effect of effects) this.#after(effect, event);
    if (event.type === 'status' && accepted !== undefined) {
      const { state } = event.update;
      if (state === 'FINISHED' || state === 'FAILED' || state === 'KILLED') {
        const answered = effects.some((e) => e.type === 'report' && e.update === event.update);
        if (!answered) this.#violate(`the ${state} of ${accepted} by the holder of its lease was not reported`);
      }
    }
    if (live !== this.#live) this.#violate(`the machine has ${live} live tasks, the book ${this.#live}`);
  }

  /** Key of the task when the event is a status from the holder of its lease. */
  #before(event: DispatcherEvent): string | undefined {
    switch (event.type) {
      case 'submit':
        for (const { application, task } of event.submissions) {
          const key = `${application}/${task.taskId}`;
          const known = this.tasks.get(key);
          if (known?.live === true) continue;
          this.tasks.set(key, { live: true, ends: 0, commits: 0, epoch: known?.epoch ?? 0, worker: undefined, runningSaid: false });
          this.#live++;
        }
        return undefined;
      case 'workerJoined': {
        const known = this.#workers.get(event.worker.id);
        if (known?.alive === true) known.draining = event.load.draining;
        else this.#join(event.worker.id, event.worker.slots, event.load.draining);
        return undefined;
      }
      case 'workerBeat': {
        const known = this.#workers.get(event.workerId);
        if (known === undefined) return undefined;
        if (known.alive) known.draining = event.load.draining;
        else this.#join(event.workerId, known.limit / this.#queueDepth, event.load.draining);
        return undefined;
      }
      case 'workerLeft':
        if (this.#workers.get(event.workerId)?.alive === false) this.#workers.delete(event.workerId);
        return undefined;
      case 'status': {
        const key = `${event.application}/${event.update.taskId}`;
        const task = this.tasks.get(key);
        if (task === undefined || !task.live || task.worker !== event.workerId || task.epoch !== event.epoch) return undefined;
        if (event.update.state === 'LOST') {
          const worker = this.#workers.get(event.workerId);
          if (worker !== undefined) worker.draining = true;
          this.#endLease(key, task);
        }
        return key;
      }
      default:
        return undefined;
    }
  }

  #join(id: string, slots: number, draining: boolean): void {
    this.#workers.set(id, { limit: slots * this.#queueDepth, draining, alive: true, leases: new Set(), blobs: new Set() });
  }

  #after(effect: DispatcherEffect, event: DispatcherEvent): void {
    switch (effect.type) {
      case 'send':
        return this.#sent(effect);
      case 'report':
        return this.#reported(effect, event);
      case 'handBack':
        for (const task of effect.tasks) this.#ended(`${effect.application}/${task.taskId}`, 'hand-back');
        return;
      case 'workerLost': {
        const worker = this.#workers.get(effect.workerId);
        if (worker === undefined || !worker.alive) return this.#violate(`${effect.workerId} was lost, but was not there`);
        worker.alive = false;
        for (const key of worker.leases) {
          const task = this.tasks.get(key);
          if (task !== undefined) task.worker = undefined;
        }
        worker.leases.clear();
        if (event.type === 'workerLeft') this.#workers.delete(effect.workerId);
        return;
      }
      case 'capacity':
        if (effect.credit < 0 || effect.slots < 0) this.#violate(`capacity is ${effect.slots} slots, ${effect.credit} credit`);
        return;
      case 'cancelOnWorker':
      case 'drained':
      case 'note':
        return;
    }
  }

  #sent(effect: DispatcherEffect & { type: 'send' }): void {
    const worker = this.#workers.get(effect.workerId);
    if (worker === undefined || !worker.alive) return this.#violate(`sent to ${effect.workerId}, which is not there`);
    for (const hash of effect.blobs) worker.blobs.add(hash);
    for (const { application, epoch, task } of effect.tasks) {
      const key = `${application}/${task.taskId}`;
      const model = this.tasks.get(key);
      if (model === undefined || !model.live) {
        this.#violate(`${key} was sent after it had ended`);
        continue;
      }
      for (const hash of task.commons) if (!worker.blobs.has(hash)) this.#violate(`${key} was sent to ${effect.workerId} before its blob ${hash}`);
      if (model.worker === effect.workerId && model.epoch === epoch) continue;
      if (model.worker !== undefined) this.#violate(`${key}@${epoch} was leased to ${effect.workerId} while ${model.worker} holds @${model.epoch}`);
      if (epoch <= model.epoch) this.#violate(`${key} was leased under epoch ${epoch} after ${model.epoch}`);
      if (worker.draining) this.#violate(`${key} was sent to ${effect.workerId}, which is draining`);
      model.epoch = epoch;
      model.worker = effect.workerId;
      model.runningSaid = false;
      worker.leases.add(key);
      if (worker.leases.size > worker.limit) this.#violate(`${effect.workerId} holds ${worker.leases.size} tasks, its limit is ${worker.limit}`);
    }
  }

  #reported(effect: DispatcherEffect & { type: 'report' }, event: DispatcherEvent): void {
    const { update } = effect;
    const key = `${effect.application}/${update.taskId}`;
    const task = this.tasks.get(key);
    const holds = event.type === 'status' && event.update === update && task?.worker === event.workerId && task.epoch === event.epoch;
    if (update.state === 'RUNNING') {
      if (!holds || task?.runningSaid !== false) this.#violate(`RUNNING of ${key} was reported twice or for a lease that is over`);
      else task.runningSaid = true;
      return;
    }
    if (update.state === 'LOST') return this.#violate(`LOST of ${key} was reported`);
    if (update.state === 'FINISHED') {
      if (!holds) this.#violate(`FINISHED of ${key} was reported without a result of the holder of its lease`);
      if (task !== undefined && ++task.commits > 1) this.#violate(`${key} was committed ${task.commits} times`);
    }
    this.#ended(key, update.state);
  }

  #ended(key: string, how: string): void {
    const task = this.tasks.get(key);
    if (task === undefined) return this.#violate(`${how} of ${key}, which was never submitted`);
    task.ends++;
    if (task.ends > 1) this.#violate(`${key} ended ${task.ends} times, now by ${how}`);
    if (!task.live) return;
    this.#endLease(key, task);
    task.live = false;
    this.#live--;
  }

  #endLease(key: string, task: ModelTask): void {
    if (task.worker !== undefined) this.#workers.get(task.worker)?.leases.delete(key);
    task.worker = undefined;
  }

  #violate(what: string): void {
    this.violations.push(what);
  }
}
