import { TERM_EPOCHS } from '../../src/protocol/application.ts';
import { StageTask, type StatusUpdate } from '../../src/protocol/task.ts';
import type { DispatcherEffect, DispatcherEvent } from '../../src/dispatcher/contract.ts';

interface ModelTask {
  live: boolean;
  /** Terminal reports and hand-backs of the submission under way or ended last. */
  ends: number;
  commits: number;
  /** Highest epoch seen. */
  epoch: number;
  /** Of its submission: nothing was leased since while `epoch` is the same. */
  readonly submitted: number;
  /** What its stage is known by. */
  readonly code: string;
  /** Epoch of each lease that was sent and has not ended -> its worker. */
  readonly leases: Map<number, string>;
  /** Epochs whose RUNNING was reported. */
  readonly said: Set<number>;
}

interface ModelWorker {
  readonly slots: number;
  draining: boolean;
  alive: boolean;
  /** True: of a task that may share a place. */
  readonly leases: Map<string, boolean>;
  readonly blobs: Set<string>;
}

/** What the holder of a lease says of its task. */
interface Said {
  readonly key: string;
  readonly epoch: number;
  readonly update: StatusUpdate;
}

const ends = (state: StatusUpdate['state']): boolean => state !== 'RUNNING';

export interface CheckerOptions {
  readonly queueDepth: number;
  /** Tasks of stages that run shorter than this, milliseconds, may be sent beyond the depth, up to 64 a slot. @defaultValue 0 */
  readonly shortMs?: number;
  /** Epochs up to `term * 2^32` are of earlier leaders: what it adopts is not seen being sent. @defaultValue 0 */
  readonly term?: number;
  /** A task may have a copy. @defaultValue false */
  readonly copies?: boolean;
  /** Results may be checked before they are reported. @defaultValue false */
  readonly verifies?: boolean;
  /** False: this worker must not be sent tasks of this application. @defaultValue all may */
  readonly mayRun?: (application: string, workerId: string) => boolean;
}

/**
 * What must hold of one dispatcher whatever happens, checked from outside: it sees the events that go in and the effects
 * that come out, and keeps its own plain book of leases. Violations are collected, each a sentence.
 */
export class InvariantChecker {
  readonly violations: string[] = [];
  readonly tasks = new Map<string, ModelTask>();
  readonly #workers = new Map<string, ModelWorker>();
  readonly #drains = new Set<string>();
  /** Stages of which somebody said that their tasks are short. */
  readonly #short = new Set<string>();
  /** Tasks of which that was said before they were submitted here: their results may be kept until then. */
  readonly #shortOrphans = new Set<string>();
  /** Tasks sent beyond the depth. */
  queuedDeep = 0;
  readonly #options: CheckerOptions;
  readonly #base: number;
  #live = 0;

  constructor(options: CheckerOptions) {
    this.#options = options;
    this.#base = (options.term ?? 0) * TERM_EPOCHS;
  }

  /** Submissions that have not ended, by this book. */
  get live(): number {
    return this.#live;
  }

