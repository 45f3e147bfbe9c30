import type { ApplicationProfile } from '../protocol/application.ts';
import { ApplicationEntry, resolveProfile, type OrderView, type ProfileDefaults, type ResolvedProfile } from './applications.ts';
import type { Submission } from './contract.ts';
import { FenceMemory } from './fence.ts';
import { TaskEntry } from './task-entry.ts';

const MAX_IDLE = 256;

/** Which applications and submissions are live, and what is remembered of those that ended. */
export class TaskLedger implements OrderView {
  readonly #applications = new Map<string, ApplicationEntry>();
  readonly #fence: FenceMemory;
  readonly #defaults: ProfileDefaults;
  /** Epochs begin above this. */
  readonly #base: number;
  #sequence = 0;
  #live = 0;
  #slots = 0;
  version = 0;

  constructor(fenceLimit: number, defaults: ProfileDefaults, base: number) {
    this.#fence = new FenceMemory(fenceLimit);
    this.#defaults = defaults;
    this.#base = base;
  }

  get live(): number {
    return this.#live;
  }

  /** Of the cluster: how long a stage takes depends on it. */
  set slots(slots: number) {
    if (slots === this.#slots) return;
    this.#slots = slots;
    this.version++;
  }

  application(id: string): ApplicationEntry | undefined {
    return this.#applications.get(id);
  }

  #open(id: string): ApplicationEntry {
    let application = this.#applications.get(id);
    if (application === undefined) {
      application = new ApplicationEntry(id, resolveProfile({ application: id }, this.#defaults));
      this.#applications.set(id, application);
    }
    return application;
  }

  /** @throws SP_DISPATCHER_BAD_PROFILE */
  announce(profile: ApplicationProfile): ApplicationEntry {
    const resolved = resolveProfile(profile, this.#defaults);
    const application = this.#open(profile.application);
    application.profile = resolved;
    application.announced = true;
    this.version++;
    return application;
  }

  /** The application whose stage graph is to change. */
  changeStages(id: string): ApplicationEntry {
    this.version++;
    return this.#open(id);
  }

  /** Forgets an application when nothing of it is left; a few idle ones are kept, as most submit again. */
  dropIfIdle(application: ApplicationEntry): void {
    if (application.idle && this.#applications.size > MAX_IDLE) this.#applications.delete(application.id);
  }

  /** It has ended: what it said of itself is void. */
  retire(application: ApplicationEntry): void {
    application.announced = false;
    application.profile = resolveProfile({ application: application.id }, this.#defaults);
    application.stages.clear();
    this.version++;
    if (application.idle) this.#applications.delete(application.id);
  }

  /** Undefined: this task is live already. */
  add({ application: id, task }: Submission): TaskEntry | undefined {
    const application = this.#open(id);
    if (application.tasks.has(task.taskId)) return undefined;
    const entry = new TaskEntry(application, task, this.#sequence++, Math.max(this.#base, this.#fence.lastEpoch(id, task.taskId)));
    application.tasks.set(task.taskId, entry);
    this.#live++;
    return entry;
  }

  find(application: string, taskId: number): TaskEntry | undefined {
    return this.#applications.get(application)?.tasks.get(taskId);
  }

  /** The highest epoch known of a task, live or ended; that of the term when nothing is known. */
  lastEpoch(application: string, taskId: number): number {
    return this.find(application, taskId)?.lastEpoch ?? Math.max(this.#base, this.#fence.lastEpoch(application, taskId));
  }

  /** Forgets a task but for its epoch: the one that ended it, or one higher when no lease it had may end it any more. */
  end(entry: TaskEntry, now: number, by: 'its lease' | 'the dispatcher'): void {
    const { owner, task, lastEpoch } = entry;
    entry.transition('ENDED', now, by);
    owner.tasks.delete(task.taskId);
    if (owner.tasks.size === 0) this.dropIfIdle(owner);
    if (entry.leases > 0) this.#fence.remember(owner.id, task.taskId, by === 'its lease' ? lastEpoch : lastEpoch + 1);
    this.#live--;
  }

  *entries(): Iterable<TaskEntry> {
    for (const { tasks } of this.#applications.values()) yield* tasks.values();
  }

  applications(): Iterable<ApplicationEntry> {
    return this.#applications.values();
  }

  profile(application: string): ResolvedProfile | undefined {
    return this.#applications.get(application)?.profile;
  }

  rank(application: string, stageId: number): number {
    return this.#applications.get(application)?.stages.rank(stageId, this.#slots) ?? 0;
  }
}