  observe(event: DispatcherEvent, effects: readonly DispatcherEffect[], live: number): void {
    const accepted = event.type === 'status' ? this.#accepted(event) : [];
    if (event.type !== 'status') this.#before(event);
    for (const effect of effects) this.#after(effect, event);
    for (const { key, epoch, update } of accepted) {
      const { state } = update;
      const must = state === 'FINISHED' ? this.#options.verifies !== true : state !== 'RUNNING' && state !== 'LOST' && this.#options.copies !== true;
      if (must && !effects.some((e) => e.type === 'report' && e.update === update)) {
        this.#violate(`the ${state} of ${key} by the holder of its lease was not reported`);
      }
      if (state !== 'RUNNING') this.#endLease(key, epoch);
    }
    if (live !== this.#live) this.#violate(`the machine has ${live} live tasks, the book ${this.#live}`);
  }

  /** Of what a worker says, that which the holder of a lease says of its task. */
  #accepted({ workerId, statuses }: DispatcherEvent & { type: 'status' }): Said[] {
    const accepted: Said[] = [];
    for (const { application, epoch, update } of statuses) {
      const key = `${application}/${update.taskId}`;
      const task = this.tasks.get(key);
      if (update.state === 'FINISHED' && (update.runMs ?? Infinity) < (this.#options.shortMs ?? 0)) {
        if (task === undefined) this.#shortOrphans.add(key);
        else this.#short.add(`${application}/${task.code}`);
      }
      if (task === undefined || !task.live || task.leases.get(epoch) !== workerId) continue;
      // One before it in the frame has ended this lease, or the task.
      if (accepted.some((said) => said.key === key && ends(said.update.state) && (said.epoch === epoch || said.update.state !== 'LOST'))) continue;
      const worker = this.#workers.get(workerId);
      if (update.state === 'LOST' && worker !== undefined) worker.draining = true;
      if (ends(update.state)) worker?.leases.delete(`${key}@${epoch}`);
      accepted.push({ key, epoch, update });
    }
    return accepted;
  }

  #before(event: Exclude<DispatcherEvent, { type: 'status' }>): void {
    switch (event.type) {
      case 'submit':
        for (const { application, task } of event.submissions) {
          const key = `${application}/${task.taskId}`;
          const known = this.tasks.get(key);
          if (known?.live === true) continue;
          const epoch = known?.epoch ?? this.#base;
          const code = task.commons[0] as string;
          if (this.#shortOrphans.has(key)) this.#short.add(`${application}/${code}`);
          this.tasks.set(key, { live: true, ends: 0, commits: 0, epoch, submitted: epoch, code, leases: new Map(), said: new Set() });
          this.#live++;
        }
        return;
      case 'workerJoined': {
        const known = this.#workers.get(event.worker.id);
        if (known?.alive === true) known.draining = event.load.draining;
        else this.#join(event.worker.id, event.worker.slots, event.load.draining);
        return;
      }
      case 'workerBeat': {
        const known = this.#workers.get(event.workerId);
        if (known === undefined) return;
        if (known.alive) known.draining = event.load.draining;
        else this.#join(event.workerId, known.slots, event.load.draining);
        return;
      }
      case 'workerLeft':
        this.#drains.delete(event.workerId);
        if (this.#workers.get(event.workerId)?.alive === false) this.#workers.delete(event.workerId);
        return;
      case 'drain':
        if (event.drain && this.#workers.get(event.workerId)?.alive === true) this.#drains.add(event.workerId);
        else if (!event.drain) this.#drains.delete(event.workerId);
        return;
      default:
    }
  }

  #join(id: string, slots: number, draining: boolean): void {
    this.#workers.set(id, { slots, draining, alive: true, leases: new Map(), blobs: new Set() });
  }

  #after(effect: DispatcherEffect, event: DispatcherEvent): void {
    switch (effect.type) {
      case 'send':
        return this.#sent(effect, event);
      case 'report':
        return this.#reported(effect, event);
      case 'handBack':
        for (const task of effect.tasks) this.#ended(`${effect.application}/${task.taskId}`, 'hand-back');
        return;
      case 'workerLost': {
        const worker = this.#workers.get(effect.workerId);
        if (worker === undefined || !worker.alive) return this.#violate(`${effect.workerId} was lost, but was not there`);
        worker.alive = false;
        for (const lease of worker.leases.keys()) {
          const [key, epoch] = lease.split('@') as [string, string];
          this.tasks.get(key)?.leases.delete(Number(epoch));
        }
        worker.leases.clear();
        if (event.type === 'workerLeft') this.#workers.delete(effect.workerId);
        return;
      }
      case 'capacity':
        if (effect.credit < 0 || effect.slots < 0) this.#violate(`capacity is ${effect.slots} slots, ${effect.credit} credit`);
        return;
      case 'cancelOnWorker': {
        // One of two attempts is ended; a lone lease lasts until its worker has answered.
        const key = `${effect.application}/${effect.taskId}`;
        if ((this.tasks.get(key)?.leases.size ?? 0) > 1) this.#endLease(key, effect.epoch);
        return;
      }
      case 'drained':
        if (!this.#drains.has(effect.workerId)) this.#violate(`${effect.workerId} was said to be drained, and nobody had asked`);
        return;
      case 'note':
        return;
    }
  }

  #sent(effect: DispatcherEffect & { type: 'send' }, event: DispatcherEvent): void {
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
      // Sent again what it was sent before, or what it holds from an earlier leader.
      if (model.leases.get(epoch) === effect.workerId || epoch <= this.#base) continue;
      for (const hash of task.commons) if (!worker.blobs.has(hash)) this.#violate(`${key} was sent to ${effect.workerId} before its blob ${hash}`);
      // A status of this very event ended its lease.
      for (const said of event.type === 'status' ? event.statuses : []) {
        if (`${said.application}/${said.update.taskId}` === key && ends(said.update.state)) model.leases.delete(said.epoch);
      }
      if (model.leases.size >= (this.#options.copies === true ? 2 : 1)) {
        this.#violate(`${key}@${epoch} was leased to ${effect.workerId} while ${[...model.leases].map(([e, w]) => `${w} holds @${e}`).join(' and ')}`);
      }
      if ([...model.leases.values()].includes(effect.workerId)) this.#violate(`${key} was leased twice to ${effect.workerId}`);
      if (epoch <= model.epoch) this.#violate(`${key} was leased under epoch ${epoch} after ${model.epoch}`);
      if (worker.draining || this.#drains.has(effect.workerId)) this.#violate(`${key} was sent to ${effect.workerId}, which is draining`);
      if (this.#options.mayRun?.(application, effect.workerId) === false) this.#violate(`${key} was sent to ${effect.workerId}, where it must not run`);
      const mayShare = task instanceof StageTask && model.epoch === model.submitted && this.#short.has(`${application}/${task.commons[0]}`);
      model.epoch = epoch;
      model.leases.set(epoch, effect.workerId);
      worker.leases.set(`${key}@${epoch}`, mayShare);
      this.#checkDepth(effect.workerId, worker);
    }
  }

  #checkDepth(id: string, { slots, leases }: ModelWorker): void {
    const limit = slots * this.#options.queueDepth;
    if (leases.size <= limit) return;
    this.queuedDeep++;
    let places = 0;
    for (const mayShare of leases.values()) if (!mayShare) places++;
    if (places > limit) this.#violate(`${id} holds ${places} tasks that take a place each, its limit is ${limit}`);
    if (leases.size > slots * 64 + limit) this.#violate(`${id} holds ${leases.size} tasks on ${slots} slots`);
  }

  #reported(effect: DispatcherEffect & { type: 'report' }, event: DispatcherEvent): void {
    const { update } = effect;
    const key = `${effect.application}/${update.taskId}`;
    const task = this.tasks.get(key);
    const said = event.type === 'status' ? event.statuses.find((status) => status.update === update) : undefined;
    const isAdopted = this.#base > 0 && (event.type === 'submit' || (said !== undefined && said.epoch < this.#base));
    const holds = isAdopted || (event.type === 'status' && said !== undefined && task?.leases.get(said.epoch) === event.workerId);
    if (update.state === 'RUNNING') {
      const epoch = said?.epoch ?? -1;
      if (!holds || task?.said.has(epoch) !== false) this.#violate(`RUNNING of ${key} was reported twice or for a lease that is over`);
      else task.said.add(epoch);
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
    for (const epoch of [...task.leases.keys()]) this.#endLease(key, epoch);
    task.live = false;
    this.#live--;
  }

  #endLease(key: string, epoch: number): void {
    const task = this.tasks.get(key);
    const worker = task?.leases.get(epoch);
    if (task === undefined || worker === undefined) return;
    this.#workers.get(worker)?.leases.delete(`${key}@${epoch}`);
    task.leases.delete(epoch);
  }

  #violate(what: string): void {
    this.violations.push(what);
  }
}
